"""``platform data``: what labelled data holds, and whether to trust it, before training on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import complete, options, output
from .group import Group
from .progress import shown_progress

if TYPE_CHECKING:
    from adapter_platform.core.care.label_errors import LabelErrors
    from adapter_platform.core.care.reading import Reading
    from adapter_platform.core.errors import PlatformError
    from adapter_platform.core.examples import Dataset
    from adapter_platform.core.platform import Platform
    from adapter_platform.core.registry import Domain


class DataCommands(Group):
    """Its commands."""

    ours = {  # noqa: RUF012 - a constant of the class that it overrides
        "check": "data:check",
        "suggest": "suggest:suggest",
    }


app = typer.Typer(
    cls=DataCommands,
    help="Look at labelled data before training on it, and find out what to label next.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def check(
    ctx: typer.Context,
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="[SPLIT=]URI",
            help="Files or URIs, or the name of one domain.",
            show_default=False,
        ),
    ],
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    kind: options.LabelKind = None,
    label_errors: Annotated[
        bool,
        typer.Option(
            "--label-errors",
            help="Look for wrong labels too: those that the other texts contradict, as the base "
            "reads them. Takes about as long as classifying the texts.",
        ),
    ] = False,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="ID",
            help="Say how this base reads the texts: tokens, and what it cannot read; with "
            "--label-errors also who judges, else the base that training would use.",
            autocompletion=complete.bases,
        ),
    ] = None,
    device: options.Device = None,
    json: options.Json = False,
) -> None:
    """Say what labelled data holds, read as training would: counts, conflicts, bad rows.

    What training would refuse is an error.
    """
    from adapter_platform.core.examples import load_examples, summarise
    from adapter_platform.core.registry import Domain

    from .render.summary import describe

    with options.session(ctx).open_platform(device=device) as platform:
        registry = platform.registry
        if len(data) == 1 and data[0] in registry.domains:
            domain = registry.domain(data[0])
        else:
            domain = Domain("", data=options.split_data(data, option="") or {})
        dataset = load_examples(
            domain.data,
            registry,
            columns={**domain.columns, **options.columns(text_column, label_column)},
            scheme=domain.scheme if kind is None else None,
            kind=options.kind_name(kind),
        )
        notes, refusal = _as_training(dataset, domain)
        dataset = replace(dataset, notes=(*dataset.notes, *notes))
        summary = summarise(dataset)
        judge = label_errors and refusal is None
        reading: Reading | None = None
        errors: LabelErrors | None = None
        if base is not None or judge:
            reading, errors = _as_read(platform, dataset, domain, base, judge)
    if json:
        document = asdict(summary) | _document(dataset)
        document["reading"] = reading and asdict(reading)
        document["label_errors"] = errors and asdict(errors)
        output.json_document(document | {"refused": refusal and refusal.message})
    else:
        for line in describe(dataset, summary, reading, errors):
            output.result(line)
    if refusal is not None:
        raise refusal


def _as_read(
    platform: Platform, dataset: Dataset, domain: Domain, base: str | None, judge: bool
) -> tuple[Reading, LabelErrors | None]:
    """How a base reads the texts, and where `judge` says so what it makes of their labels."""
    from adapter_platform.core.care.reading import read_examples
    from adapter_platform.core.training.recipe import make_recipe

    recipe = make_recipe(domain.recipe)
    resolved = platform.bases.resolve(base or recipe.base or platform.settings.base)
    reading = read_examples(dataset.examples, resolved, recipe.max_length)
    if not judge:
        return reading, None
    with shown_progress() as progress:
        errors = platform.find_label_errors(
            dataset, resolved.id, max_length=recipe.max_length, progress=progress
        )
    return reading, errors


def _as_training(dataset: Dataset, domain: Domain) -> tuple[Sequence[str], PlatformError | None]:
    """What training would note when it splits the data, or why it would not begin."""
    from adapter_platform.core.errors import DataError, TrainingError
    from adapter_platform.core.training.augment import training_splits
    from adapter_platform.core.training.recipe import make_recipe

    try:
        return training_splits(dataset, make_recipe(domain.recipe)).notes, None
    except (DataError, TrainingError) as error:
        return (), error


def _document(dataset: Dataset) -> dict[str, Any]:
    return {
        "kind": dataset.scheme.kind,
        "labels": list(dataset.scheme.classes),
        "text_column": dataset.text_column,
        "label_column": dataset.label_column,
        "notes": list(dataset.notes),
        "bad_rows": [asdict(problem) for problem in dataset.problems],
    }
