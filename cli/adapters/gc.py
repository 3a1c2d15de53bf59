"""``platform adapters gc``: what writers that died and trainings that stopped have left behind."""

from __future__ import annotations

import typer

from .. import options, output
from ..render.figures import count


def collect(ctx: typer.Context) -> None:
    """Delete what interrupted trainings and imports have left.

    That is what lies half-written in the store, and the checkpoints of trainings that nobody went
    on with for 7 days. What is being written is left alone.
    """
    from adapter_platform.core.training import checkpoints

    session = options.session(ctx)
    removed = session.open_store().gc() + checkpoints.collect(session.settings().cache)
    for path in removed:
        output.result(str(path))
    output.note(f"{count(len(removed), 'leftover')} deleted")
