"""`bases list` says what is on this machine; adapters find a base that has moved."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter_platform.core.store.store import Store

Run = Callable[..., Result]
Answer = Callable[..., str]
Json = Callable[..., Any]

PLUGIN = """
from adapter_platform.core.registry import BaseModel
from adapter_platform.plugins.hookspecs import hookimpl

def broken(cache):
    raise RuntimeError("no luck")

@hookimpl
def base_models():
    return [
        BaseModel("far", "", lambda cache: cache, presence=lambda cache: "to download"),
        BaseModel("silent", "", lambda cache: cache),
        BaseModel("spoiled", "", lambda cache: cache, presence=broken),
    ]
"""


def test_bases_are_listed_with_whether_they_are_on_this_machine(
    as_json: Json, answer: Answer, platform_home: Path
) -> None:
    found = {base["name"]: base["presence"] for base in as_json("bases", "list", "--json")}
    assert found == {"minilm": "here", "multilingual": "to build"}
    minilm, multilingual = answer("bases", "list").splitlines()[1:]
    assert minilm.split()[1] == "yes"
    assert "default  built at first use" in multilingual
    assert not (platform_home / "cache").exists()


def test_a_plugins_base_says_itself_or_is_left_open(
    run: Run, as_json: Json, platform_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = platform_home / "plugins"
    directory.mkdir()
    (directory / "acme.py").write_text(PLUGIN, encoding="utf-8")
    monkeypatch.setenv("PLATFORM_PLUGINS_DIR", str(directory))
    found = {base["name"]: base["presence"] for base in as_json("bases", "list", "--json")}
    assert (found["far"], found["silent"], found["spoiled"]) == ("to download", None, None)
    result = run("bases", "list")
    assert result.exit_code == 0
    assert "downloaded at first use" in result.stdout
    assert "the plugin 'acme' failed: RuntimeError: no luck" in result.stderr


def test_a_base_that_has_moved_is_named_once_at_import_and_then_found_from_anywhere(
    run: Run,
    answer: Answer,
    store_dir: Path,
    tmp_path: Path,
    tiny_base: Path,
    publish_random: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = Path(shutil.copytree(tiny_base, tmp_path / "old"))
    publish_random(Store(store_dir), "moved", base=old)
    expected = answer("classify", "-a", "moved", "--json", "x")
    answer("adapters", "export", "moved", tmp_path / "out")
    old.rename(tmp_path / "new")
    result = run("classify", "-a", "moved", "x")
    assert result.exit_code == 1
    assert str(old) in result.stderr
    assert "hint: " in result.stderr
    monkeypatch.chdir(tmp_path)
    answer("adapters", "import", "out", "--base", "new")
    monkeypatch.chdir("/")
    found = answer("classify", "-a", "moved", "--json", "x")
    assert (
        found.replace(str(tmp_path / "new"), str(old)).replace('"version": 2', '"version": 1')
        == expected
    )
