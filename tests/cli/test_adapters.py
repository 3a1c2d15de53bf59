"""`platform adapters`: looking at a store and moving versions about, without a model."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter_platform.cli.adapters.listing import remarks
from adapter_platform.core.settings import load_settings
from adapter_platform.core.store.store import Store

Run = Callable[..., Result]
Answer = Callable[..., str]
Json = Callable[..., Any]


def ours(rows: list[str]) -> list[str]:
    """The rows of this test's adapters, without those of starters."""
    return [row for row in rows if row.split()[0] in ("desk", "tags", "topics")]


# --- list and show ------------------------------------------------------------------------------


def test_the_list_shows_each_adapter_and_the_store_in_use(answer: Answer, store_dir: Path) -> None:
    heading, *rows, store = answer("adapters", "list").splitlines()
    assert heading.split()[:5] == ["name", "version", "kind", "labels", "base"]
    rows = ours(rows)
    assert [row.split()[:4] for row in rows] == [
        ["desk", "2", "single", "3"],
        ["tags", "1", "multi", "3"],
        ["topics", "1", "hierarchical", "3"],
    ]
    assert "93.8 %" in rows[0]
    assert "87.5 %" in rows[0]
    assert store == f"store: {store_dir}"


def test_a_corrupt_adapter_is_listed_as_such_and_hides_no_other(
    answer: Answer, as_json: Json, store_dir: Path
) -> None:
    (store_dir / "tags" / "1" / "manifest.json").write_text("{", encoding="utf-8")
    rows = ours(answer("adapters", "list").splitlines())
    assert "unusable: " in rows[1]
    assert rows[2].startswith("topics")
    entries = {entry["name"]: entry for entry in as_json("adapters", "list", "--json")["adapters"]}
    assert entries["tags"]["error"]
    assert entries["desk"]["error"] is None


def test_an_adapter_worse_than_the_probe_is_remarked_on(
    answer: Answer, store_dir: Path, publish_random: Callable[..., Any]
) -> None:
    publish_random(Store(store_dir), "weak", worse_than_probe=True)
    (row,) = [line for line in answer("adapters", "list").splitlines() if line.startswith("weak")]
    assert row.endswith("worse than the probe")


def test_a_probe_that_is_ahead_on_the_test_texts_is_remarked_on(
    answer: Answer, store_dir: Path, publish_random: Callable[..., Any]
) -> None:
    metrics = {"test.accuracy": 0.75, "test.probe.accuracy": 1.0}
    publish_random(Store(store_dir), "tied", metrics=metrics)
    rows = {line.split()[0]: line for line in answer("adapters", "list").splitlines() if line}
    assert rows["tied"].endswith("the probe is ahead on the test texts")
    assert "ahead" not in rows["desk"]


def test_a_newer_starter_is_remarked_on(store_dir: Path) -> None:
    (entry,) = [found for found in Store(store_dir).listing() if found.name == "tags"]
    assert entry.manifest is not None
    found = remarks(replace(entry, newer_starter=3), entry.manifest)
    assert found == ["the starter is now version 3"]


def test_the_list_as_json_says_where_and_what(as_json: Json, store_dir: Path) -> None:
    document = as_json("adapters", "list", "--json")
    assert document["store"] == str(store_dir)
    entries = {entry["name"]: entry for entry in document["adapters"]}
    assert entries.keys() >= {"desk", "tags", "topics"}
    assert entries["desk"]["versions"] == [1, 2]


def test_an_empty_store_shows_the_starters(answer: Answer, platform_home: Path) -> None:
    _, *rows, store = answer("adapters", "list").splitlines()
    assert [row.split()[0] for row in rows] == ["data_eng", "feedback", "question_type", "support"]
    assert store == f"store: {platform_home / 'store'}"


def test_where_there_is_not_even_a_starter_it_is_said_what_to_do(
    run: Run, platform_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where whoever installed the platform left them out.
    monkeypatch.setitem(sys.modules, "adapter_platform.adapters_store", None)
    result = run("adapters", "list")
    assert (result.exit_code, result.stdout) == (0, f"store: {platform_home / 'store'}\n")
    assert "there are no adapters" in result.stderr
    assert "platform adapters train" in result.stderr


@pytest.mark.parametrize("place", ["before", "after"])
def test_another_store_may_be_named_before_or_after_the_subcommand(
    answer: Answer, store_dir: Path, tmp_path: Path, place: str
) -> None:
    store_dir.rename(tmp_path / "other")
    option = ("--store", tmp_path / "other")
    line = (*option, "adapters", "list") if place == "before" else ("adapters", "list", *option)
    assert f"store: {tmp_path / 'other'}" in answer(*line)


def test_show_has_labels_scores_and_files(answer: Answer, store_dir: Path) -> None:
    said = answer("adapters", "show", "topics")
    assert "topics@1" in said
    assert "    cleaning  Cleaning / 数据清洗" in said
    assert "probe (frozen base)         87.5 %" in said
    assert "adapter_model.safetensors" in said
    assert str(store_dir / "topics" / "1") in said


def test_show_takes_a_version(answer: Answer, store_dir: Path) -> None:
    said = answer("adapters", "show", "desk@1")
    assert "desk@1" in said
    assert "1, 2 (current)" in said


def test_show_of_an_adapter_without_a_current_version_lists_its_versions_and_how_to_promote(
    answer: Answer, as_json: Json, tmp_path: Path, publish_random: Callable[..., Any]
) -> None:
    store = Store(tmp_path / "store")
    publish_random(store, "trial", promote=False)
    publish_random(store, "trial", promote=False, worse_than_probe=True)
    line = ("--store", store.root, "adapters", "show", "trial")
    said = answer(*line).splitlines()
    assert said[0] == "no version of trial is current, so trial alone answers nothing"
    rows = [row.split() for row in said if row.split() and row.split()[0] in ("1", "2")]
    assert [(row[0], row[3], row[4]) for row in rows] == [("1", "93.8", "%"), ("2", "93.8", "%")]
    assert said[-1] == "to make one current: platform adapters promote trial@1"
    assert sum(line.endswith("worse than the probe") for line in said) == 1
    found = as_json(*line, "--json")
    assert (found["name"], found["current"]) == ("trial", None)
    assert [each["manifest"]["version"] for each in found["versions"]] == [1, 2]
    assert "1, 2 (none is current)" in answer(*line[:-1], "trial@1")
    listed = answer("--store", store.root, "adapters", "list")
    assert "no version of trial is current" in listed
    assert "unusable" not in listed
    answer("--store", store.root, "adapters", "promote", "trial@2")
    assert "1, 2 (current)" in answer(*line)


def test_a_report_that_is_none_hides_nothing_else(run: Run, store_dir: Path) -> None:
    (store_dir / "tags" / "1" / "report.json").write_text('{"test": 3}', encoding="utf-8")
    result = run("adapters", "show", "tags")
    assert "warning: " in result.stderr
    assert "adapter_model.safetensors" in result.stdout


def test_show_as_json_is_the_manifest(as_json: Json, store_dir: Path) -> None:
    path = store_dir / "tags" / "1" / "manifest.json"
    shown = as_json("adapters", "show", "tags", "--json")
    assert shown == json.loads(path.read_text(encoding="utf-8"))


# --- versions -----------------------------------------------------------------------------------


def test_promote_and_rollback_change_who_answers(answer: Answer, store_dir: Path) -> None:
    assert answer("adapters", "rollback", "desk") == "desk@1 is current\n"
    assert Store(store_dir).current("desk") == 1
    assert answer("adapters", "promote", "desk@2") == "desk@2 is current\n"
    assert answer("adapters", "promote", "desk", "1") == "desk@1 is current\n"


@pytest.mark.parametrize("words", [["desk"], ["desk@1", "2"]])
def test_promote_wants_exactly_one_version(run: Run, store_dir: Path, words: list[str]) -> None:
    result = run("adapters", "promote", *words)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")


def test_remove_asks_for_a_yes_where_nobody_can_be_asked(run: Run, store_dir: Path) -> None:
    result = run("adapters", "remove", "tags")
    assert result.exit_code == 2
    assert "hint: add --yes" in result.stderr
    assert "tags" in Store(store_dir).names()


def test_remove_takes_a_version_or_the_name(answer: Answer, store_dir: Path) -> None:
    assert answer("adapters", "remove", "desk@1", "-y") == "removed desk@1\n"
    assert Store(store_dir).versions("desk") == [2]
    assert answer("adapters", "remove", "desk", "-y") == "removed desk with 1 version\n"
    assert "desk" not in Store(store_dir).names()


def test_verify_finds_a_changed_file_and_exits_1(run: Run, store_dir: Path) -> None:
    assert run("adapters", "verify").exit_code == 0
    (store_dir / "tags" / "1" / "head.json").write_text("{}", encoding="utf-8")
    result = run("adapters", "verify")
    assert result.exit_code == 1
    assert "tags: head.json has changed" in result.stdout
    assert "topics: whole" in result.stdout
    assert run("adapters", "verify", "topics").exit_code == 0


def test_gc_says_what_it_deleted(run: Run, store_dir: Path) -> None:
    assert run("adapters", "gc").stderr == "0 leftovers deleted\n"
    room = load_settings().cache / "training"
    stopped, lately = room / "desk-1", room / "desk-2"
    for directory in (stopped, lately):
        directory.mkdir(parents=True)
    os.utime(stopped, (0, 0))
    result = run("adapters", "gc")
    assert (result.stdout, result.stderr) == (f"{stopped}\n", "1 leftover deleted\n")
    assert lately.exists()
