"""``platform adapters tune``: searches better recipe settings on the validation texts."""

from __future__ import annotations

import json as json_
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import options, output
from ..group import INTERRUPTED
from ..progress import shown_progress
from ..render.figures import count, duration, percent
from ..render.table import Table, draw
from .train import recipe_settings, show_outcome

if TYPE_CHECKING:
    from adapter_platform.core.training.requests import TrainingOptions
    from adapter_platform.core.training.run import Outcome
    from adapter_platform.core.training.tuning import Search, Trial


def tune(
    ctx: typer.Context,
    name: options.Trainable,
    data: options.Data = [],  # noqa: B006 - typer copies it, and shows a tuple's type oddly
    trials: Annotated[
        int,
        typer.Option("--trials", metavar="N", min=1, help="Trials, with those of earlier runs."),
    ] = 20,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0, help="Begin no further trial after so long."
        ),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(
            "--space",
            metavar="FILE",
            help="What to try, in TOML: a table for each setting, with low and high (and log) or "
            "choices. Else what fits the amount of data.",
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget the trials of earlier runs.")
    ] = False,
    output_file: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Where the best recipe is written, .toml or .json; else NAME.recipe.toml here.",
        ),
    ] = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Train with the best recipe and publish it at once.")
    ] = False,
    base: options.TrainingBase = None,
    preset: options.Preset = None,
    recipe: options.RecipeFile = None,
    set_: options.Changes = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    kind: options.LabelKind = None,
    json: options.Json = False,
) -> None:
    """Search recipe settings: train by several, judge each on the validation texts.

    Test texts are not read. The same command goes on with the trials of an interrupted one; a
    larger --trials adds to them.
    """
    from ..rows.places import check_output, data_read

    asked: TrainingOptions = {
        "settings": recipe_settings(recipe, set_ or [], base),
        "preset": preset,
        "columns": options.columns(text_column, label_column),
        "kind": options.kind_name(kind),
    }
    uris = options.split_data(data)
    place = output_file or Path(f"{name}.recipe.toml")
    outcome = None
    with options.session(ctx).open_platform() as platform:
        settings = map(str, filter(None, (recipe, space)))
        check_output(place, [*data_read(uris, platform.registry, name), *settings])
        try:
            with shown_progress() as progress:
                found = platform.tune(
                    name,
                    uris,
                    trials=trials,
                    timeout=timeout,
                    space=space,
                    restart=restart,
                    progress=progress,
                    **asked,
                )
                _write(place, found)
                if publish:
                    best = {**asked, "settings": found.recipe.model_dump()}
                    outcome = platform.train(name, uris, progress=progress, **best)  # type: ignore[arg-type]  # the same keys
        except KeyboardInterrupt:
            output.note("interrupted; the same command goes on with the trials that are done")
            raise typer.Exit(INTERRUPTED) from None
    words = ["adapters", "train", name, *_data_words(data, text_column, label_column, kind)]
    line = shlex.join(["platform", *words, "--recipe", str(place)])
    store = options.session(ctx).store
    if store is not None:
        line += f" --store {shlex.quote(str(store))}"
    if json:
        output.json_document(_document(found, place, line, outcome))
        return
    _show(found)
    output.result(f"the best recipe is in {place}")
    if outcome is None:
        output.result(f"to train and publish it: {line}")
    else:
        output.result()
        show_outcome(outcome, store)


def _data_words(
    data: list[str],
    text_column: str | None,
    label_column: str | None,
    kind: options.SchemeKind | None,
) -> list[str]:
    """The options that say what to train on, as they were given."""
    words = [word for uri in data for word in ("--data", uri)]
    named = {
        "--text-column": text_column,
        "--label-column": label_column,
        "--kind": options.kind_name(kind),
    }
    return words + [word for option, value in named.items() if value for word in (option, value)]


def _write(path: Path, found: Search) -> None:
    from adapter_platform.core.training.recipe import recipe_text

    from ..rows.atomic import replacing

    with replacing(path) as file:
        file.write(recipe_text(found.recipe, path))


def _show(found: Search) -> None:
    metric = found.metric.replace("_", " ").replace("f1", "F1")
    names = list(found.best.settings)
    headings = ("trial>", f"{metric}>", "log loss>", "time>", *(f"{n}>" for n in names), "")
    draw(Table.of(headings, [_row(trial, found, names) for trial in found.trials]))
    for trial in found.trials:
        if trial.reason:
            output.note(f"trial {trial.number} failed: {trial.reason}")
    output.result()
    texts = count(found.texts, "validation text")
    output.result(
        f"best of {count(len(found.trials), 'trial')}: {percent(found.best.score)} {metric} on "
        f"{texts}; the probe has {percent(found.probe)}"
    )


def _row(trial: Trial, found: Search, names: list[str]) -> list[str]:
    remark = "best" if trial is found.best else ""
    return [
        str(trial.number),
        percent(trial.score),
        "-" if trial.loss is None else f"{trial.loss:.3f}",
        duration(trial.seconds),
        *(_value(trial.settings[name]) for name in names),
        remark if trial.state == "complete" else trial.state,
    ]


def _value(value: Any) -> str:
    if value is None:
        return "the base's"
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json_.dumps(value, ensure_ascii=False)


def _document(found: Search, place: Path, line: str, outcome: Outcome | None) -> dict[str, Any]:
    def of(trial: Trial) -> dict[str, Any]:
        return {
            "trial": trial.number,
            "state": trial.state,
            "score": trial.score,
            "log_loss": trial.loss,
            "seconds": round(trial.seconds, 1),
            "settings": dict(trial.settings),
            "reason": trial.reason,
        }

    return {
        "metric": found.metric,
        "texts": found.texts,
        "probe": found.probe,
        "before": found.before,
        "trials": [of(trial) for trial in found.trials],
        "best": of(found.best),
        "recipe": found.recipe.model_dump(mode="json"),
        "recipe_file": str(place),
        "command": line,
        "published": None if outcome is None else outcome.manifest.reference,
    }
