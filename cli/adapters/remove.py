"""``platform adapters remove``: a version, or a name with all that it has."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from adapter_platform.core.errors import UsageError

from .. import options, output
from ..render.figures import count


def remove(
    ctx: typer.Context,
    name: options.Reference,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove one version (NAME@V), or a name with all its versions."""
    from adapter_platform.core.store.names import parse_reference

    bare, version = parse_reference(name)
    store = options.session(ctx).open_store()
    known = store.versions(bare)
    what = f"{bare} with {count(len(known), 'version')}" if version is None else name
    if not yes and not _confirmed(what):
        output.note("nothing was removed")
        raise typer.Exit(1)
    store.remove(bare, version)
    output.result(f"removed {what}")


def _confirmed(what: str) -> bool:
    """Asks at the terminal. Raises `UsageError` where nobody can answer."""
    if not output.is_terminal(sys.stdin):
        raise UsageError(f"removing {what} needs a yes", "add --yes")
    print(f"remove {what}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
