"""``platform adapters import``: adapters from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import complete, options, output


def import_adapter(
    ctx: typer.Context,
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIRECTORY",
            help="An exported adapter, or a stock PEFT sequence-classification adapter.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="The adapter's name here; else its own.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="ID",
            help="The base that it was trained on, where it does not say or lies elsewhere.",
            autocompletion=complete.bases,
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="L",
            help="A stock classifier's label names in the order of its logits, one --label each, "
            "where its directory names none.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        options.SchemeKind | None,
        typer.Option("--kind", help="What a stock classifier's labels are; else it says itself."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Publish an adapter from a directory; its logits stay what they were."""
    from adapter_platform.core.errors import DataError

    if not directory.is_dir():
        what = "is a file, not a directory" if directory.exists() else "does not exist"
        raise DataError(f"{directory} {what}", "give the directory that holds adapter_config.json")
    with options.session(ctx).open_platform() as platform:
        manifest = platform.import_adapter(
            directory, name, base, labels=labels, kind=options.kind_name(kind)
        )
    if json:
        output.json_document(manifest.to_dict())
    else:
        output.result(f"imported {manifest.reference}: {len(manifest.scheme.classes)} labels")
