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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from . import label_errors, routing, scope, speed, suggest
from .accuracy import OURS
from .document import show
from .sets import CLINC, FEW_SHOT

METHODS = {
    "tfidf": "TF-IDF",
    "probe": "probe",
    "probe-names": "probe,\nnames",
    "setfit": "SetFit",
    "full-5e-5": "tuned,\n5e-5",
    "full-2e-4": "tuned,\n2e-4",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean, and its standard error."""

    value: float
    error: float

    def __format__(self, form: str) -> str:
        """Points of a hundred and 95 % on either side, both in the format of a number."""
        return f"{100 * self.value:{form}} ± {196 * self.error:{form.lstrip('+')}}"


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


Place = tuple[str, int | None, str]
"""A set, the examples a class that were learnt from (None: all), and the part that is judged."""
Runs = Mapping[str, Sequence[Mapping[str, Any]]]
"""By method, a run a seed."""


def by_place(results: Sequence[Mapping[str, Any]]) -> dict[Place, Runs]:
    """The results in order of place and seed; of two for one place the later stands."""
    found: dict[Place, dict[str, dict[int, Mapping[str, Any]]]]
    found = defaultdict(lambda: defaultdict(dict))
    for run in results:
        place = run["set"], run["shots"], run.get("part", "")
        found[place][run["method"]][run["seed"]] = run
    return {
        place: {name: [runs[seed] for seed in sorted(runs)] for name, runs in methods.items()}
        for place, methods in sorted(
            found.items(), key=lambda item: (item[0][1] is not None, -(item[0][1] or 0), item[0])
        )
    }


def gained(runs: Runs, other: str) -> list[dict[str, Any]] | None:
    """What ours is better by, for each seed of the other that ours has too: as runs are, the errors
    those of differences on the same texts. None where no seed has both, with their draws."""
    ours = {run["seed"]: run for run in runs.get(OURS, ()) if "draws" in run}
    theirs = [run for run in runs.get(other, ()) if "draws" in run]
    pairs = [(ours[run["seed"]], run) for run in theirs if run["seed"] in ours]
    return [
        {
            "value": own["value"] - run["value"],
            "error": float(np.std(np.subtract(own["draws"], run["draws"]))),
        }
        for own, run in pairs
    ] or None


def tables(
    results: Sequence[Mapping[str, Any]], columns: Sequence[str] = (*METHODS, OURS)
) -> Iterator[Table]:
    """A row for each set or mean of sets: a column for each method, then what ours gains on each
    of the others."""
    places = by_place(results)
    there = {name for runs in places.values() for name in runs}
    called = [name for name in columns if name in there]

    def drawn(first: str, columns: Sequence[str], cells: Mapping[Place, Runs], form: str) -> Table:
        table = Table(first, "learnt\nfrom", box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for name in columns:
            table.add_column(METHODS.get(name, name), justify="right", no_wrap=True)

        def add(title: str, shots: int | None, asked: Sequence[Place]) -> None:
            row = []
            for name in columns:
                runs = [cells[place][name] for place in asked if name in cells.get(place, ())]
                whole = runs and len(runs) == len(asked)
                row.append(format(mean(runs), form) if whole else "")
            if any(row):
                table.add_row(title, "all" if shots is None else f"{shots} a class", *row)

        add("clinc150, mean of 10", None, [(name, None, "") for name in CLINC])
        for shots in (None, 10, 3):
            add("clinc150, mean of 3", shots, [(name, shots, "") for name in FEW_SHOT])
        for place, runs in places.items():
            name, shots, part = place
            metric = next(iter(runs.values()))[0]["metric"].replace("_", " ")
            title = f"{name.split('/')[1]}{', ' + part if part else ''}"
            add(title if metric == "accuracy" else f"{title} ({metric})", shots, [place])
        return table

    yield drawn("test texts of", called, places, ".1f")
    others = [name for name in called if name != OURS]
    gains = {
        place: {name: gain for name in others if (gain := gained(runs, name))}
        for place, runs in places.items()
    }
    if OURS in called and others:
        yield drawn("ours over", others, gains, "+.1f")


app = typer.Typer(help="Figures that were measured and kept.", add_completion=False)
Kept = Annotated[Path, typer.Argument(help="What the script's --json wrote.")]


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@app.command("accuracy")
def show_accuracy(
    file: Kept,
    column: Annotated[
        list[str] | None, typer.Option(help="Methods and recipes by name; else the usual ones.")
    ] = None,
) -> None:
    """Of each method on each set, with 95 % intervals, in points of a hundred."""
    for drawn in tables(_lines(file), column or (*METHODS, OURS)):
        Console().print(drawn)


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
