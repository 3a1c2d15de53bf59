"""A registry of the built-in sources, and a way to write a file in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapter_platform.core.registry import Brought, Registry
from adapter_platform.plugins.sources.csv_file import CsvSource, TsvSource
from adapter_platform.plugins.sources.hub import HubSource
from adapter_platform.plugins.sources.jsonl import JsonlSource
from adapter_platform.plugins.sources.parquet import ParquetSource


@pytest.fixture
def registry() -> Registry:
    sources = (CsvSource(), TsvSource(), JsonlSource(), ParquetSource(), HubSource())
    return Registry(sources={source.name: Brought(source, "built-in") for source in sources})


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], str]:
    """``write(name, content) -> path``."""

    def _write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return _write
