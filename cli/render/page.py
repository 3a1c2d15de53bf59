"""One HTML file that needs nothing beside it: its style, tables and plots stand in it, no script.

What comes in is text; every function escapes it and gives HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from .. import output
from .table import Table

STYLE = """
body { font: 16px/1.5 system-ui, "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei",
  sans-serif; color: #1c1c1c; background: #fff; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 0.3rem; border-bottom: 1px solid #ccc; }
p { max-width: 46rem; margin: 0.5rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.6rem 0; font-size: 0.92rem; }
th, td { padding: 0.2rem 0.7rem 0.2rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #e6e6e6; overflow-wrap: anywhere; }
th { font-weight: 600; overflow-wrap: normal; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.matrix th, .matrix td { border: 1px solid #fff; padding: 0.15rem 0.45rem; overflow-wrap: normal; }
.matrix td { text-align: center; min-width: 1.4rem; font-variant-numeric: tabular-nums; }
.matrix thead th span { writing-mode: vertical-rl; max-height: 14rem; }
.matrix tbody th { font-weight: 400; text-align: right; white-space: nowrap; }
svg { max-width: 100%; height: auto; }
@media print { body { max-width: none; margin: 0; } h2 { break-after: avoid; } }
"""
# A browser is told to fetch nothing, whatever a text may hold.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
RIGHT, WRONG = "33, 102, 172", "214, 96, 22"  # blue and orange, told apart by the colour-blind too


def page(title: str, parts: Iterable[str]) -> str:
    """The whole file, of parts that are HTML."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            f"<h1>{text(title)}</h1>",
            *parts,
            "</body>",
            "</html>",
            "",
        ]
    )


def text(words: str) -> str:
    """Text without what would be markup, or would move a reader's cursor."""
    return escape(output.printable(words))


def heading(words: str) -> str:
    return f"<h2>{text(words)}</h2>"


def paragraph(words: str) -> str:
    return f"<p>{text(words)}</p>"


def table(found: Table) -> str:
    """A table as the terminal has it."""
    kinds = [' class="number"' if right else ' dir="auto"' for _, right in found.columns()]
    head = "".join(
        f"<th{kind}>{text(name)}</th>"
        for (name, _), kind in zip(found.columns(), kinds, strict=True)
    )
    rows = [
        "<tr>"
        + "".join(f"<td{kind}>{text(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in found.rows
    ]
    return _wide(f"<table><thead><tr>{head}</tr></thead>", "<tbody>", *rows, "</tbody></table>")


def heat_map(cells: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> str:
    """A confusion matrix: a row for each expected label, darker the larger its share of the row."""
    count = {(cell["expected"], cell["given"]): cell["n"] for cell in cells}
    names = "".join(f"<th><span>{text(label)}</span></th>" for label in labels)
    rows = []
    for expected in labels:
        row = [count.get((expected, given), 0) for given in labels]
        total = max(1, sum(row))
        shown = "".join(
            _cell(n, n / total, RIGHT if given == expected else WRONG)
            for given, n in zip(labels, row, strict=True)
        )
        rows.append(f"<tr><th>{text(expected)}</th>{shown}</tr>")
    return _wide(
        f'<table class="matrix"><thead><tr><th>expected \\ given</th>{names}</tr></thead>',
        "<tbody>",
        *rows,
        "</tbody></table>",
    )


def _cell(n: int, share: float, colour: str) -> str:
    if not n:
        return "<td></td>"
    ink = "; color: #fff" if share > 0.55 else ""
    return f'<td style="background: rgba({colour}, {0.08 + 0.92 * share:.2f}){ink}">{n}</td>'


def _wide(*lines: str) -> str:
    return "\n".join(['<div class="wide">', *lines, "</div>"])
