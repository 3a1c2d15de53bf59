"""``platform data``: what labelled data holds, before anything is trained on it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options, output
from .group import Group

if TYPE_CHECKING:
    from adapter_platform.core.examples import Dataset


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
    """Say what labelled data holds, read as training would: counts, conflicts, bad rows."""
    from adapter_platform.core.examples import load_examples, summarise

    from .render.summary import describe

    registry = options.session(ctx).load_plugins().registry
    columns = options.columns(text_column, label_column)
    wanted: dict[str, Any] = {"columns": columns, "kind": options.kind_name(kind)}
    if len(data) == 1 and data[0] in registry.domains:
        domain = registry.domain(data[0])
        uris = dict(domain.data)
        wanted |= {"columns": {**domain.columns, **columns}, "scheme": domain.scheme}
    else:
        given = options.split_data(data)
        uris = given if isinstance(given, dict) else {"all": str(given)}
    dataset = load_examples(uris, registry, **wanted)
    summary = summarise(dataset)
    if json:
        output.json_document(asdict(summary) | _document(dataset))
        return
    for line in describe(dataset, summary):
        output.result(line)


def _document(dataset: Dataset) -> dict[str, Any]:
    return {
        "kind": dataset.scheme.kind,
        "labels": list(dataset.scheme.classes),
        "text_column": dataset.text_column,
        "label_column": dataset.label_column,
        "notes": list(dataset.notes),
        "bad_rows": [asdict(problem) for problem in dataset.problems],
    }
