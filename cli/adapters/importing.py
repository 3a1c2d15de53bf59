"""``platform adapters import``: adapters from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import complete, options, output
from ..render.figures import count

if TYPE_CHECKING:
    from adapter_platform.core.store.manifest import Manifest

Promote = Annotated[
    bool, typer.Option("--promote/--no-promote", help="Whether it becomes the current version.")
]


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
    promote: Promote = True,
    allow_worse: Annotated[
        bool,
        typer.Option("--allow-worse", help="Make it current even if it was worse than the probe."),
    ] = False,
    json: options.Json = False,
) -> None:
    """Publish an adapter from a directory; its logits stay what they were."""
    _check(directory, "adapter_config.json")
    with options.session(ctx).open_platform() as platform:
        manifest = platform.import_adapter(
            directory,
            name,
            base,
            labels=labels,
            kind=options.kind_name(kind),
            promote=promote,
            allow_worse=allow_worse,
        )
    _show(manifest, manifest.is_promoted(promote, allow_worse), json)


def import_legacy(
    ctx: typer.Context,
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIRECTORY",
            help="The directory with lora_weights.pth, lora_config.json and label_map.json.",
            show_default=False,
        ),
    ],
    base: Annotated[
        str,
        typer.Option(
            "--base",
            metavar="ID",
            help="The base that it was trained on.",
            autocompletion=complete.bases,
            show_default=False,
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="The adapter's name here; else the directory's.")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="L",
            help="Its label names in the order of its logits, one --label each, where it has no "
            "label_map.json.",
            show_default=False,
        ),
    ] = None,
    promote: Promote = True,
    json: options.Json = False,
) -> None:
    """Publish a checkpoint of the hand-written LoRA classifier; its logits stay what they were."""
    _check(directory, "lora_weights.pth")
    with options.session(ctx).open_platform() as platform:
        manifest = platform.import_legacy(directory, base, name, labels=labels, promote=promote)
    _show(manifest, promote, json)


def _check(directory: Path, file: str) -> None:
    from adapter_platform.core.errors import DataError

    if not directory.is_dir():
        what = "is a file, not a directory" if directory.exists() else "does not exist"
        raise DataError(f"{directory} {what}", f"give the directory that holds {file}")


def _show(manifest: Manifest, promoted: bool, json: bool) -> None:
    if json:
        output.json_document(manifest.to_dict())
        return
    labels = count(len(manifest.scheme.classes), "label")
    where = ", which is now current" if promoted else ", which is not current"
    output.result(f"imported {manifest.reference}: {labels}{where}")
    if not promoted:
        output.note(f"hint: platform adapters promote {manifest.reference} makes it current")
