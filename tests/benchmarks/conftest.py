"""A workbench on the tiny base."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.bench import Bench, Options


@pytest.fixture
def bench(tiny_base: Path, tmp_path: Path, private_home: Path) -> Iterator[Bench]:
    found = Bench(str(tiny_base), Options(threads=1, rounds=2, quick=True), tmp_path)
    yield found
    found.close()
