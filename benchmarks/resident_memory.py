"""How far a process grows by resident adapters: ``python -m benchmarks.resident_memory ...``

Run anew by `rows.memory`, since a process that has done other things has memory to spare.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from .fixtures.adapters import renamed


def main(
    base: str,
    adapters: Annotated[Path, typer.Argument(help="A folder that `fixtures.adapters` wrote.")],
    count: int,
) -> None:
    """Prints by how many bytes the process has grown, and what the adapters take."""
    from adapter_platform.core.store.manifest import Manifest
    from adapter_platform.core.store.source import AdapterSource

    from .bench import Bench, Options
    from .rows.loading import residents

    bench = Bench(base, Options(threads=1, rounds=1), adapters)
    sources = []
    for directory in sorted(adapters.glob("*/1")):
        manifest = Manifest.read(directory)
        sources.append(AdapterSource(directory, manifest, manifest.content_hash))
    held = residents(bench)
    warm = list(renamed(sources, 16))
    for source in warm:  # what the first loads import and allocate is nobody's
        held.get(source)
    for source in warm:
        held.forget(source.content_hash)
    before, total = resident_bytes(), 0
    for source in renamed(sources, count):
        total += held.get(source)[0].nbytes
    print(json.dumps({"growth": resident_bytes() - before, "bytes": total}))


def resident_bytes() -> int:
    """Of this process, now (proc(5), statm)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    typer.run(main)
