"""The table of PEFT methods: what is in it, and which training of a method it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from adapter_platform.core.store.manifest import BaseRecord
from adapter_platform.core.training.model import peft_config
from adapter_platform.core.training.recipe import make_recipe
from benchmarks.quality.methods import (
    LEFT_OUT,
    RATES,
    STARTS,
    drawn,
    main,
    methods,
    recipe_of,
    table,
    tables,
)


def row(method: str, rate: float, val: float, test: float, **more: Any) -> dict[str, Any]:
    return {
        "base": "minilm",
        "domain": "banking",
        "shots": 10,
        "method": method,
        "learning_rate": rate,
        "engine": "packed",
        "parameters": 1234567,
        "bytes": 2_500_000,
        "val": val,
        "test": test,
        "val_probe": 0.9,
        "test_probe": 0.8,
        "val_tfidf": 0.7,
        "test_tfidf": 0.6,
        **more,
    }


def test_what_is_measured_is_kept_and_what_failed_is_tried_again(
    tiny_base: Path, tmp_path: Path, private_home: Path
) -> None:
    rows = [
        {"text": f"{split} {label} {i}", "label": label, "split": split}
        for split in ("train", "val", "test")
        for label in ("pay", "owe")
        for i in range(8)
    ]
    (tmp_path / "clinc150").mkdir()
    data = tmp_path / "clinc150" / "work.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    kept = tmp_path / "methods.json"
    app = typer.Typer()
    app.command()(main)

    def run(*arguments: str) -> Result:
        options = ["--json", str(kept), "--base", str(tiny_base), "--domain", "work"]
        return CliRunner().invoke(app, [str(tmp_path), *options, "--shots", "2", *arguments])

    assert run("--only", "IA3").exit_code == 0
    one, other = json.loads(kept.read_text(encoding="utf-8"))
    assert {one["learning_rate"], other["learning_rate"]} == set(RATES)
    assert 0 <= one["test"] <= 1
    assert one["test_texts"] == 16
    failed = {**{key: one[key] for key in ("base", "domain", "shots", "method")}, "error": "killed"}
    kept.write_text(json.dumps([{**failed, "learning_rate": RATES[0]}, other]), encoding="utf-8")
    assert run("--only", "IA3").exit_code == 0
    found = json.loads(kept.read_text(encoding="utf-8"))
    assert found[0] == other  # not measured again: its seconds are the same
    assert found[1]["test"] == one["test"]
    refused = run("--only", "NOPE")
    assert refused.exit_code == 2
    assert "--only NOPE" in refused.output


def test_validation_chooses_among_learning_rates_and_methods_are_in_order_of_name() -> None:
    rows = [row("LORA", 1e-3, 0.91, 0.9, test_texts=400), row("LORA", 1e-2, 0.90, 0.99)]
    rows += [row("IA3", 1e-2, 0.80, 0.85, engine="peft"), {**rows[0], "method": "OSF"}]
    del rows[-1]["val"]
    rows[-1]["error"] = "it did not fit"
    lines = table(rows).splitlines()
    assert lines[1].split() == [
        *("IA3", "peft", "1,234,567", "2.50", "MB", "0.01", "80.0", "%", "85.0", "%"),
    ]
    lora = lines[2].split()
    assert lora[:1] + lora[5:] == ["LORA", "0.001", "91.0", "%", "90.0", "+-", "2.9", "%"]
    assert lines[3].split() == ["frozen", "base", "90.0", "%", "80.0", "%"]
    assert lines[4].split() == ["TF-IDF", "70.0", "%", "60.0", "%"]
    assert "OSF: it did not fit" in lines
    assert "VERA: not measured" in lines
    assert "XLORA: not supported: it needs other adapters to mix" in lines
    assert lines[5:-2] == sorted(lines[5:-2])
    assert "clinc150/banking on minilm, 10 examples a class" in lines[-1]


def test_what_was_measured_otherwise_has_a_table_of_its_own() -> None:
    small, large = row("LORA", 1e-3, 0.8, 0.8), row("LORA", 1e-3, 0.9, 0.95)
    shown = tables([small, {**large, "base": "multilingual"}])
    assert shown == f"{table([small])}\n\n{table([{**large, 'base': 'multilingual'}])}"


def test_every_method_that_can_train_an_encoder_is_measured() -> None:
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    from adapter_platform.core.engine.peft_groups import IMPOSSIBLE

    every = {kind.value for kind in PEFT_TYPE_TO_CONFIG_MAPPING} | {"DORA"}
    assert {*methods(), *IMPOSSIBLE, *LEFT_OUT} == every | STARTS.keys()


@pytest.mark.parametrize("method", ["DORA", "IA3", "LORA", *STARTS])
def test_a_method_of_the_table_is_trained_by_its_own_recipe(method: str) -> None:
    recipe = make_recipe(recipe_of(method))
    config: Any = peft_config(recipe, "mean", BaseRecord("tiny", "", 32, 2), 100)
    assert config.peft_type == ("IA3" if method == "IA3" else "LORA")
    assert getattr(config, "init_lora_weights", True) == STARTS.get(method, True)
    assert getattr(config, "use_dora", False) == (method == "DORA")


@pytest.mark.parametrize("shots", [2, 3])
def test_so_many_examples_a_class_are_drawn_and_the_other_splits_stay(
    tmp_path: Path, shots: int
) -> None:
    rows = [
        {"text": f"{label} {split} {i}", "label": label, "split": split}
        for split, n in (("train", 9), ("val", 2), ("test", 4))
        for label in "ab"
        for i in range(n)
    ]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    files = drawn(tmp_path, "set", shots).write(tmp_path / "drawn")
    assert drawn(tmp_path, "set", shots) == drawn(tmp_path, "set", shots)
    counts = {s: len(Path(f).read_text().splitlines()) for s, f in files.items()}
    assert counts == {"train": 2 * shots, "val": 4, "test": 8}
