"""``platform data``: what labelled data holds, before anything is trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options, output
from .group import Group

if TYPE_CHECKING:
    from adapter_platform.core.errors import PlatformError
    from adapter_platform.core.examples import Dataset
    from adapter_platform.core.registry import Domain


class DataCommands(Group):
    """Its commands."""

    ours = {  # noqa: RUF012 - a constant of the class that it overrides
        "check": "data:check",
    }


app = typer.Typer(
    cls=DataCommands,
    help="Look at labelled data before training on it.",
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
    kind: Annotated[
        options.SchemeKind | None,
        typer.Option("--kind", help="What labels are, where the data does not make it plain."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Say what labelled data holds, read as training would: counts, conflicts, bad rows.

    What training would refuse is an error.
    """
    from adapter_platform.core.examples import load_examples, summarise
    from adapter_platform.core.registry import Domain
    from adapter_platform.core.training.requests import by_split

    from .render.summary import describe

    registry = options.session(ctx).load_plugins().registry
    if len(data) == 1 and data[0] in registry.domains:
        domain = registry.domain(data[0])
    else:
        domain = Domain("", data=by_split(options.split_data(data) or {}))
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
    if json:
        refused = {"refused": refusal and refusal.message}
        output.json_document(asdict(summary) | _document(dataset) | refused)
    else:
        for line in describe(dataset, summary):
            output.result(line)
    if refusal is not None:
        raise refusal


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
