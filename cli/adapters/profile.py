"""``platform adapters profile``: what ``--adapter auto`` finds an adapter by, where it has none."""

from __future__ import annotations

import typer

from .. import options, output
from ..progress import shown_progress


def profile(
    ctx: typer.Context,
    name: options.Reference,
    data: options.Data = [],  # noqa: B006 - typer copies it, and shows a tuple's type oddly
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    base: options.OwnBase = None,
    device: options.Device = None,
    json: options.Json = False,
) -> None:
    """Give an adapter what `classify --adapter auto` finds it by; its answers stay as they are.

    Training does so by itself. This is for adapters trained elsewhere and for older ones: it
    publishes the next version, with features of labelled texts in it and not a word of them.
    Without --data, the training texts of the domain under the adapter's name.
    """
    columns = options.columns(text_column, label_column)
    with options.session(ctx).open_platform(device=device) as platform:
        before = platform.resolve(name).manifest
        with shown_progress() as progress:
            manifest = platform.add_profile(
                before.reference,
                options.split_data(data),
                columns=columns,
                base=base,
                progress=progress,
            )
        current = platform.store.is_current(manifest.name, manifest.version)
    published = manifest.version != before.version
    if json:
        output.json_document(
            {"adapter": manifest.reference, "published": published, "current": current}
        )
    elif published:
        output.result(
            f"published {manifest.reference}{', which is now current' if current else ''}"
        )
    else:
        output.result(f"{manifest.reference} has this profile already")
