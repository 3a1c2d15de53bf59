"""``platform plugins``: who brings what, and who failed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from . import complete, options, output
from .group import Group, Root
from .render.table import Table, draw, pad

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapter_platform.plugins.manager import PluginInfo


class Plugins(Group):
    """Its commands."""

    ours = {  # noqa: RUF012 - a constant of the class that it overrides
        "list": "plugins:list_plugins",
        "show": "plugins:show",
    }


app = typer.Typer(
    cls=Plugins,
    help="Look at plugins: who brings what, and who failed.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def list_plugins(ctx: typer.Context, json: options.Json = False) -> None:
    """List every plugin with what it brings; one that failed says why."""
    infos = known_plugins(ctx)
    if json:
        output.json_document([asdict(info) for info in infos])
        return
    headings = ("name", "version", "from", "brings", "state")
    draw(Table.of(headings, [_row(info) for info in infos]))
    for info in infos:
        if info.failure:
            output.warn(f"the plugin {info.name!r} failed: {output.printable(info.failure)}")


def show(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The plugin's name.",
            autocompletion=complete.plugins,
            show_default=False,
        ),
    ],
    json: options.Json = False,
) -> None:
    """Show one plugin: where it comes from, its hooks, what it brings."""
    from adapter_platform.core.errors import unknown

    infos = known_plugins(ctx)
    found = [info for info in infos if info.name == name]
    if not found:
        raise unknown("plugin", name, [info.name for info in infos])
    if json:
        output.json_document([asdict(info) for info in found])
        return
    for number, info in enumerate(found):
        if number:
            output.result()
        for what, value in _facts(info):
            if value:
                output.result(output.printable(f"{pad(what, 10)}  {value}"))


def known_plugins(ctx: typer.Context) -> Sequence[PluginInfo]:
    """Every plugin found, its commands registered too, so that they are listed with the rest."""
    scratch = typer.Typer(add_completion=False)
    plugins = options.session(ctx).load_plugins()
    root = ctx.find_root().command
    plugins.register_commands(scratch, reserved=tuple(root.ours) if isinstance(root, Root) else ())
    return plugins.infos


def _row(info: PluginInfo) -> tuple[str, ...]:
    brings = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in info.brought.items())
    return (info.name, info.version or "-", info.origin, brings or "-", _state(info))


def _state(info: PluginInfo) -> str:
    if info.skipped:
        return "left out by the allow-list"
    return "failed" if info.failure else "loaded"


def _facts(info: PluginInfo) -> list[tuple[str, str]]:
    brings = [(kind, ", ".join(names)) for kind, names in info.brought.items()]
    return [
        ("plugin", info.name),
        ("version", info.version),
        ("from", info.origin),
        ("location", info.location),
        ("state", _state(info)),
        ("failure", info.failure or ""),
        ("hooks", ", ".join(info.hooks)),
        *brings,
        ("took", f"{1000 * info.seconds:.0f} ms"),
    ]
