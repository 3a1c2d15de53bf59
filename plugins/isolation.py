"""Runs a plugin's code so that its failure stays its own, and says in a line what failed."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adapter_platform.core.errors import PlatformError


@contextmanager
def isolated(failed: Callable[[BaseException], None]) -> Iterator[None]:
    """Ends the block, and nothing more, where something in it raises; `failed` hears what.

    A plugin that calls `sys.exit` has failed too. Only an interrupt from the keyboard goes through,
    and what `failed` itself raises.
    """
    try:
        yield
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code may raise anything
        failed(error)


def summary(error: BaseException) -> str:
    """One line: our own errors in their words, others with their type and where they come from."""
    if isinstance(error, PlatformError):
        return f"{error.message} ({error.hint})" if error.hint else error.message
    text = " ".join(str(error).split())
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SyntaxError):  # it says itself where
        return line
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename[:1] != "<"]
    return f"{line} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else line
