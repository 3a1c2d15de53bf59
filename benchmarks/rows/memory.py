"""What resident adapters take beyond their own bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..measured import Measured
from ..row import DEFAULT, NotHere, Row

if TYPE_CHECKING:
    from ..bench import Bench

RESIDENT = 500
FILES = 64
ROOT = Path(__file__).resolve().parents[2]


def growth(bench: Bench) -> Measured:
    """Measured in a process of its own."""
    if not sys.platform.startswith("linux"):
        raise NotHere("memory is read from /proc")
    folder = bench.adapters(FILES)[0].path.parents[1]
    arguments = ["-m", "benchmarks.resident_memory", bench.base.id, str(folder), str(RESIDENT)]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    found = json.loads(done.stdout)
    note = f"{found['bytes'] / RESIDENT / 1e6:.1f} MB each"
    return Measured([float(found["growth"])], [float(found["bytes"])], unit="bytes", note=note)


ROWS = (
    Row(
        "resident-memory",
        f"memory growth by {RESIDENT} resident adapters",
        "their tensors' bytes",
        growth,
        "at most",
        1.1,
        1.02,
        DEFAULT,
    ),
)
