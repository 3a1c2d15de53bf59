"""Rows to classify: lines, or records of any data source, each with its text or its problem."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
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

Choose = Callable[[Sequence[str]], str]


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
    location: str, choose: Choose, registry: Registry, named: Mapping[str, str | None] | None = None
) -> Rows[InputRow]:
    """The rows of a file, URI, or standard input (``-``), in order.

    Args:
        choose: says of the columns that there are which one holds the text.
        named: columns by the options that name them, which lines of text do not have.

    Raises:
        DataError: nothing can be read at all, or a column is named where there are none; and as
            `choose`, when the first row is asked for.
    """
    if is_lines(location):
        for option, name in (named or {}).items():
            if name is not None:
                raise DataError(f"lines of text have no column {name!r}", f"leave {option} out")
    if location == STDIN:
        return Rows(_lines(sys.stdin.buffer, "standard input"), [TEXT])
    if is_lines(location):
        return Rows(_file_lines(Path(location)), [TEXT])
    rows, _ = open_rows(location, registry)
    return Rows(_records(rows, choose), rows.columns)


def field_chooser(location: str, text: str | None = None, adapter: str | None = None) -> Choose:
    """Chooses the column that is named, else ``text`` or the only one that there is.

    It raises `DataError` where that is not there, or the adapters' column is not.

    Args:
        text, adapter: the columns that ``--text-field`` and ``--adapter-field`` name.
    """

    def choose(names: Sequence[str]) -> str:
        usual = names[0] if len(names) == 1 else TEXT
        field = usual if text is None else text
        for option, name in (("--adapter-field", adapter), ("--text-field", field)):
            if name is not None and name not in names:
                shown = ", ".join(map(repr, names))
                raise DataError(
                    f"{location} has no column {name!r}",
                    f"its columns are {shown}; choose one with {option}",
                )
        return field

    return choose


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


def _records(rows: Rows[Record | BadRow], choose: Choose) -> Iterator[InputRow]:
    names, column = list[str](), TEXT
    while not names:
        head = list(islice(rows, 1))
        names = rows.columns
        if not names:  # each row brings its own, and the first may not have all
            head += islice(rows, HEAD - 1)
            records = (row for row in head if isinstance(row, Record))
            names = list(dict.fromkeys(name for row in records for name in row.fields))
        if names:
            column = choose(names)
        elif not head:
            return
        yield from (_input_row(row, column) for row in head)
    yield from (_input_row(row, column) for row in rows)


def _input_row(row: Record | BadRow, column: str) -> InputRow:
    if isinstance(row, BadRow):
        return InputRow(problem=f"{row.where}: {row.reason}")
    return _row(row.fields, row.fields.get(column), row.where)


def _row(fields: Mapping[str, Any], cell: Any, where: str) -> InputRow:
    try:
        text = read_text(cell)
    except ValueError as error:
        return InputRow(fields, problem=f"{where}: {error}")
    if not text:
        return InputRow(fields, problem=f"{where}: the text is empty")
    return InputRow(fields, text, where=where)
