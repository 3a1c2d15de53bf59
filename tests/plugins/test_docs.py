"""docs/plugins.md says what is so: each hook with its signature, examples that work as shown."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from adapter_platform.core.registry import BadRow, BaseModel, Domain, Fitted, Record, Step
from adapter_platform.plugins import hookspecs
from adapter_platform.plugins.builtins import Postprocess
from adapter_platform.plugins.domains import folder as folder_reader
from adapter_platform.plugins.hookspecs import HOOKS
from adapter_platform.plugins.testing import PluginConformance

DOCS = Path(__file__).parents[2] / "docs" / "plugins.md"
TEXT = DOCS.read_text(encoding="utf-8") if DOCS.exists() else ""
FILES = dict(re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_hook_is_documented_with_its_signature_and_no_other_is() -> None:
    documented = re.findall(r"^### `(.+)`$", section("Reference: hooks"), re.MULTILINE)
    signatures = [
        f"{hook}({', '.join(inspect.signature(getattr(hookspecs, hook)).parameters)})"
        for hook in HOOKS
    ]
    assert documented == signatures


def test_every_hook_is_specified_and_described() -> None:
    specified = {
        name
        for name, value in vars(hookspecs).items()
        if inspect.isfunction(value) and hasattr(value, f"{hookspecs.PROJECT}_spec")
    }
    assert specified == set(HOOKS)
    for hook in HOOKS:
        text = section("Reference: hooks").split(f"### `{hook}(")[1].split("\n### ")[0]
        assert len(text.split()) > 8, f"{hook} has a heading and no text"


@pytest.mark.parametrize("kind", [Record, BadRow, Step, Fitted, Domain, BaseModel])
def test_the_types_are_documented_with_their_fields(kind: Any) -> None:
    fields = ", ".join(inspect.signature(kind).parameters)
    assert f"`{kind.__name__}({fields})`" in section("Reference: what plugins bring")


def test_every_key_of_a_domain_file_is_documented_and_no_other() -> None:
    rows = re.findall(r"^\| `\[*([a-z]+)\]*`", section("Reference: `domain.toml`"), re.MULTILINE)
    assert sorted(rows) == sorted(folder_reader.KEYS)


def test_every_built_in_step_is_documented_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z]+)`", section("Reference: built-in steps"), re.MULTILINE)
    assert rows == [step.name for step in Postprocess().postprocessors()]


def test_links_within_the_page_lead_somewhere() -> None:
    titles = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The files that the page shows, as its reader would have them in the plugins directory."""
    for name, content in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, encoding="utf-8")
    (tmp_path / "acme" / "pyproject.toml").unlink()
    return tmp_path


def test_the_tutorials_files_are_plugins(load: Any, info_of: Any, written: Path) -> None:
    plugins = load(plugins_dir=written)
    for name, brought in (
        ("greetings", {"domain": ("greetings",)}),
        ("shout", {"post-processor": ("shout",)}),
    ):
        info = info_of(plugins, name)
        assert (info.failure, info.brought) == (None, brought)


class TestTheTutorialsFolder(PluginConformance):
    """What the page shows passes what the page asks for."""

    @pytest.fixture(autouse=True)
    def _written(self, written: Path) -> None:
        type(self).plugin = written / "greetings"


class TestTheTutorialsStep(PluginConformance):
    """The single file, imported as a module."""

    @pytest.fixture(autouse=True)
    def _written(self) -> None:
        module = ModuleType("shout")
        exec(FILES["shout.py"], vars(module))
        type(self).plugin = module


def test_the_tutorials_project_declares_the_entry_point_group() -> None:
    assert "[project.entry-points.adapter_platform]" in FILES["acme/pyproject.toml"]
