"""``platform adapters export``: an adapter as a directory for elsewhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .. import options, output


class Format(StrEnum):
    """What an export may be."""

    platform = "platform"
    stock = "stock"


def export_adapter(
    ctx: typer.Context,
    name: options.Reference,
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="A new directory.", show_default=False)
    ],
    format_: Annotated[
        Format,
        typer.Option(
            "--format",
            help="platform: as it lies in a store; stock: PEFT's own sequence-classification "
            "adapter (pooler heads only).",
        ),
    ] = Format.platform,
    base: options.OwnBase = None,
) -> None:
    """Write an adapter into a directory."""
    with options.session(ctx).open_platform() as platform:
        written = platform.export_adapter(name, directory, format_.value, base=base)
    output.result(str(written))
