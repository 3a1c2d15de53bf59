"""Runs rows on their bases, one after the other."""

from __future__ import annotations

import fnmatch
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .bench import Bench, Options
from .machine import facts
from .row import NotHere, Result, Row


def chosen(rows: Sequence[Row], names: Sequence[str], quick: bool) -> list[Row]:
    """The rows whose names match one of the patterns (``floor-*``).

    Without patterns all rows, in a quick run only those with a must.

    Raises:
        KeyError: a pattern matches none.
    """
    for name in names:
        if not any(fnmatch.fnmatch(row.name, name) for row in rows):
            raise KeyError(name)
    if not names:
        return [row for row in rows if row.must is not None or not quick]
    return [row for row in rows if any(fnmatch.fnmatch(row.name, name) for name in names)]


def run(
    rows: Sequence[Row],
    bases: Sequence[str] | None,
    options: Options,
    begun: Callable[[Row, str], None],
) -> Iterator[Result]:
    """Results as they come, base by base, so that one base at a time is in memory.

    Args:
        bases: for every row; None: those that the row asks for.
        begun: told before each row.
    """
    machine = facts(options.threads, options.adapterhub)
    wanted = {row.name: bases or ([row.quick_base] if options.quick else row.bases) for row in rows}
    for base in dict.fromkeys(base for some in wanted.values() for base in some):
        of_base = [row for row in rows if base in wanted[row.name]]
        scratch = Path(tempfile.mkdtemp(prefix="benchmarks-"))
        try:
            bench = Bench(base, options, scratch)
            try:
                for row in of_base:
                    begun(row, base)
                    yield _measure(row, bench, base, machine)
            finally:
                bench.close()
        finally:
            shutil.rmtree(scratch)


def _measure(row: Row, bench: Bench, base: str, machine: dict[str, Any]) -> Result:
    began = time.monotonic()
    try:
        measured = row.measure(bench)
    except NotHere as reason:
        return Result(row, base, missing=str(reason), machine=machine)
    # A peer may fail in any way; the other rows are not lost by it.
    except Exception as error:  # noqa: BLE001 - the row says it, and the run ends with 1
        traceback.print_exc()
        return Result(row, base, failure=f"{type(error).__name__}: {error}", machine=machine)
    return Result(row, base, measured, seconds=time.monotonic() - began, machine=machine)
