"""Tables: drawn by rich on a terminal, else plain columns that no width ever crops."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .. import output

GAP = "  "
FOLDED = 14  # cells below which no column of a drawn table is folded


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under headings.

    Attributes:
        headings: one a column; those that end in ``>`` are aligned to the right.
        rows: as many cells each as there are headings.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
        """A table whose cells can do a terminal no harm."""
        clean = (tuple(output.printable(cell) for cell in row) for row in rows)
        return cls(tuple(headings), tuple(clean))

    def columns(self) -> list[tuple[str, bool]]:
        """Heading and whether the column is aligned to the right."""
        return [(heading.rstrip(">"), heading.endswith(">")) for heading in self.headings]


def draw(table: Table) -> None:
    """Puts the table on standard output."""
    if not output.is_terminal(sys.stdout):
        for line in plain(table):
            output.result(line)
        return
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    # Drawn into a string first: a broken pipe or full disk then fails in one place only.
    console = Console(highlight=False)
    table = without_empty_columns(table)
    if sum(min(cells, FOLDED) + 1 for cells in widths(table)) > console.width + 1:
        for line in stacked(table):
            output.result(line)
        return
    roomy = sum(cells + len(GAP) for cells in widths(table)) <= console.width + len(GAP)
    gap = len(GAP) if roomy else 1
    drawn = RichTable(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for (heading, right), cells in zip(table.columns(), widths(table), strict=True):
        drawn.add_column(
            Text(heading),
            justify="right" if right else "left",
            overflow="fold",
            min_width=min(cells, FOLDED),
        )
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    with console.capture() as capture:
        console.print(drawn)
    output.result(capture.get().strip("\n"))


def plain(table: Table) -> list[str]:
    """The table as lines of aligned columns; Chinese characters count two cells."""
    headings = tuple(heading for heading, _ in table.columns())
    rights = [right for _, right in table.columns()]
    return [
        GAP.join(pad(*cell) for cell in zip(line, widths(table), rights, strict=True)).rstrip()
        for line in (headings, *table.rows)
    ]


def without_empty_columns(table: Table) -> Table:
    """The table without the columns in which no row says anything; width is dear on a screen."""
    kept = [i for i in range(len(table.headings)) if any(row[i] for row in table.rows)]
    return Table(
        tuple(table.headings[i] for i in kept),
        tuple(tuple(row[i] for i in kept) for row in table.rows),
    )


def stacked(table: Table) -> list[str]:
    """The table as blocks of ``heading  cell`` lines, for screens too narrow for columns."""
    headings = [heading for heading, _ in table.columns()]
    cells = max(width(heading) for heading in headings)
    lines: list[str] = []
    for row in table.rows:
        filled = [(h, cell) for h, cell in zip(headings, row, strict=True) if cell]
        lines += ["", *(f"{pad(heading, cells)}{GAP}{cell}" for heading, cell in filled)]
    return lines[1:]


def widths(table: Table) -> list[int]:
    """The widest cell of each column, in terminal cells."""
    headings = [heading for heading, _ in table.columns()]
    return [max(map(width, column)) for column in zip(headings, *table.rows, strict=True)]


def pad(text: str, cells: int, right: bool = False) -> str:
    """The text filled up with spaces to a width in terminal cells."""
    space = " " * (cells - width(text))
    return space + text if right else text + space


def width(text: str) -> int:
    """Terminal cells that a text takes: two for East Asian wide characters, none for marks."""
    return sum(_cells(character) for character in text)


def shorten(text: str, cells: int) -> str:
    """The text cut to a width in cells, with an ellipsis where it was cut."""
    text = output.printable(text)
    if width(text) <= cells:
        return text
    kept, used = "", 1
    for character in text:
        used += _cells(character)
        if used > cells:
            break
        kept += character
    return f"{kept}…"


def _cells(character: str) -> int:
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    return 0 if unicodedata.category(character) in ("Mn", "Me", "Cf") else 1
