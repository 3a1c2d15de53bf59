"""``platform adapters verify``: whether files are what the manifests say."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import complete, options, output
from ..render.figures import count


def verify(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME[@V]",
            help="Adapters; without one, the current version of each.",
            autocompletion=complete.adapters,
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Hash every file of an adapter against its manifest; exit 1 if one is damaged."""
    from adapter_platform.core.errors import StoreError
    from adapter_platform.core.store.names import parse_reference

    store = options.session(ctx).open_store()
    found: dict[str, list[str]] = {}
    for reference in names or store.names():
        name, version = parse_reference(reference)
        try:
            found[reference] = store.verify(name, version)
        except StoreError as error:
            if names:
                raise
            found[reference] = [error.message]  # the others are still worth a look
    damaged = [reference for reference, problems in found.items() if problems]
    if json:
        output.json_document({name: {"problems": found[name]} for name in found})
    else:
        for reference, problems in found.items():
            if not problems:
                output.result(f"{reference}: whole")
            for problem in problems:
                output.result(f"{reference}: {problem}")
    if damaged:
        output.note(f"error: {count(len(damaged), 'adapter')} not as published")
        raise typer.Exit(1)
