"""``python -m benchmarks``: measures the rows, prints the table, exits 1 where a must is missed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .machine import undisturbed

ROUNDS, QUICK_ROUNDS = 15, 5


def main(
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer rounds and smaller rows: within three minutes.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write one object a row.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the ratios (png, svg, pdf).")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Rows by name or pattern; again for more."),
    ] = None,
    base: Annotated[
        list[str] | None,
        typer.Option(
            "--base", metavar="ID", help="Bases; again for more. Else those that rows ask for."
        ),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", metavar="N", min=1, help="Timed rounds.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", min=1, help="torch's threads; else one a core."),
    ] = None,
    adapterhub: Annotated[
        Path | None,
        typer.Option(
            "--adapterhub",
            metavar="PYTHON",
            help="A Python with AdapterHub's `adapters`, which needs an older transformers.",
        ),
    ] = None,
) -> None:
    """Measure how fast, small and exact the engines are, beside named peers."""
    undisturbed()
    from . import report
    from .bench import Options
    from .rows import ROWS
    from .running import chosen, run

    try:
        rows = chosen(ROWS, only or [], quick)
    except KeyError as unknown:
        names = ", ".join(row.name for row in ROWS)
        raise typer.BadParameter(f"no row is called {unknown}; there are {names}") from unknown
    options = Options(
        threads=threads or os.cpu_count() or 1,
        rounds=rounds or (QUICK_ROUNDS if quick else ROUNDS),
        quick=quick,
        adapterhub=adapterhub,
    )
    progress = Console(stderr=True)
    found = []
    for result in run(
        rows, base, options, lambda row, where: progress.print(f"{row.name} on {where}")
    ):
        found.append(result)
        ratio = "" if result.ratio is None else report.figure(result.ratio)
        parts = filter(None, [ratio, report.verdict(result.to_dict())])
        progress.print(f"  {' '.join(parts)}, {result.seconds:.1f} s")
    objects = [result.to_dict() for result in found]
    if json is not None:
        report.write_json(objects, json)
    if plot is not None:
        report.plot(objects, plot)
    report.show(objects, Console())
    if any(result.meets is False for result in found):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
