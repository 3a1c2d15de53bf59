"""Tables in text: CSV with quoted fields (RFC 4180), and TSV, whose rows are lines."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator

from adapter_platform.core.errors import DataError
from adapter_platform.core.registry import BadRow, Record, Rows

from .lines import Line, read_lines


class CsvSource:
    """``csv:FILE``: comma-separated, UTF-8, the first line names the columns.

    Quoting is read strictly, so that a stray quote costs the row that it stands in and never
    joins rows unseen. A row stands at the line on which it starts.
    """

    name = "csv"
    suffixes: tuple[str, ...] = (".csv",)

    def read(self, location: str) -> Rows[Record | BadRow]:
        """See `DataSource.read`. Memory does not grow with the file."""
        return _table(location, _csv_rows(read_lines(location)))


class TsvSource:
    """``tsv:FILE``: tab-separated, UTF-8, one line a row, the first names the columns.

    A field between quotes is taken out of them where the whole line reads so; any other quote is a
    character like others.
    """

    name = "tsv"
    suffixes: tuple[str, ...] = (".tsv", ".tab")

    def read(self, location: str) -> Rows[Record | BadRow]:
        """See `DataSource.read`. Memory does not grow with the file."""
        return _table(location, map(_tsv_row, read_lines(location)))


# A row's first and last line, and its cells or why it has none.
_Row = tuple[int, int, list[str] | str]


def _table(location: str, rows: Iterator[_Row]) -> Rows[Record | BadRow]:
    header: list[str] = []
    return Rows(_records(location, rows, header), header)


def _records(location: str, rows: Iterator[_Row], header: list[str]) -> Iterator[Record | BadRow]:
    """The rows after the first, whose cells become the header."""
    blank: tuple[int, int] | None = None
    for first, last, cells in rows:
        if isinstance(cells, list) and not "".join(cells).strip() and len(cells) < 2:
            blank = (blank[0] if blank else first, last)
            continue
        if not header:
            header += _header(f"{location}:{first}", cells)
            blank = None
            continue
        # Empty lines at the end are no rows; between rows someone may have meant one.
        if blank is not None:
            yield BadRow(f"{location}:{blank[0]}", _empty_lines(*blank))
            blank = None
        where = f"{location}:{first}"
        if isinstance(cells, str):
            yield BadRow(where, cells)
        elif len(cells) != len(header):
            upto = f", up to line {last}: is a quote missing?" if last > first else ""
            count = f"{len(cells)} column{'s' if len(cells) > 1 else ''}"
            yield BadRow(where, f"the row has {count}, the header {len(header)}{upto}")
        else:
            yield Record(where, dict(zip(header, cells, strict=True)))


def _header(where: str, cells: list[str] | str) -> list[str]:
    """The column names; a column without one is ``column_2`` by its place."""
    if isinstance(cells, str):
        raise DataError(
            f"the header cannot be read ({where}): {cells}",
            "a table begins with the names of its columns, in UTF-8 text",
        )
    names = [cell.strip() or f"column_{i}" for i, cell in enumerate(cells, 1)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{where}: two columns are named {twice!r}", "rename one of them")
    for mark, what in (("\t", "tabs: name the file .tsv"), (";", "';': save it with commas")):
        if len(names) == 1 and mark in names[0]:
            raise DataError(
                f"{where}: the header is a single column, {names[0]!r}",
                f"it seems to be separated by {what}",
            )
    return names


def _empty_lines(first: int, last: int) -> str:
    return "the line is empty" if first == last else f"lines {first} to {last} are empty"


class _Feed(Iterator[str]):
    """Lines for `csv.reader`, kept from the start of a row so that a broken one can be left."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._again: deque[Line] = deque()
        self.row: list[Line] = []

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.row.append(line)
        return line.text

    def leave_row(self) -> None:
        """Gives all lines of the row but the first once more."""
        self._again.extendleft(reversed(self.row[1:]))
        del self.row[1:]


def _csv_rows(lines: Iterator[Line]) -> Iterator[_Row]:
    feed = _Feed(lines)
    reader = csv.reader(feed, strict=True)
    while True:
        feed.row = []
        try:
            cells: list[str] | str = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # The reader starts afresh on the next call. What looked like the inside of a quoted
            # field is read again as rows of its own.
            cells = _explained(error, feed.row[0].number, feed.row[-1].number)
            feed.leave_row()
        problem = next((line.problem for line in feed.row if line.problem), None)
        yield feed.row[0].number, feed.row[-1].number, problem or cells


def _explained(error: csv.Error, first: int, last: int) -> str:
    reason = str(error)
    if "unexpected end of data" in reason:
        return "a quote opens in this row and is never closed"
    if "field larger than field limit" in reason:
        reason = f"a field is longer than {csv.field_size_limit()} characters"
        return reason + (f" (up to line {last}): is a quote missing?" if last > first else "")
    if "expected after" in reason:
        return "text follows a closing quote; inside a quoted field, write a quote twice"
    return f"the row cannot be read: {reason}"


def _tsv_row(line: Line) -> _Row:
    text = line.text.rstrip("\r\n")
    cells: list[str] | str
    if line.problem:
        cells = line.problem
    elif '"' not in text:
        cells = text.split("\t")
    else:
        try:
            cells = next(csv.reader([text], delimiter="\t", strict=True))
        except csv.Error:
            cells = text.split("\t")
    return line.number, line.number, cells
