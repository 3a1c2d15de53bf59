"""The adapters that come with the package, read-only, under whatever a user publishes."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def packaged_starters() -> Path | None:
    """Where the package's own adapters lie, or None where they were left out."""
    spec = importlib.util.find_spec("adapter_platform.adapters_store")
    return Path(spec.origin).parent if spec and spec.origin else None
