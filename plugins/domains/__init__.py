"""Built-in domains, one folder each, and the reader of domain folders."""

from __future__ import annotations

from pathlib import Path

from .folder import FILE


def folders() -> list[Path]:
    """The built-in domains' folders, by name."""
    return sorted(file.parent for file in Path(__file__).parent.glob(f"*/{FILE}"))
