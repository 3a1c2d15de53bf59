"""``platform data suggest``: which of many texts are most worth labelling next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import complete, options, output
from .progress import shown_progress
from .render.figures import count
from .rows.atomic import replacing
from .rows.places import STDIN, check_output, check_target, data_read, format_for, is_lines
from .rows.reading import read_rows
from .rows.writing import make_writer

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

    from adapter_platform.core.care.suggest import Suggestion, Suggestions
    from adapter_platform.core.registry import Registry

    from .rows.reading import InputRow

BY_ADAPTER = ("predicted", "confidence", "uncertainty", "stands_for")
BY_BASE = ("stands_for",)


@dataclass(frozen=True, slots=True)
class Texts:
    """The rows that hold a text, and a sentence on those that hold none."""

    rows: list[InputRow]
    problem: str

    @property
    def texts(self) -> list[str]:
        return [row.text or "" for row in self.rows]


def suggest(
    ctx: typer.Context,
    data: Annotated[
        str,
        typer.Argument(
            metavar="URI|-",
            help="The texts to choose from: a file or URI, with labels or without, a .txt file of "
            "a text a line, or standard input (-).",
            show_default=False,
        ),
    ],
    adapter: Annotated[
        str | None,
        typer.Option(
            "--adapter",
            "-a",
            metavar="NAME[@V]",
            help="The adapter that is to get better: texts that it is unsure about, each of "
            "another sort. Without one: texts that are typical, to begin with.",
            autocompletion=complete.adapters,
        ),
    ] = None,
    count_: Annotated[
        int, typer.Option("--count", "-n", metavar="N", min=1, help="How many texts.")
    ] = 50,
    output_file: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write them to a .csv, .tsv or .jsonl file instead of standard output.",
        ),
    ] = None,
    labelled: Annotated[
        list[str],
        typer.Option(
            "--labelled",
            metavar="URI",
            help="Texts that have their labels; neither they nor the like are chosen. Else the "
            "data of the domain under the adapter's name, if there is one.",
            show_default=False,
        ),
    ] = [],  # noqa: B006 - typer copies it, and shows a tuple's type oddly
    text_column: options.TextColumn = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="ID",
            help="The base that compares the texts; with --adapter, where its own base lies.",
            autocompletion=complete.bases,
        ),
    ] = None,
    device: options.Device = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress or notes.")] = False,
) -> None:
    """Pick the texts that are most worth labelling next, the most useful first.

    Their columns stay, ours are added.
    """
    if output_file is not None:
        check_target(output_file, json, [data, *labelled])
    with options.session(ctx).open_platform(device=device) as platform:
        # What is wrong with the adapter is said before a long file is read.
        reference = None if adapter is None else platform.resolve(adapter).manifest.reference
        if output_file is not None and reference is not None and not labelled:
            check_output(output_file, data_read(None, platform.registry, reference))
        pool = read_texts(data, text_column, platform.registry)
        known: list[str] | None = None
        for uri in labelled:
            column = None if is_lines(uri) else text_column
            known = [*(known or []), *read_texts(uri, column, platform.registry).texts]
        with shown_progress(quiet) as progress:
            found = platform.suggest(
                pool.texts, count_, reference, base=base, labelled=known, progress=progress
            )
    format_ = format_for(data, output_file, json)
    if output_file is None:
        write(found, pool, format_, output.Results(), by_adapter=adapter is not None)
    else:
        with replacing(output_file) as file:
            write(found, pool, format_, file, by_adapter=adapter is not None)
    if not quiet:
        output.flush()  # the texts stand above what is said of them
        _say(found, pool, count_, output_file)


def read_texts(location: str, column: str | None, registry: Registry) -> Texts:
    """The rows of a file, URI or standard input that hold a text.

    Raises:
        DataError: nothing can be read, the column is not clear, or no row holds a text.
    """
    from adapter_platform.core.data.columns import find_text_column
    from adapter_platform.core.errors import DataError

    def choose(names: Sequence[str]) -> str:
        return find_text_column(location, names, column)

    rows: list[InputRow] = []
    bad: list[InputRow] = []
    for row in read_rows(location, choose, registry, {"--text-column": column}):
        (rows if row.text is not None else bad).append(row)
    where = "standard input" if location == STDIN else location
    if not rows:
        why = f"; the first row that holds none, {bad[0].problem}" if bad else ""
        raise DataError(f"{where} has no texts{why}")
    problem = f"{count(len(bad), 'row')} without a text; the first: {bad[0].problem}" if bad else ""
    return Texts(rows, problem)


def write(
    found: Suggestions,
    pool: Texts,
    format_: str,
    file: SupportsWrite[str],
    *,
    by_adapter: bool,
) -> None:
    """The chosen rows with our columns."""
    writer = make_writer(format_, file, BY_ADAPTER if by_adapter else BY_BASE)
    for chosen in found.chosen:
        writer.write(pool.rows[chosen.position].fields, ours(chosen))
    writer.finish()


def ours(chosen: Suggestion) -> Mapping[str, Any]:
    """Our columns for a row."""
    return {
        "predicted": None if chosen.labels is None else "|".join(chosen.labels),
        "confidence": chosen.confidence and round(chosen.confidence, 6),
        "uncertainty": chosen.uncertainty and round(chosen.uncertainty, 6),
        "stands_for": chosen.stands_for,
    }


def _say(found: Suggestions, pool: Texts, wanted: int, target: Path | None) -> None:
    where = f", written to {target}" if target is not None else ""
    for note in found.notes:
        output.note(note)
    if pool.problem:
        output.warn(pool.problem)
    output.note(f"{count(len(found.chosen), 'text')} of {len(pool.rows):,} to label{where}")
    if len(found.chosen) < wanted:
        output.note(f"no more of them differ, so there are fewer than {wanted:,}")
