"""``platform doctor``: whether everything that the platform needs is here and works."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from . import options, output
from .render.figures import count
from .render.table import pad

if TYPE_CHECKING:
    from .checks import Check


def doctor(ctx: typer.Context, json: options.Json = False) -> None:
    """Check versions, device, base, store, starters and plugins; exit 1 if one is broken."""
    from .checks import BROKEN
    from .health import examine

    checks: list[Check] = []
    for check in examine(options.session(ctx)):
        checks.append(check)
        if not json:
            _show(check)
    broken = [check for check in checks if check.state == BROKEN]
    if json:
        output.json_document({"healthy": not broken, "checks": [asdict(check) for check in checks]})
    if broken:
        names = ", ".join(check.name for check in broken)
        output.note(f"error: {count(len(broken), 'thing')} broken: {names}")
        raise typer.Exit(1)


def _show(check: Check) -> None:
    output.result(output.printable(f"{pad(check.state, 7)}  {pad(check.name, 17)}  {check.detail}"))
    if check.hint and check.state != "ok":
        output.result(output.printable(f"{'':7}  {'':17}  hint: {check.hint}"))
    output.flush()  # the slow ones come last
