"""Adapters and recipes by way of files: `import`, `export` and `train` with their options."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter_platform.core.store.manifest import Manifest
from adapter_platform.core.store.store import Store

Run = Callable[..., Result]
Answer = Callable[..., str]
Json = Callable[..., Any]


@pytest.fixture
def stock(
    answer: Answer, store_dir: Path, tmp_path: Path, publish_random: Callable[..., Any]
) -> Path:
    """A stock sequence-classification adapter, written by ``--format stock``."""
    publish_random(Store(store_dir), "pooled", pooling="pooler")
    directory = tmp_path / "stock"
    assert answer("adapters", "export", "pooled", directory, "--format", "stock")
    return directory


def probabilities(as_json: Json, name: str) -> list[float]:
    return list(as_json("classify", "-a", name, "--json", "x")["probabilities"].values())


def test_format_says_whether_an_export_is_as_in_a_store_or_as_peft_has_it(
    answer: Answer, stock: Path, tmp_path: Path
) -> None:
    ours = tmp_path / "ours"
    answer("adapters", "export", "pooled", ours, "--format", "platform")
    assert (ours / "manifest.json").is_file()
    assert not (stock / "manifest.json").exists()
    types = [
        json.loads((where / "adapter_config.json").read_text(encoding="utf-8"))["task_type"]
        for where in (ours, stock)
    ]
    assert types == ["FEATURE_EXTRACTION", "SEQ_CLS"]


def test_a_stock_adapter_that_names_no_labels_takes_those_of_the_line(
    run: Run, answer: Answer, as_json: Json, stock: Path
) -> None:
    before = probabilities(as_json, "pooled")
    for file in ("label_map.json", "config.json"):  # both name them
        (stock / file).unlink()
    refused = run("adapters", "import", stock, "--name", "back")
    assert refused.exit_code == 1
    assert "--label" in refused.stderr
    labels = [word for label in ("x", "y", "z") for word in ("--label", label)]
    line = ("adapters", "import", stock, "--name", "back", *labels)
    assert answer(*line, "--kind", "multi") == "imported back@1: 3 labels, which is now current\n"
    assert as_json("adapters", "show", "back", "--json")["scheme"]["kind"] == "multi"
    imported = as_json(*line, "--kind", "single", "--json")
    assert [label["name"] for label in imported["scheme"]["labels"]] == ["x", "y", "z"]
    assert probabilities(as_json, "back") == pytest.approx(before, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("recipe.toml", "epochs = 2\nmax_length = 24\n[peft]\nr = 4\n"),
        ("recipe.json", '{"epochs": 2, "max_length": 24, "peft": {"r": 4}}'),
    ],
)
def test_a_recipe_file_is_what_is_trained_by_and_set_wins_over_it(
    as_json: Json, tiny_base: Path, tmp_path: Path, platform_home: Path, name: str, content: str
) -> None:
    rows = [f"text number {i} of {label},{label}" for i in range(9) for label in ("a", "b")]
    texts = tmp_path / "texts.csv"
    texts.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    (tmp_path / name).write_text(content, encoding="utf-8")
    line = ("adapters", "train", "new", "--data", texts, "--recipe", tmp_path / name)
    line += ("--base", tiny_base, "--dry-run", "--json")
    plan, other = as_json(*line), as_json(*line, "--set", "epochs=1", "--set", "peft.r=8")
    assert (plan["epochs"], other["epochs"]) == (2, 1)
    assert 2 * other["steps"] == plan["steps"]
    assert plan["trainable"] != other["trainable"]


@pytest.fixture
def worse(answer: Answer, store_dir: Path, tmp_path: Path) -> Path:
    """The current version of `desk` exported, as one that the probe beats."""
    directory = tmp_path / "worse"
    answer("adapters", "export", "desk", directory)
    replace(Manifest.read(directory), worse_than_probe=True).write(directory)
    return directory


BEATEN = "warning: desk@3 is worse than logistic regression on the frozen base (the probe)"


def test_an_import_that_the_probe_beats_is_not_current_unless_it_is_asked_for(
    run: Run, worse: Path, store_dir: Path
) -> None:
    result = run("adapters", "import", worse)
    assert result.stdout == "imported desk@3: 3 labels, which is not current\n"
    assert f"{BEATEN}, and is not current" in result.stderr
    assert "hint: platform adapters promote desk@3" in result.stderr
    assert Store(store_dir).current("desk") == 2
    result = run("adapters", "import", worse, "--allow-worse")
    assert result.stdout == "imported desk@4: 3 labels, which is now current\n"
    assert "and is current" in result.stderr
    assert Store(store_dir).current("desk") == 4


def test_promote_and_rollback_say_that_what_answers_now_is_beaten(
    run: Run, worse: Path, store_dir: Path
) -> None:
    run("adapters", "import", worse)
    for line in (("promote", "desk@3"), ("promote", "desk@2"), ("rollback", "desk")):
        result = run("adapters", *line)
        now = Store(store_dir).current("desk")
        assert result.stdout == f"desk@{now} is current\n"
        assert result.stderr == (f"{BEATEN}\n" if now == 3 else "")


def test_an_import_may_wait_beside_the_current_version(
    answer: Answer, stock: Path, store_dir: Path
) -> None:
    said = answer("adapters", "import", stock, "--name", "desk", "--no-promote")
    assert said == "imported desk@3: 3 labels, which is not current\n"
    assert Store(store_dir).current("desk") == 2


def test_an_import_that_could_not_answer_leaves_the_current_version(
    run: Run, answer: Answer, store_dir: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    answer("adapters", "export", "desk", directory)
    config = json.loads((directory / "adapter_config.json").read_text(encoding="utf-8"))
    text = json.dumps(config | {"init_lora_weights": "pissa"})
    (directory / "adapter_config.json").write_text(text, encoding="utf-8")
    Manifest.read(directory).write(directory)
    result = run("adapters", "import", directory)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"error: {directory} begins from 'pissa'" in result.stderr
    assert Store(store_dir).versions("desk") == [1, 2]
