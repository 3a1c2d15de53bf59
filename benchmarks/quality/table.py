"""``python -m benchmarks.quality.table KIND FILE``: figures that were measured and kept.

KIND is the script of `benchmarks.quality` whose ``--json`` wrote the file: ``accuracy``,
``routing``, ``scope``, ``speed``, ``legacy``, ``label-errors`` or ``suggest``. A document shows it
below ``<!-- $ python -m benchmarks.quality.table KIND FILE -->``, as `docs/refresh.py` writes all
its blocks.
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

from . import label_errors, routing, scope, speed, suggest
from .document import show
from .sets import CLINC, FEW_SHOT

METHODS = {
    "tfidf": "TF-IDF",
    "probe": "probe",
    "probe-names": "probe, names",
    "setfit": "SetFit",
    "full": "fine-tuning",
}
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

    Several seeds of a set share its test texts: how these were drawn and how the seeds differ are
    independent, so their variances add. Sets are independent of each other.
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
        variances.append(texts**2 + seeds**2)
    return Figure(sum(values) / len(values), math.sqrt(sum(variances)) / len(values))


def tables(results: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each set or mean of sets, a column for each method."""
    by_seed: dict[tuple[str, int | None, str], dict[str, dict[int, Mapping[str, Any]]]]
    by_seed = defaultdict(lambda: defaultdict(dict))
    for run in results:  # the later of two stands
        place = run["set"], run["shots"], run.get("part", "")
        by_seed[place][run["method"]][run["seed"]] = run
    by_place = {
        place: {name: list(runs.values()) for name, runs in methods.items()}
        for place, methods in by_seed.items()
    }
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


app = typer.Typer(help="Figures that were measured and kept.", add_completion=False)
Kept = Annotated[Path, typer.Argument(help="What the script's --json wrote.")]


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@app.command("accuracy")
def show_accuracy(file: Kept) -> None:
    """Of each method on each set, with 95 % intervals, in points of a hundred."""
    Console().print(tables(_lines(file)))


@app.command("routing")
def show_routing(file: Kept) -> None:
    """How often ``--adapter auto`` is right, with 95 % intervals."""
    show(file, routing.lines)


@app.command("scope")
def show_scope(file: Kept) -> None:
    """How well an adapter knows what is out of its scope, and how well it is calibrated."""
    for drawn in scope.tables(_lines(file)):
        Console().print(drawn)


@app.command("speed")
def show_speed(file: Kept) -> None:
    """How fast a training is beside the plain Trainer."""
    show(file, speed.lines)


@app.command("legacy")
def show_legacy(file: Kept) -> None:
    """How near imported checkpoints of hand-written LoRA are to the old model's answers."""
    from . import legacy  # brings torch

    show(file, legacy.lines)


@app.command("label-errors")
def show_label_errors(file: Kept) -> None:
    """How many wrong labels are found, and how many of those found are wrong."""
    show(file, label_errors.lines)


@app.command("suggest")
def show_suggest(file: Kept) -> None:
    """What texts that are suggested are worth beside as many drawn at random."""
    show(file, suggest.lines)


if __name__ == "__main__":
    app()
