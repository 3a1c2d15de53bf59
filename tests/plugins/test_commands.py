"""Commands from plugins join ours, and a plugin that fails costs only its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from adapter_platform.core.errors import PluginError
from adapter_platform.plugins.hookspecs import hookimpl


class Adds:
    def __init__(self, fill: Callable[[typer.Typer], None]) -> None:
        self._fill = fill

    @hookimpl
    def register_commands(self, app: typer.Typer) -> None:
        self._fill(app)


def hello(app: typer.Typer) -> None:
    @app.command()
    def hello() -> None:
        print("hello from a plugin")


def takes_classify(app: typer.Typer) -> None:
    hello(app)
    app.command("classify")(lambda: None)


def takes_a_group(app: typer.Typer) -> None:
    group = typer.Typer(name="adapters")
    hello(group)
    app.add_typer(group)


def half_way(app: typer.Typer) -> None:
    hello(app)
    raise ValueError("no licence")


def has_a_callback(app: typer.Typer) -> None:
    hello(app)

    @app.callback()
    def before_all() -> None: ...


def bad_signature(app: typer.Typer) -> None:
    @app.command()
    def bad(thing: NotThere) -> None: ...  # type: ignore[name-defined]  # noqa: F821 - the mistake


@pytest.fixture
def app() -> typer.Typer:
    """A command with a command and a group of its own."""
    app = typer.Typer()
    app.command()(classify)
    group = typer.Typer()
    group.command("list")(classify)
    app.add_typer(group, name="adapters")
    return app


def classify() -> None:
    print("classified")


def test_a_plugins_command_runs_beside_ours(load: Any, info_of: Any, app: typer.Typer) -> None:
    plugins = load({"adds": Adds(hello)})
    plugins.register_commands(app)
    assert CliRunner().invoke(app, ["hello"]).stdout == "hello from a plugin\n"
    assert CliRunner().invoke(app, ["classify"]).stdout == "classified\n"
    assert info_of(plugins, "adds").brought == {"command": ("hello",)}


def test_a_group_of_a_plugins_own_may_have_a_callback(
    load: Any, info_of: Any, app: typer.Typer
) -> None:
    def adds_a_group(app: typer.Typer) -> None:
        group = typer.Typer()
        hello(group)
        group.callback()(lambda: print("first"))
        app.add_typer(group, name="acme")

    plugins = load({"adds": Adds(adds_a_group)})
    plugins.register_commands(app)
    assert info_of(plugins, "adds").failure is None
    assert CliRunner().invoke(app, ["acme", "hello"]).stdout == "first\nhello from a plugin\n"


@pytest.mark.parametrize(
    ("fill", "sentence"),
    [
        (takes_classify, "the command 'classify' is taken by the platform itself"),
        (takes_a_group, "the command 'adapters' is taken by the platform itself"),
        (half_way, "register_commands() raised ValueError: no licence"),
        (bad_signature, "register_commands() raised"),
        (has_a_callback, "register_commands() gives 'platform' a callback"),
    ],
)
def test_a_plugin_that_fails_adds_nothing_and_the_others_do(
    load: Any, info_of: Any, app: typer.Typer, fill: Any, sentence: str
) -> None:
    plugins = load({"bad": Adds(fill), "good": Adds(hello)})
    plugins.register_commands(app)
    assert sentence in info_of(plugins, "bad").failure
    assert info_of(plugins, "good").failure is None
    assert CliRunner().invoke(app, ["hello"]).stdout == "hello from a plugin\n"
    assert CliRunner().invoke(app, ["adapters", "list"]).stdout == "classified\n"


def test_the_second_plugin_with_a_command_of_one_name_is_refused(
    load: Any, info_of: Any, app: typer.Typer
) -> None:
    plugins = load({"one": Adds(hello), "two": Adds(hello)})
    plugins.register_commands(app)
    failure = info_of(plugins, "two").failure
    assert failure == "the command 'hello' is taken by the plugin 'one'"


def test_names_that_the_command_reserves_are_taken(
    load: Any, info_of: Any, app: typer.Typer
) -> None:
    plugins = load({"one": Adds(hello)})
    plugins.register_commands(app, reserved=["hello"])
    assert "taken by the platform itself" in info_of(plugins, "one").failure


def test_in_strict_mode_a_failing_command_is_fatal(load: Any, app: typer.Typer) -> None:
    plugins = load({"bad": Adds(half_way)}, strict_plugins=True)
    with pytest.raises(PluginError, match="no licence"):
        plugins.register_commands(app)
