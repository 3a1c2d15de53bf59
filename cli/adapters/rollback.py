"""``platform adapters rollback``: back to the version before."""

from __future__ import annotations

import typer

from .. import options, output


def rollback(ctx: typer.Context, name: options.Name) -> None:
    """Make the version before the current one current again."""
    version = options.session(ctx).open_store().rollback(name)
    output.result(f"{name}@{version} is current")
