"""The table for people, the JSON for programs, the plot; and the table of a JSON file again.

``python -m benchmarks.report FILE`` prints the table of a run that was kept; a document shows it
between ``<!-- $ python -m benchmarks.report FILE --only NAME -->`` and the block below, as
`docs/refresh.py` writes all its blocks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import NoneType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

Object = dict[str, Any]

SIGNS = {"at most": "<=", "at least": ">="}

NUMBER = (int, float, NoneType)
SHAPE: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("name", "title", "base", "peer", "note", "missing", "failure"), (str,)),
    **dict.fromkeys(("ratio", "must", "aim"), NUMBER),
    "judge": (str,),
    "meets": (bool, NoneType),
    "machine": (dict,),
}
MACHINE: Mapping[str, tuple[type, ...]] = {
    "cpu": (str,),
    "threads": (int,),
    "python": (str,),
    "versions": (dict,),
}
"""What `show` needs of a row, and of the machine in it."""


def write_json(results: Sequence[Object], path: Path) -> None:
    """A list with one object a row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> list[Object]:
    """What `write_json` wrote.

    Raises:
        ValueError: the file holds something else; the message is a sentence.
        OSError: it cannot be read.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(results, list) or not all(map(_is_row, results)):
        raise ValueError(f"{path} is not what `python -m benchmarks --json FILE` writes")
    return results


def _is_row(value: Any) -> bool:
    return _has(value, SHAPE) and value["judge"] in SIGNS and _has(value["machine"], MACHINE)


def _has(value: Any, shape: Mapping[str, tuple[type, ...]]) -> bool:
    return isinstance(value, dict) and all(
        key in value and isinstance(value[key], types) for key, types in shape.items()
    )


def table(results: Sequence[Object]) -> Table:
    """Rows with their bounds; what could not be measured says why."""
    drawn = Table("what", "beside", "ratio", "must", "aim", "", box=None, pad_edge=False)
    for column in drawn.columns[2:]:
        column.no_wrap = True
        column.justify = "right"
    for base, rows in groupby(results, key=itemgetter("base")):
        drawn.add_row()
        drawn.add_row(f"on {base}", style="bold")
        for row in rows:
            bounds = [bound(row, key) for key in ("must", "aim")]
            ratio = "" if row["ratio"] is None else figure(row["ratio"])
            drawn.add_row(Text(described(row)), row["peer"], ratio, *bounds, verdict(row))
    return drawn


def described(row: Object) -> str:
    """The title, and what has to be known of the figure."""
    return f"{row['title']}\n  {row['note']}" if row["note"] else str(row["title"])


def bound(row: Object, key: str) -> str:
    """``<= 1.15``; empty where there is none."""
    return "" if row[key] is None else f"{SIGNS[row['judge']]} {figure(row[key])}"


def verdict(row: Object) -> str:
    """A word; empty where no must is set, or none applies."""
    if row["missing"]:
        return "not here"
    if row["failure"]:
        return "FAILED"
    if row["meets"] and not reaches_aim(row):
        return "met, not the aim"
    return {True: "met", False: "MISSED", None: ""}[row["meets"]]


def reaches_aim(row: Object) -> bool:
    """True also where there is no aim."""
    if row["aim"] is None:
        return True
    reached: bool = (
        row["ratio"] <= row["aim"] if row["judge"] == "at most" else row["ratio"] >= row["aim"]
    )
    return reached


def figure(value: float) -> str:
    """Three places that matter: 0.987, 1.23, 12.3, 214."""
    places = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{min(3, places)}f}"


def caption(results: Sequence[Object]) -> str:
    """The machine, in a line."""
    machine = results[0]["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] != 1)}"
    return f"{machine['cpu']}, {threads}; Python {machine['python']}, {versions}"


def show(results: Sequence[Object], console: Console) -> None:
    console.print(table(results))
    for row in results:
        if row["failure"]:
            console.print(f"\n{row['name']}: {row['failure']}", highlight=False, markup=False)
    missing = {row["peer"]: row["missing"] for row in results if row["missing"]}
    for peer, how in missing.items():
        console.print(f"\nNot here: {peer}. {how}", highlight=False, markup=False)
    if results:
        console.print(f"\n{caption(results)}", highlight=False, markup=False)


def plot(results: Sequence[Object], path: Path) -> None:
    """Each ratio over its must, on a logarithmic axis: left of one is met."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import StrMethodFormatter

    judged = [row for row in results if row["ratio"] and row["must"]][::-1]
    drawn = Figure(figsize=(9, 1.2 + 0.28 * len(judged)), layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.add_subplot()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
    axes.axvline(1, color="black", linewidth=0.8)
    for place, row in enumerate(judged):
        at_most = row["judge"] == "at most"
        low, share, high = (
            value / row["must"] if at_most else row["must"] / value
            for value in (row["interval_95"][0], row["ratio"], row["interval_95"][1])
        )
        colour = {True: "tab:green", False: "tab:red", None: "tab:gray"}[row["meets"]]
        axes.plot([low, high], [place, place], color=colour, linewidth=1)
        axes.plot(share, place, "o", color=colour, markersize=4)
        if row["aim"]:
            aim = row["aim"] / row["must"] if at_most else row["must"] / row["aim"]
            axes.plot(aim, place, "|", color="black", markersize=8)
    axes.set_yticks(
        range(len(judged)), [f"{row['name']}  {figure(row['ratio'])}" for row in judged]
    )
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlabel("share of what is allowed (left of 1: met; |: the aim; bar: 95 % interval)")
    axes.margins(y=0.02)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(path, dpi=150)


def some(results: Sequence[Object], names: Sequence[str], bases: Sequence[str]) -> list[Object]:
    """The rows whose names match a pattern (``floor-*``), on those bases; no list leaves all."""
    return [
        row
        for row in results
        if not bases or row["base"] in bases
        if not names or any(fnmatch(row["name"].rpartition("/")[0], name) for name in names)
    ]


def main(
    file: Annotated[
        Path,
        typer.Argument(
            help="What `python -m benchmarks --json FILE` wrote.", exists=True, dir_okay=False
        ),
    ],
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Rows by name or pattern; again for more."),
    ] = None,
    base: Annotated[
        list[str] | None, typer.Option("--base", metavar="ID", help="Bases; again for more.")
    ] = None,
) -> None:
    """Prints the table of a run that was kept, or some of its rows."""
    try:
        kept = read_json(file)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    results = some(kept, only or [], base or [])
    if not results:
        raise typer.BadParameter("no row of the file is so called")
    show(results, Console())


if __name__ == "__main__":
    typer.run(main)
