"""A published adapter as the store hands it out: where it lies and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .manifest import Manifest


@dataclass(frozen=True, slots=True)
class AdapterSource:
    """One version of an adapter on disk; equal content hash means equal answers."""

    path: Path
    manifest: Manifest
    content_hash: str
