"""``platform adapters promote``: another version answers from now on."""

from __future__ import annotations

import typer

from adapter_platform.core.errors import UsageError

from .. import options, output


def promote(
    ctx: typer.Context,
    name: options.Reference,
    version: int | None = typer.Argument(
        None, metavar="[VERSION]", help="The version, if not given with @.", show_default=False
    ),
) -> None:
    """Make a version the current one, once its files are seen to be whole."""
    from adapter_platform.core.store.names import parse_reference

    bare, named = parse_reference(name)
    if named is not None and version is not None and named != version:
        raise UsageError(f"{name!r} and {version} name two versions", "give one of them")
    chosen = version if named is None else named
    if chosen is None:
        raise UsageError(
            f"{name!r} does not say which version", f"platform adapters promote {bare} VERSION"
        )
    options.session(ctx).open_store().promote(bare, chosen)
    output.result(f"{bare}@{chosen} is current")
