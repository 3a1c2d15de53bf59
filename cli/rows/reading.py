"""Rows to classify: lines, or records of any data source, each with its text or its problem."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter_platform.core.data.cells import read_text
from adapter_platform.core.data.uris import open_rows
from adapter_platform.core.errors import DataError
from adapter_platform.core.registry import BadRow, Record, Rows

from .places import STDIN, is_lines

if TYPE_CHECKING:
    from adapter_platform.core.registry import Registry

TEXT = "text"
HEAD = 256  # rows without a header that say together what columns there are
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class InputRow:
    """One row of the input.

    Attributes:
        fields: its columns; empty where it could not be read.
        text: what to classify; None where there is a problem.
        problem: why there is nothing to classify, as a sentence that says where.
        where: where it stands, ``file.csv:12``.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None
    problem: str = ""
    where: str = ""


def read_rows(
    location: str, column: str, registry: Registry, further: Sequence[tuple[str, str]] = ()
) -> Rows[InputRow]:
    """The rows of a file, URI, or standard input (``-``), in order.

    Args:
        column: which column holds the text; a table of one column needs none of that name.
        further: columns that there must be too, each with the option that names it.

    Raises:
        DataError: nothing can be read at all, or the columns are not there.
    """
    if is_lines(location):
        for name, option in further:
            raise DataError(f"lines of text have no column {name!r}", f"leave {option} out")
    if location == STDIN:
        return Rows(_lines(sys.stdin.buffer, "standard input"), [TEXT])
    if is_lines(location):
        return Rows(_file_lines(Path(location)), [TEXT])
    rows, _ = open_rows(location, registry)
    return Rows(_records(rows, column, further, location), rows.columns)


def text_rows(texts: Iterable[str]) -> Rows[InputRow]:
    """The texts of a command line as rows of one column."""
    return Rows((InputRow({TEXT: text}, text) for text in texts), [TEXT])


def _file_lines(path: Path) -> Iterator[InputRow]:
    try:
        with path.open("rb") as file:
            yield from _lines(file, str(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _lines(file: Iterable[bytes], name: str) -> Iterator[InputRow]:
    for number, raw in enumerate(file, start=1):
        line = raw.removeprefix(BOM) if number == 1 else raw
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            shown = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
            yield InputRow({TEXT: shown}, problem=f"{name}:{number}: the line is not UTF-8")
            continue
        yield _row({TEXT: text}, text, f"{name}:{number}")


def _records(
    rows: Rows[Record | BadRow],
    column: str,
    further: Sequence[tuple[str, str]],
    location: str,
) -> Iterator[InputRow]:
    head = list(islice(rows, 1))
    names: Iterable[str] = rows.columns
    if not names:  # each row brings its own, and the first may not have all
        head += islice(rows, HEAD - 1)
        names = dict.fromkeys(n for row in head if isinstance(row, Record) for n in row.fields)
    if names:
        column = _text_column(names, column, further, location)
    for row in chain(head, rows):
        if isinstance(row, BadRow):
            yield InputRow(problem=f"{row.where}: {row.reason}")
        else:
            yield _row(row.fields, row.fields.get(column), row.where)


def _text_column(
    columns: Iterable[str], column: str, further: Sequence[tuple[str, str]], location: str
) -> str:
    """Which of the columns holds the text: the one that is asked for, or else the only one.

    Raises:
        DataError: none does, or one of `further` is not there.
    """
    names = list(columns)
    wanted = [*further, (column, "--text-field")]
    if len(names) == 1 and column == TEXT:
        column = names[0]
        wanted.pop()
    for name, option in wanted:
        if name not in names:
            shown = ", ".join(map(repr, names))
            raise DataError(
                f"{location} has no column {name!r}",
                f"its columns are {shown}; choose one with {option}",
            )
    return column


def _row(fields: Mapping[str, Any], cell: Any, where: str) -> InputRow:
    try:
        text = read_text(cell)
    except ValueError as error:
        return InputRow(fields, problem=f"{where}: {error}")
    if not text:
        return InputRow(fields, problem=f"{where}: the text is empty")
    return InputRow(fields, text, where=where)
