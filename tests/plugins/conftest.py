"""Ways of bringing a plugin into a test: in hand, as a file, as a folder, as a distribution."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.settings import load_settings
from adapter_platform.plugins.manager import PluginInfo, Plugins, load_plugins

PROJECTS = Path(__file__).parents[1] / "data" / "plugins"


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
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """``install("acme_tickets")``: what pip leaves behind of a project in tests/data/plugins."""
    before = set(sys.modules)

    def call(project: str) -> None:
        source = PROJECTS / project
        declared = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        name, version = declared["name"], declared["version"]
        site = tmp_path / "site-packages"
        record = site / f"{name.replace('-', '_')}-{version}.dist-info"
        record.mkdir(parents=True)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (record / "METADATA").write_text(metadata, encoding="utf-8")
        points = declared["entry-points"]["adapter_platform"]
        lines = ["[adapter_platform]", *(f"{key} = {value}" for key, value in points.items())]
        (record / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        monkeypatch.syspath_prepend(str(source))
        monkeypatch.syspath_prepend(str(site))

    yield call
    for module in set(sys.modules) - before:
        if module.startswith(("acme_tickets", "broken_plugin")):
            del sys.modules[module]
