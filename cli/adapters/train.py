"""``platform adapters train``: from a file of labelled texts to an adapter that answers."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import options, output
from ..group import INTERRUPTED
from ..progress import shown_progress
from ..render.evaluation import baselines, per_class
from ..render.figures import count, duration
from ..render.table import draw, shorten
from .listing import probe_is_ahead

if TYPE_CHECKING:
    from adapter_platform.core.training.requests import TrainingOptions
    from adapter_platform.core.training.run import Outcome, Plan

EXAMPLE_CELLS = 80  # a longer text makes no line to copy


def train(
    ctx: typer.Context,
    name: options.Trainable,
    data: options.Data = [],  # noqa: B006 - typer copies it, and shows a tuple's type oddly
    base: options.TrainingBase = None,
    preset: options.Preset = None,
    recipe: options.RecipeFile = None,
    set_: options.Changes = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    kind: options.LabelKind = None,
    promote: Annotated[
        bool,
        typer.Option("--promote/--no-promote", help="Whether the new version becomes current."),
    ] = True,
    allow_worse: Annotated[
        bool,
        typer.Option("--allow-worse", help="Make it current even if the probe does better."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and estimate the time; train not.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Train an adapter and publish it.

    The same command goes on from the last checkpoint of an interrupted one, if it wrote any.
    """
    asked: TrainingOptions = {
        "settings": recipe_settings(recipe, set_ or [], base),
        "preset": preset,
        "columns": options.columns(text_column, label_column),
        "kind": options.kind_name(kind),
        "promote": promote,
        "allow_worse": allow_worse,
    }
    uris = options.split_data(data)
    with options.session(ctx).open_platform() as platform:
        if dry_run:
            _show_plan(platform.plan_training(name, uris, **asked), json)
            return
        try:
            with shown_progress() as progress:
                outcome = platform.train(name, uris, progress=progress, **asked)
        except KeyboardInterrupt:
            output.note(
                "interrupted; the same command goes on from the last checkpoint, if one was written"
            )
            raise typer.Exit(INTERRUPTED) from None
    if json:
        output.json_document(_document(outcome))
    else:
        show_outcome(outcome, options.session(ctx).store)


def recipe_settings(file: Path | None, changes: list[str], base: str | None) -> dict[str, Any]:
    """The recipe file's settings, ``--set`` over them, ``--base`` over both.

    Raises:
        RecipeError: the file cannot be read.
        UsageError: a change is not of the form key=value.
    """
    from adapter_platform.core.training.recipe import parse_setting, read_recipe

    merged = read_recipe(file) if file is not None else {}
    for change in changes:
        merged = _merge(merged, parse_setting(change))
    return merged if base is None else {**merged, "base": base}


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(known, value) if both else value  # type: ignore[arg-type]  # both are mappings
    return merged


def _show_plan(plan: Plan, json: bool) -> None:
    if json:
        output.json_document(
            {
                "splits": dict(plan.sizes),
                "labels": list(plan.prepared.scheme.classes),
                "kind": plan.prepared.scheme.kind,
                "base": plan.prepared.base.id,
                "epochs": plan.epochs,
                "steps": plan.steps,
                "trainable": plan.trainable,
                "seconds": plan.seconds,
                "notes": list(plan.prepared.notes),
            }
        )
        return
    for note in plan.prepared.notes:
        output.result(note)
    scheme = plan.prepared.scheme
    output.result("texts: " + ", ".join(f"{split} {n:,}" for split, n in plan.sizes.items()))
    output.result(f"labels: {len(scheme.classes)}, {scheme.kind}")
    output.result(f"base: {plan.prepared.base.id}")
    output.result(plan.trainable)
    output.result(f"{count(plan.epochs, 'epoch')}, {count(plan.steps, 'step')}")
    output.result(f"estimated time: {duration(plan.seconds)}")


def show_outcome(outcome: Outcome, store: Path | None) -> None:
    """A training's outcome for people: figures, what was published, a line to try."""
    manifest, report = outcome.manifest, outcome.report
    draw(baselines(report))
    evaluation = report.get("test") or report.get("val")
    if evaluation:
        output.result()
        draw(per_class(evaluation))
    output.result()
    if outcome.promoted:
        output.result(f"published {manifest.reference}, which is now current")
    else:
        output.result(f"published {manifest.reference}, which is not current")
    if manifest.worse_than_probe:
        from adapter_platform.core.store.manifest import WORSE

        output.warn(f"it is {WORSE}; more data or another recipe may help")
        if not outcome.promoted:
            output.note(
                f"hint: platform adapters promote {manifest.reference} makes it current regardless"
            )
    elif probe_is_ahead(manifest):
        output.warn("on the test texts the probe is ahead of it; the validation texts decide")
    for doubt in outcome.doubts:
        output.warn(doubt)
    output.result(f"try it: {_line_to_try(outcome, store)}")


def _line_to_try(outcome: Outcome, store: Path | None) -> str:
    """A command that classifies a text of the data, to be pasted into a shell."""
    adapter = outcome.manifest.name if outcome.promoted else outcome.manifest.reference
    elsewhere = [] if store is None else ["--store", str(store)]
    text = output.printable(shorten(outcome.example, EXAMPLE_CELLS))
    end = ["--"] if text.startswith("-") else []  # it would be taken for an option
    return shlex.join(["platform", "classify", "--adapter", adapter, *elsewhere, *end, text])


def _document(outcome: Outcome) -> dict[str, Any]:
    return {
        "adapter": outcome.manifest.reference,
        "promoted": outcome.promoted,
        "resumed": outcome.resumed,
        "manifest": outcome.manifest.to_dict(),
        "report": dict(outcome.report),
    }
