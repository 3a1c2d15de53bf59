"""Ways of bringing a plugin into a test: in hand, as a file, as a folder, as a distribution."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapter_platform.core.settings import load_settings
from adapter_platform.plugins.manager import PluginInfo, Plugins, load_plugins


@pytest.fixture
def load() -> Callable[..., Plugins]:
    """``load({"name": plugin}, strict_plugins=True)``: the plugins under these settings."""

    def call(plugins: dict[str, object] | None = None, **settings: Any) -> Plugins:
        return load_plugins(load_settings(**settings), plugins)

    return call


@pytest.fixture
def info_of() -> Callable[[Plugins, str], PluginInfo]:
    """The one plugin of a name."""

    def call(plugins: Plugins, name: str) -> PluginInfo:
        (found,) = [info for info in plugins.infos if info.name == name]
        return found

    return call


@pytest.fixture
def install(
    unpacked: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], None]]:
    """``install("acme_tickets")``: a project of tests/data/plugins is installed for this test."""
    before = set(sys.modules)

    def call(project: str) -> None:
        for directory in unpacked(project):
            monkeypatch.syspath_prepend(directory)

    yield call
    for module in set(sys.modules) - before:
        if module.startswith(("acme_tickets", "broken_plugin")):
            del sys.modules[module]
