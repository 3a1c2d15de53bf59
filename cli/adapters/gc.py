"""``platform adapters gc``: what writers that died have left behind."""

from __future__ import annotations

import typer

from .. import options, output
from ..render.figures import count


def collect(ctx: typer.Context) -> None:
    """Delete what interrupted trainings and imports have left in the store."""
    removed = options.session(ctx).open_store().gc()
    for path in removed:
        output.result(str(path))
    output.note(f"{count(len(removed), 'leftover')} deleted")
