"""The console script's entry: it imports nothing, so Ctrl-C is caught during all other imports."""

from __future__ import annotations

from typing import NoReturn

INTERRUPTED = 130  # as shells have it


def main() -> NoReturn:
    """Runs the command; leaves with its exit code."""
    try:
        from .main import main as command

        command()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
