"""A comparison of two adapters as tables and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .evaluation import TEXT_CELLS, difference, figure, figure_name, interval
from .figures import count, percent, points, span
from .table import Table, shorten


def figures(found: Mapping[str, Any]) -> Table:
    """Each figure of both, with the difference and its interval."""
    rows = [
        (
            figure_name(name),
            figure(name, row["a"]),
            figure(name, row["b"]),
            difference(name, row["difference"]),
            interval(name, row["interval"], signed=True),
        )
        for name, row in found["figures"].items()
    ]
    headings = ("figure", f"{found['a']}>", f"{found['b']}>", "difference>", "95 % interval>")
    return Table.of(headings, rows)


def verdict(found: Mapping[str, Any]) -> str:
    """Whether these texts can tell which of the two is better, by the figure that decides."""
    primary = found["primary"]
    row = found["figures"][primary]
    low, high = row["interval"]
    name, texts = figure_name(primary), count(found["n"], "text")
    if low <= 0 <= high:
        return (
            f"{texts} cannot tell them apart by {name}: the difference is "
            f"{points(row['difference'])} points, 95 % interval {span(low, high, signed=True)}"
        )
    better, worse = (found["b"], found["a"]) if low > 0 else (found["a"], found["b"])
    low, high = sorted((abs(low), abs(high)))
    return (
        f"{better} is better than {worse}: {name} by {100 * abs(row['difference']):.1f} points, "
        f"95 % interval {100 * low:.1f} to {100 * high:.1f}, on {texts}"
    )


def right_and_wrong(found: Mapping[str, Any]) -> Table:
    """Who answered how many texts rightly."""
    test = found["mcnemar"]
    return Table.of(
        ("right", "texts>"),
        [
            ("both", f"{test['both_right']:,}"),
            (f"only {found['a']}", f"{test['only_a']:,}"),
            (f"only {found['b']}", f"{test['only_b']:,}"),
            ("neither", f"{test['both_wrong']:,}"),
        ],
    )


def mcnemar(found: Mapping[str, Any]) -> str:
    """McNemar's test in words."""
    p = found["mcnemar"]["p_value"]
    return f"McNemar's exact test: p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"


def differ(
    found: Mapping[str, Any], limit: int | None = 10, cells: int | None = TEXT_CELLS
) -> Table:
    """Texts that they answer differently, and who was right.

    Args:
        limit: how many; None: all.
        cells: how much of a text is shown; None: all of it.
    """
    rows = [
        (
            str(row["text"]) if cells is None else shorten(str(row["text"]), cells),
            ", ".join(row["expected"]) or "none",
            _answer(row["a"]),
            _answer(row["b"]),
            _right(found, row),
        )
        for row in found["differ"][:limit]
    ]
    return Table.of(("text", "expected", found["a"], found["b"], "right"), rows)


def _answer(side: Mapping[str, Any]) -> str:
    return f"{', '.join(side['given']) or 'none'} {percent(side['confidence'])}"


def _right(found: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    return next((found[side] for side in ("a", "b") if row[side]["right"]), "neither")
