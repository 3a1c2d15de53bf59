"""Commands from plugins: each plugin fills an app of its own, which joins ours if it stands.

So a command with a signature that Typer refuses, or a name that is taken, costs only its plugin's
commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from adapter_platform.core.errors import PluginError

if TYPE_CHECKING:
    from typer import Typer


def join(app: Typer, call: Callable[..., Any], owners: dict[str, str], plugin: str) -> list[str]:
    """Lets one plugin's `register_commands` add to `app`; the names that it added.

    Args:
        call: ``call(app=...)`` is the hook.
        owners: command name to the plugin that brought it, "" for our own; gains the new names.

    Raises:
        PluginError: a command's name is taken, or there is a callback, which would have to run
            before everyone's commands; nothing is added.
        Exception: whatever the plugin raises; nothing is added.
    """
    import typer
    from typer.main import get_group

    own = typer.Typer()
    call(app=own)
    if own.registered_callback is not None:
        raise PluginError(
            "register_commands() gives 'platform' a callback, and a plugin may only add commands",
            "put the callback on a group of your own: app.add_typer(group, name=...)",
        )
    if not own.registered_commands and not own.registered_groups:
        return []
    names = list(get_group(own).commands)
    for name in names:
        if name in owners:
            owner = f"the plugin {owners[name]!r}" if owners[name] else "the platform itself"
            raise PluginError(f"the command {name!r} is taken by {owner}")
    app.registered_commands += own.registered_commands
    app.registered_groups += own.registered_groups
    owners.update(dict.fromkeys(names, plugin))
    return names


def names_in(app: Typer) -> Iterable[str]:
    """The names of the commands and groups of an app, without building them."""
    from typer.main import get_command_name

    for command in app.registered_commands:
        if command.name or command.callback:
            yield command.name or get_command_name(getattr(command.callback, "__name__", ""))
    for group in app.registered_groups:
        name = group.name
        if not isinstance(name, str) and group.typer_instance:
            name = group.typer_instance.info.name
        if isinstance(name, str):
            yield name
