"""Names for shell completion; a completion that fails offers nothing and says nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import typer

from adapter_platform.core.errors import PlatformError

from .session import Session


def adapters(ctx: typer.Context, incomplete: str) -> list[str]:
    """Adapters in the store; behind an ``@``, their versions."""
    store = _session(ctx).open_store
    name, at, _ = incomplete.partition("@")
    if at:
        return _offer(incomplete, lambda: [f"{name}@{v}" for v in store().versions(name)])
    return _offer(incomplete, lambda: store().names())


def answering(ctx: typer.Context, incomplete: str) -> list[str]:
    """Who may answer: adapters, and ``auto``."""
    from adapter_platform.core.asked import AUTO

    return [*adapters(ctx, incomplete), *([AUTO] if AUTO.startswith(incomplete) else [])]


def domains(ctx: typer.Context, incomplete: str) -> list[str]:
    """Domains that plugins bring."""
    return _offer(incomplete, lambda: _session(ctx).load_plugins().registry.domains)


def trainable(ctx: typer.Context, incomplete: str) -> list[str]:
    """What ``adapters train`` may be given: domains, and adapters to train again."""
    return sorted({*domains(ctx, incomplete), *adapters(ctx, incomplete.partition("@")[0])})


def bases(ctx: typer.Context, incomplete: str) -> list[str]:
    """Bases that plugins bring."""
    return _offer(incomplete, lambda: _session(ctx).load_plugins().registry.bases)


def plugins(ctx: typer.Context, incomplete: str) -> list[str]:
    """Plugins, loaded or not."""
    infos = _session(ctx).load_plugins
    return _offer(incomplete, lambda: [info.name for info in infos().infos])


def presets(incomplete: str) -> list[str]:
    """Presets of recipes."""

    def names() -> Iterable[str]:
        from adapter_platform.core.training.recipe import PRESETS

        return PRESETS

    return _offer(incomplete, names)


def _offer(incomplete: str, names: Callable[[], Iterable[str]]) -> list[str]:
    # A warning in the middle of a half-typed line would spoil it.
    with redirect_stderr(StringIO()):
        try:
            return [name for name in names() if name.startswith(incomplete)]
        except PlatformError:
            return []


def _session(ctx: typer.Context) -> Session:
    """The session of a line that is only half typed: its options are read, nothing has run."""
    here: typer.Context | None = ctx
    while here is not None:
        directory = here.params.get("store")
        if directory:
            return Session(store=Path(directory))
        here = here.parent  # type: ignore[assignment]  # typer's own contexts are all of one class
    return Session()
