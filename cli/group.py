"""The commands as groups: names with suggestions, plugins' commands, failures as sentences."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from adapter_platform.core.errors import PlatformError, UsageError, unknown

from . import output
from .session import Session

if TYPE_CHECKING:
    from typer._click.core import Command, Context

INTERRUPTED = 130


class Group(TyperGroup):
    """Commands that are imported when they are asked for: each run pays for one alone.

    Attributes:
        ours: by name, ``module:function`` of a command or ``module:app`` of a group, below `cli`.
    """

    ours: Mapping[str, str] = {}

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """The command of this name, or None."""
        if cmd_name not in self.commands and cmd_name in self.ours:
            self.commands[cmd_name] = _load(cmd_name, self.ours[cmd_name])
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Context) -> list[str]:
        """The names of all commands, ours first."""
        return list(dict.fromkeys([*self.ours, *super().list_commands(ctx)]))

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        """The command that the arguments name. Raises `UsageError`."""
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-"):
            command = self.get_command(ctx, name)
            if command is None:
                raise unknown("command", name, self.list_commands(ctx), UsageError)
            return name, command, args[1:]
        return super().resolve_command(ctx, args)


def _load(name: str, place: str) -> Command:
    """Imports a command or group, and builds it."""
    from typer.main import get_command, get_group

    from .options import Command as OurCommand

    module, _, attribute = place.partition(":")
    found = getattr(importlib.import_module(f"{__package__}.{module}"), attribute)
    if isinstance(found, typer.Typer):
        group = get_group(found)
        group.name = name
        return group
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, cls=OurCommand)(found)
    return get_command(app)


class Root(Group):
    """``platform`` itself.

    Plugins are loaded for their commands only where ours do not suffice: for a name that is not
    ours, for the list in ``--help``, and for completion. So a plugin costs `adapters list` nothing.
    """

    ours: Mapping[str, str] = {
        "classify": "classify:classify",
        "adapters": "adapters:app",
        "domains": "domains:app",
        "bases": "bases:app",
        "plugins": "plugins:app",
        "data": "data:app",
        "doctor": "doctor:doctor",
    }
    _extended = False

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """Ours, or else a plugin's."""
        if cmd_name not in self.ours:
            self._extend(ctx)
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Context) -> list[str]:
        """Ours and the plugins'."""
        self._extend(ctx)
        return super().list_commands(ctx)

    def _extend(self, ctx: Context) -> None:
        if self._extended:
            return
        self._extended = True
        from typer.main import get_group

        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        session = ctx.obj if isinstance(ctx.obj, Session) else Session()
        try:
            session.load_plugins().register_commands(app, reserved=tuple(self.ours))
        except PlatformError:
            # Help and completion must not depend on settings being right; a command does.
            if ctx.obj is not None:
                raise
            return
        if app.registered_commands or app.registered_groups:
            for name, command in get_group(app).commands.items():
                self.commands.setdefault(name, command)

    def invoke(self, ctx: Context) -> Any:
        """Runs the subcommand; an interrupt and a reader that has left end it in quiet."""
        try:
            value = super().invoke(ctx)
            output.flush()
        except KeyboardInterrupt:
            output.note("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            output.drop_output()
            raise typer.Exit(output.PIPE_CLOSED) from None
        return value

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs the command line and leaves with its exit code.

        What is no `PlatformError` and no mistake in the wording is a bug, and goes through.
        """
        run = super().main
        given = (args, prog_name, complete_var)
        if not standalone_mode:
            return run(*given, False, windows_expand_args, **extra)
        output.prepare_streams()
        try:
            code = run(*given, False, windows_expand_args, **extra)
        except PlatformError as error:
            output.fail(error)
            code = error.exit_code
        except typer.Abort:
            output.note("stopped: the input has ended")
            code = 1
        except typer.TyperException as error:
            code = _misworded(error)
        sys.exit(code if isinstance(code, int) else 0)


def _misworded(error: typer.TyperException) -> int:
    """Typer's own complaints, in the form of ours."""
    ctx = getattr(error, "ctx", None)
    message = error.format_message()
    bare_group = ctx is not None and isinstance(ctx.command, TyperGroup)
    if ctx is not None and bare_group and message == ctx.get_help():  # no subcommand was given
        output.note(message)
        return error.exit_code
    hint = f"{ctx.command_path} --help shows how it is used" if ctx is not None else None
    message = message.replace("Value error, ", "")  # pydantic's, before a sentence of typer's
    sentence = (message[:1].lower() + message[1:]).rstrip(".")
    output.fail(PlatformError(sentence, hint))
    return error.exit_code
