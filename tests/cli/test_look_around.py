"""`plugins`, `domains`, `bases` and `data`: what is here, for people and for programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]
Answer = Callable[..., str]
Json = Callable[..., Any]

PLUGIN = """
from adapter_platform.plugins.hookspecs import hookimpl

@hookimpl
def register_commands(app):
    @app.command()
    def greet(name: str) -> None:
        "Greets someone."
        print(f"hello {name}")
"""


@pytest.fixture
def plugins_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugins directory with one that brings a command and one that cannot be imported."""
    directory = tmp_path / "plugins"
    directory.mkdir()
    (directory / "greeter.py").write_text(PLUGIN, encoding="utf-8")
    (directory / "broken.py").write_text("raise RuntimeError('no luck')", encoding="utf-8")
    monkeypatch.setenv("PLATFORM_PLUGINS_DIR", str(directory))
    return directory


def test_plugins_are_listed_with_what_they_bring(as_json: Json) -> None:
    infos = {info["name"]: info for info in as_json("plugins", "list", "--json")}
    assert "csv" in infos["sources"]["brought"]["data source"]
    assert "multilingual" in infos["bases"]["brought"]["base model"]


def test_a_broken_plugin_is_listed_with_its_failure_and_stops_no_command(
    run: Run, plugins_dir: Path, store_dir: Path
) -> None:
    result = run("plugins", "list")
    assert result.exit_code == 0
    (row,) = [line for line in result.stdout.splitlines() if line.startswith("broken")]
    assert row.endswith("failed")
    assert "no luck" in result.stderr
    assert run("adapters", "list").exit_code == 0
    assert run("classify", "-a", "tags", "x").exit_code == 0


def test_one_plugin_is_shown_with_its_failure(answer: Answer, plugins_dir: Path) -> None:
    said = answer("plugins", "show", "broken")
    assert "no luck" in said
    assert str(plugins_dir / "broken.py") in said


def test_a_plugin_may_bring_a_command_which_help_shows(answer: Answer, plugins_dir: Path) -> None:
    assert answer("greet", "you") == "hello you\n"
    assert "greet     Greets someone." in answer("--help")
    assert "command: greet" in answer("plugins", "list")


def test_strict_plugins_make_every_command_fail(
    run: Run, plugins_dir: Path, store_dir: Path
) -> None:
    for line in (["plugins", "list"], ["adapters", "list"], ["classify", "-a", "tags", "x"]):
        result = run(*line, PLATFORM_STRICT_PLUGINS="1")
        assert result.exit_code == 1
        assert "error: the plugin 'broken' failed" in result.stderr


def test_domains_are_listed_and_shown(answer: Answer, as_json: Json) -> None:
    names = [domain["name"] for domain in as_json("domains", "list", "--json")]
    assert {"data_eng", "support", "feedback", "question_type"} <= set(names)
    assert "support" in answer("domains", "list")
    said = answer("domains", "show", "data_eng")
    assert "数据清洗" in said
    assert "train it: platform adapters train data_eng" in said
    assert as_json("domains", "show", "data_eng", "--json")["scheme"]["kind"] == "hierarchical"


def test_bases_are_listed_with_the_default(as_json: Json, answer: Answer) -> None:
    bases = {base["name"]: base for base in as_json("bases", "list", "--json")}
    assert bases["multilingual"]["default"]
    assert not bases["minilm"]["default"]
    assert "multilingual  default" in answer("bases", "list")


def test_a_base_is_fetched_and_verified(
    as_json: Json, answer: Answer, tiny_base: Path, store_dir: Path
) -> None:
    fetched = as_json("bases", "fetch", tiny_base, "--json")
    assert fetched["hidden_size"] == 32
    assert answer("bases", "fetch", tiny_base) == f"{tiny_base}\n", "for scripts, and cards"
    assert as_json("bases", "verify", tiny_base, "--json") == fetched


def test_data_check_counts_and_points_at_trouble(
    answer: Answer, as_json: Json, tmp_path: Path
) -> None:
    path = tmp_path / "data.csv"
    rows = ["text,label", "refund please,refund", "refund please,refund", "where is it,delivery"]
    rows += ["where is it,refund", ",refund", "谢谢,delivery"]
    path.write_text("\n".join(rows), encoding="utf-8")
    said = answer("data", "check", path)
    assert "5 texts" in said
    assert "1 row that cannot be used:" in said
    assert f"{path}:6" in said
    assert "1 text with different labels:" in said
    document = as_json("data", "check", path, "--json")
    assert document["examples"] == 5
    assert [row["where"] for row in document["bad_rows"]] == [f"{path}:6"]


def test_data_check_takes_a_domain_or_files_by_split(answer: Answer, tmp_path: Path) -> None:
    assert "single" in answer("data", "check", "support").splitlines()[0]
    for split in ("train", "test"):
        rows = f"text,label\n{split} one,a\n{split} two,b\n"
        (tmp_path / f"{split}.csv").write_text(rows, encoding="utf-8")
    files = [f"{split}={tmp_path / split}.csv" for split in ("train", "test")]
    assert "(train 2, test 2)" in answer("data", "check", *files)
