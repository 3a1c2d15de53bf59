"""``platform adapters eval``: how good an adapter is, on its own test texts or on others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from .. import options, output
from ..render.evaluation import (
    after_steps,
    baselines,
    bins,
    confusions,
    coverage,
    coverage_sentence,
    figures,
    matrix,
    mistakes,
    per_class,
    slices,
)
from ..render.table import Table, draw
from ..rows.places import data_read
from .judged import check_outputs, say_what_is_judged, write_json, write_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MISTAKES = 10


def evaluate(
    ctx: typer.Context,
    name: options.Reference,
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
    """Classify labelled texts and compare: figures, classes, slices, the worst mistakes.

    The figures judge what the adapter itself says. Where it carries steps that withhold or change
    answers, such as abstain, a table says what is answered after them.

    Without --data, the test texts of the domain under the adapter's name. Texts that it was
    trained on or chosen by are left out, unless --split train or val asks for them.
    """
    uris = options.split_data(data)
    columns = options.columns(text_column, label_column)
    with options.session(ctx).open_platform(device=device) as platform:
        check_outputs(data_read(uris, platform.registry, name), output_file, html)
        found = platform.evaluate(name, uris, columns=columns, split=split, base=base)
    if output_file is not None:
        write_json(output_file, found)
    if html is not None:
        from ..render.evaluation_page import evaluation_page

        write_page(html, evaluation_page(found))
    if json:
        output.json_document(found)
    else:
        _show(found)


def _show(found: Mapping[str, Any]) -> None:
    draw(figures(found))
    say_what_is_judged(found)
    for heading, table in _tables(found):
        output.result()
        if heading:
            output.result(heading)
        draw(table)


def _tables(found: Mapping[str, Any]) -> Iterator[tuple[str, Table]]:
    if found.get("baselines"):
        yield "", baselines({found["split"]: found, "baselines": found["baselines"]})
    if found.get("after_steps"):
        steps = ", ".join(found["after_steps"]["steps"])
        yield f"what is answered after the adapter's own steps ({steps})", after_steps(found)
    yield "", per_class(found)
    for key, what in (("coarse_confusion", "top levels"), ("confusion", "labels")):
        yield from _confusion(found, key, what)
    yield "how often answers of each confidence are right", bins(found)
    yield coverage_sentence(found), coverage(found)
    yield from (("", table) for _, table in slices(found))
    if found["mistakes"]:
        yield "mistakes, the most confident first", mistakes(found, MISTAKES)


def _confusion(found: Mapping[str, Any], key: str, what: str) -> Iterator[tuple[str, Table]]:
    """The matrix where it fits a screen, else what is most often taken for what."""
    cells = found.get(key)
    if not cells:
        return
    order = [row["label"] for row in found["per_class"]]
    tops = list(dict.fromkeys(name.split("/")[0] for name in order))
    drawn = matrix(cells, order if key == "confusion" else tops)
    if drawn is not None:
        yield f"{what}: a row for each expected one, a column for each that was given", drawn
        return
    most = confusions(cells)
    if most.rows:
        yield f"{what} most often taken for others", most
