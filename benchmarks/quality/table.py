"""``python -m benchmarks.quality.table FILE``: the figures of `benchmarks.quality.accuracy`.

A document shows it below ``<!-- $ python -m benchmarks.quality.table FILE -->``, as
`docs/refresh.py` writes all its blocks.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .sets import CLINC, FEW_SHOT

METHODS = {"tfidf": "TF-IDF", "probe": "probe", "setfit": "SetFit", "full": "fine-tuning"}
OURS = "ours"


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean, and its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} ± {196 * self.error:.1f}"


def mean(cells: Sequence[Sequence[Mapping[str, Any]]]) -> Figure:
    """Over sets, of the means over their seeds.

    Several seeds of a set share its test texts, so their mean is as sure as the texts allow, or as
    the seeds differ, whichever is less sure; sets are independent of each other.
    """
    values, variances = [], []
    for runs in cells:
        found = [run["value"] for run in runs]
        centre = sum(found) / len(found)
        texts = sum(run["error"] for run in runs) / len(runs)
        seeds = 0.0
        if len(found) > 1:
            spread = sum((value - centre) ** 2 for value in found) / (len(found) - 1)
            seeds = math.sqrt(spread / len(found))
        values.append(centre)
        variances.append(max(texts, seeds) ** 2)
    return Figure(sum(values) / len(values), math.sqrt(sum(variances)) / len(values))


def tables(results: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each set or mean of sets, a column for each method."""
    by_place: dict[tuple[str, int | None, str], dict[str, list[Mapping[str, Any]]]]
    by_place = defaultdict(lambda: defaultdict(list))
    for run in results:
        by_place[run["set"], run["shots"], run.get("part", "")][run["method"]].append(run)
    called = [
        name for name in (*METHODS, OURS) if any(name in found for found in by_place.values())
    ]
    drawn = Table("test texts of", "learnt from", box=None, pad_edge=False)
    for name in called:
        drawn.add_column(METHODS.get(name, name), justify="right", no_wrap=True)

    def add(title: str, shots: int | None, places: Sequence[tuple[str, int | None, str]]) -> None:
        cells = []
        for name in called:
            found = [by_place[place] for place in places if place in by_place]
            runs = [methods[name] for methods in found if name in methods]
            whole = len(runs) == len(places)
            cells.append(str(mean(runs)) if runs and whole else "")
        if any(cells):
            drawn.add_row(title, "all" if shots is None else f"{shots} a class", *cells)

    add("clinc150, mean of 10 domains", None, [(name, None, "") for name in CLINC])
    for shots in (None, 10, 3):
        add("clinc150, mean of 3 domains", shots, [(name, shots, "") for name in FEW_SHOT])
    for place in sorted(by_place, key=lambda p: (p[1] is not None, -(p[1] or 0), p[0], p[2])):
        name, shots, part = place
        metric = next(iter(by_place[place].values()))[0]["metric"].replace("_", " ")
        title = f"{name.split('/')[1]}{', ' + part if part else ''}"
        add(title if metric == "accuracy" else f"{title} ({metric})", shots, [place])
    return drawn


def main(
    file: Annotated[Path, typer.Argument(help="What `benchmarks.quality.accuracy --json` wrote.")],
) -> None:
    """Prints the figures with their 95 % intervals, in points of a hundred."""
    lines = file.read_text(encoding="utf-8").splitlines()
    Console().print(tables([json.loads(line) for line in lines]))


if __name__ == "__main__":
    typer.run(main)
