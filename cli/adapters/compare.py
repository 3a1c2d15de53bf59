"""``platform adapters compare``: which of two adapters is better, on the same texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .. import complete, options, output
from ..render.comparison import differ, figures, mcnemar, right_and_wrong, verdict
from ..render.figures import count
from ..render.table import draw
from ..rows.places import data_read
from .judged import check_outputs, say_what_is_judged, write_json, write_page

if TYPE_CHECKING:
    from adapter_platform.core.training.compare import Comparison

DIFFER = 10


def compare(
    ctx: typer.Context,
    a: Annotated[
        str,
        typer.Argument(
            metavar="A[@V]",
            help="An adapter; without --data its domain's texts are the judge.",
            autocompletion=complete.adapters,
            show_default=False,
        ),
    ],
    b: Annotated[
        str,
        typer.Argument(
            metavar="B[@V]",
            help="Another one or another version, with the same labels.",
            autocompletion=complete.adapters,
            show_default=False,
        ),
    ],
    data: options.Data = [],  # noqa: B006 - typer copies it, and shows a tuple's type oddly
    split: options.Split = "test",
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    base: options.OwnBase = None,
    device: options.Device = None,
    json: options.Json = False,
    output_file: options.JsonFile = None,
    html: options.HtmlFile = None,
) -> None:
    """Judge two adapters on the same texts: which is better, and where they differ.

    Texts that either was trained on or chosen by are left out. A difference is B's figure less A's.
    """
    uris = options.split_data(data)
    columns = options.columns(text_column, label_column)
    with options.session(ctx).open_platform(device=device) as platform:
        check_outputs(data_read(uris, platform.registry, a, b), output_file, html)
        found = platform.compare(a, b, uris, columns=columns, split=split, base=base)
    if output_file is not None:
        write_json(output_file, found)
    if html is not None:
        from ..render.comparison_page import comparison_page

        write_page(html, comparison_page(found))
    if json:
        output.json_document(found)
    else:
        _show(found)


def _show(found: Comparison) -> None:
    output.result(verdict(found))
    say_what_is_judged(found)
    output.result()
    draw(figures(found))
    output.result()
    draw(right_and_wrong(found))
    output.result(mcnemar(found))
    if found["differ"]:
        output.result()
        output.result(f"{count(len(found['differ']), 'text')} answered differently")
        draw(differ(found, DIFFER))
