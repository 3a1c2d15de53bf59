"""Prints `command.md`, the reference of the command, from what ``--help`` says.

python docs/make_command_md.py > docs/command.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from adapter_platform.cli.group import Group
from adapter_platform.cli.main import app

WIDTH = 90
INTRODUCTION = """\
# The command `platform`

This page is printed by `python docs/make_command_md.py` from what `--help` says; a test compares \
them.

- Results go to standard output; progress, notes, warnings and errors to standard error.
- Exit codes: 0 done; 1 an error, said in one sentence (`error: ...`, and `hint: ...` where there \
is one); 2 the command was worded wrongly; 130 interrupted by Ctrl-C; 141 the reader of a pipe has \
left.
- `--store` and `-v` may stand before the subcommand or after it. Settings come from options, then \
`PLATFORM_*` environment variables, then `platform.toml` in the working directory.
- On a terminal, tables are drawn to its width; elsewhere they are plain columns, never cropped. \
`NO_COLOR` and `TERM=dumb` are honoured.
- `platform --install-completion` teaches your shell to complete commands, options, and the names \
of adapters, domains, bases and plugins.
- Plugins may add commands; those are not on this page.
"""


def page() -> str:
    """The page as Markdown."""
    command: Any = get_command(app)
    context = command.make_context("platform", [], resilient_parsing=True, terminal_width=WIDTH)
    sections = [INTRODUCTION]
    for name, text in helps(command, context):
        sections.append(f"## {name}\n\n```text\n{text.rstrip()}\n```\n")
    return "\n".join(sections)


def helps(command: Any, context: Any) -> Iterator[tuple[str, str]]:
    """The path and help text of a command and of those below it; plugins' commands left out."""
    if not isinstance(command, Group):
        yield context.command_path, context.get_help()
        return
    if context.parent is not None:
        yield context.command_path, context.get_help()
    for name in command.ours:
        below: Any = command.get_command(context, name)
        yield from helps(
            below, below.make_context(name, [], parent=context, resilient_parsing=True)
        )


if __name__ == "__main__":
    print(page(), end="")
