"""``platform adapters eval``: how good an adapter is, on its own test texts or on others."""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import options, output
from ..render.evaluation import baselines, figures, mistakes, per_class, slices
from ..render.table import draw

if TYPE_CHECKING:
    from collections.abc import Mapping

MISTAKES = 10


def evaluate(
    ctx: typer.Context,
    name: options.Reference,
    data: options.Data = [],  # noqa: B006 - typer copies it, and shows a tuple's type oddly
    split: Annotated[
        str, typer.Option("--split", metavar="SPLIT", help="Which side: train, val or test.")
    ] = "test",
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    base: options.OwnBase = None,
    device: options.Device = None,
    json: options.Json = False,
    output_file: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write the JSON to a file as well."),
    ] = None,
) -> None:
    """Classify labelled texts and compare: figures, classes, slices, the worst mistakes.

    Without --data, the test texts of the domain under the adapter's name.
    """
    columns = options.columns(text_column, label_column)
    with options.session(ctx).open_platform(device=device) as platform:
        found = platform.evaluate(
            name, options.split_data(data), columns=columns, split=split, base=base
        )
    if output_file is not None:
        _write(output_file, found)
    if json:
        output.json_document(found)
    else:
        _show(found)


def _show(found: Mapping[str, Any]) -> None:
    draw(figures(found))
    if found["split"] is None:
        output.note("judged on all the texts: the data has no splits")
    if found.get("baselines"):
        output.result()
        draw(baselines({found["split"]: found, "baselines": found["baselines"]}))
    output.result()
    draw(per_class(found))
    for _, table in slices(found):
        output.result()
        draw(table)
    if found["mistakes"]:
        output.result()
        output.result("mistakes, the most confident first")
        draw(mistakes(found, MISTAKES))


def _write(path: Path, found: Mapping[str, Any]) -> None:
    from ..rows.atomic import replacing

    with replacing(path) as file:
        file.write(json_.dumps(found, ensure_ascii=False, indent=2) + "\n")
