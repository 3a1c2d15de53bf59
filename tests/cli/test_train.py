"""`platform adapters train` and `eval`, import and export, on a tiny base: for real, end to end."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter_platform.cli.adapters.train import recipe_settings
from adapter_platform.cli.options import split_data
from adapter_platform.core.errors import UsageError
from adapter_platform.core.store.store import Store
from adapter_platform.plugins.testing import make_tiny_base

Run = Callable[..., Result]
Answer = Callable[..., str]
Json = Callable[..., Any]

WORDS = {
    "refund": ["money", "refund", "charged", "invoice", "amount", "paid"],
    "delivery": ["parcel", "late", "courier", "box", "tracking", "street"],
    "login": ["password", "email", "reset", "locked", "code", "user"],
}
FILLER = ["please", "my", "is", "not", "when", "how", "why", "it", "this", "you"]
EASY = ("--set", "epochs=1", "--set", "max_length=32", "--set", "batch_size=8")


def write_texts(path: Path, each: int, seed: int = 0) -> Path:
    """A CSV of texts whose words give their label away."""
    draw = random.Random(seed)
    rows = ["text,label,lang"]
    for label, words in WORDS.items():
        for number in range(each):
            picked = draw.sample(words, 3) + draw.sample(FILLER, 3)
            draw.shuffle(picked)
            rows.append(f"{' '.join(picked)},{label},{'en' if number % 2 else 'zh'}")
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def small_base(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_BASE", str(tiny_base))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "texts.csv", 16)


def test_training_shows_the_probe_beside_it_and_the_line_to_try(
    run: Run, texts: Path, platform_home: Path
) -> None:
    result = run("adapters", "train", "mail", "--data", texts, "--allow-worse", *EASY)
    assert result.exit_code == 0, result.output
    assert "texts: train " in result.stderr
    assert "trainable params: " in result.stderr
    assert "1 epoch, about " in result.stderr
    rows = [line.split("  ")[0] for line in result.stdout.splitlines()]
    assert {"adapter", "probe (frozen base)", "TF-IDF", "refund", "delivery", "login"} <= set(rows)
    assert "published mail@1, which is now current" in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last.startswith("try it: platform classify --adapter mail ")
    tried = run(*shlex.split(last.removeprefix("try it: platform ")))
    assert tried.exit_code == 0
    assert tried.stdout.split()[0] in WORDS


def test_the_line_to_try_works_as_it_stands_for_a_text_like_an_option_and_another_store(
    run: Run, texts: Path, tmp_path: Path, platform_home: Path
) -> None:
    heading, *rows = texts.read_text(encoding="utf-8").splitlines()
    texts.write_text("\n".join([heading, *(f"--help {row}" for row in rows)]), encoding="utf-8")
    store = tmp_path / "my store"
    result = run("adapters", "train", "mail", "--data", texts, "--store", store, *EASY)
    assert result.exit_code == 0, result.output
    last = result.stdout.splitlines()[-1]
    tried = run(*shlex.split(last.removeprefix("try it: platform ")))
    assert tried.exit_code == 0, tried.output
    assert tried.stdout.split()[0] in WORDS


def test_training_warns_where_too_few_texts_judge_the_adapter(
    run: Run, tmp_path: Path, platform_home: Path
) -> None:
    few = write_texts(tmp_path / "few.csv", 2)
    result = run("adapters", "train", "mail", "--data", few, "--allow-worse", *EASY)
    assert result.exit_code == 0, result.output
    (warning,) = [line for line in result.stderr.splitlines() if "too few to judge by" in line]
    assert warning.startswith("warning: the adapter is judged by ")


def test_training_as_json_has_manifest_and_report_and_nothing_else_on_standard_output(
    as_json: Json, texts: Path, platform_home: Path
) -> None:
    line = ("adapters", "train", "mail", "--data", texts, "--no-promote", "--json")
    document = as_json(*line, "--preset", "fast", *EASY)
    assert document["adapter"] == "mail@1"
    assert not document["promoted"]
    assert document["report"]["splits"].keys() == {"train", "val", "test"}
    assert document["manifest"]["scheme"]["kind"] == "single"


def test_a_dry_run_estimates_and_publishes_nothing(
    as_json: Json, answer: Answer, texts: Path, platform_home: Path
) -> None:
    line = ("adapters", "train", "mail", "--data", texts, "--dry-run", *EASY)
    said = answer(*line)
    assert "estimated time: " in said
    assert "labels: 3, single" in said
    assert as_json(*line, "--json")["epochs"] == 1
    assert not (platform_home / "store").exists()


def test_given_splits_are_kept(as_json: Json, tmp_path: Path, platform_home: Path) -> None:
    sides = {split: write_texts(tmp_path / f"{split}.csv", n, n) for split, n in SIZES.items()}
    data = [word for split, path in sides.items() for word in ("--data", f"{split}={path}")]
    line = ("adapters", "train", "mail", *data, "--dry-run", "--json", *EASY)
    given = {split: 3 * n for split, n in SIZES.items()}
    assert as_json(*line, "--set", "label_texts=false")["splits"] == given
    assert as_json(*line)["splits"] == {**given, "train": given["train"] + 3}  # labels' names


SIZES = {"train": 16, "val": 4, "test": 5}


def test_an_adapter_is_judged_on_other_texts(
    run: Run, answer: Answer, as_json: Json, store_dir: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other.csv"
    path.write_text("text,label,lang\nmoney back,refund,en\n钱,refund,zh\n你好,invoice,zh\n")
    out = tmp_path / "out.json"
    found = as_json("adapters", "eval", "desk", "--data", path, "--json", "--output", out)
    assert found["n"] == 3
    assert json.loads(out.read_text(encoding="utf-8")) == found
    said = answer("adapters", "eval", "desk", "--data", path)
    assert "accuracy" in said
    assert "other.csv:4" in said  # the mistake, with where it stands
    assert "zh" in said


def test_an_adapter_goes_out_and_comes_in_again(
    answer: Answer, as_json: Json, store_dir: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    assert answer("adapters", "export", "desk@1", directory) == f"{directory}\n"
    assert "desk2@1" in answer("adapters", "import", directory, "--name", "desk2")
    one, two = (as_json("classify", "-a", name, "--json", "x") for name in ("desk@1", "desk2"))
    assert one["probabilities"] == pytest.approx(two["probabilities"], abs=1e-6)


def test_a_checkpoint_of_the_hand_written_classifier_comes_in_and_answers(
    run: Run, as_json: Json, answer: Answer, tiny_base: Path, tmp_path: Path, platform_home: Path
) -> None:
    old = write_old_checkpoint(tmp_path / "old", tiny_base)
    line = ("adapters", "import-legacy", old, "--base", tiny_base)
    assert (
        answer(*line, "--name", "questions")
        == "imported questions@1: 2 labels, which is now current\n"
    )
    assert set(as_json("classify", "-a", "questions", "--json", "x")["probabilities"]) == {"a", "b"}
    named = as_json(*line, "--label", "yes", "--label", "no", "--json")
    assert [label["name"] for label in named["scheme"]["labels"]] == ["yes", "no"]
    assert named["name"] == "old"
    waits = answer(*line, "--name", "questions", "--no-promote")
    assert waits == "imported questions@2: 2 labels, which is not current\n"
    assert Store(platform_home / "store").current("questions") == 1
    refused = run("adapters", "import-legacy", tmp_path, "--base", tiny_base)
    assert refused.exit_code == 1
    assert "it has no lora_weights.pth" in refused.stderr


def write_old_checkpoint(directory: Path, base: Path) -> Path:
    """As the hand-written classifier saved itself, with LoRA on one query."""
    import torch

    hidden = json.loads((base / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    query = "bert.encoder.layer.0.attention.self.query"
    state = {
        "lora_weights": {
            f"{query}.lora_A.weight": torch.randn(2, hidden),
            f"{query}.lora_B.weight": torch.randn(hidden, 2),
        },
        "classifier_weights": {"weight": torch.randn(2, hidden), "bias": torch.randn(2)},
        "lora_config": {"rank": 2, "alpha": 4, "dropout": 0.1},
    }
    directory.mkdir()
    torch.save(state, directory / "lora_weights.pth")
    (directory / "label_map.json").write_text('{"0": "a", "1": "b"}', encoding="utf-8")
    return directory


def test_an_adapter_whose_base_moved_is_judged_and_exported_with_base(
    run: Run,
    answer: Answer,
    as_json: Json,
    store_dir: Path,
    tmp_path: Path,
    publish_random: Callable[..., Any],
) -> None:
    home = make_tiny_base(tmp_path / "base")
    publish_random(Store(store_dir), "wanderer", base=home, pooling="pooler")
    moved = home.rename(tmp_path / "moved")
    texts = tmp_path / "other.csv"
    texts.write_text("text,label\nmoney back,refund\n钱,invoice\n", encoding="utf-8")
    judge = ("adapters", "eval", "wanderer", "--data", texts, "--json")
    export = ("adapters", "export", "wanderer", tmp_path / "out", "--format", "stock")
    for line in (judge, export):
        refused = run(*line)
        assert refused.exit_code == 1
        assert str(home) in refused.stderr
    assert as_json(*judge, "--base", moved)["n"] == 2
    assert answer(*export, "--base", moved) == f"{tmp_path / 'out'}\n"


def test_ctrl_c_during_training_says_that_the_same_command_goes_on(
    tmp_path: Path, platform_home: Path
) -> None:
    path = write_texts(tmp_path / "texts.csv", 120)
    line = [sys.executable, "-m", "adapter_platform.cli", "-v", "adapters", "train", "mail"]
    line += ["--data", str(path), "--set", "epochs=2000", "--set", "max_length=32"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stderr is not None
        said = ""
        while "epochs, about" not in said:  # the last thing said before the steps
            said = process.stderr.readline()
            assert said, "it ended before it trained"
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert rest.splitlines()[-1] == (
        "interrupted; the same command goes on from the last checkpoint, if one was written"
    )
    assert "Traceback" not in rest
    assert Store(platform_home / "store").names() == []


def test_settings_come_from_the_file_then_set_then_base(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('epochs = 3\nbase = "a"\n[peft]\nr = 4\nbias = "all"\n', encoding="utf-8")
    changes = ["epochs=5", "peft.r=2"]
    assert recipe_settings(path, changes, "b") == {
        "epochs": 5,
        "base": "b",
        "peft": {"r": 2, "bias": "all"},
    }


def test_data_is_one_uri_or_one_a_split_and_a_path_may_hold_an_equals_sign() -> None:
    assert split_data([]) is None
    assert split_data(["a=b.csv"]) == {"all": "a=b.csv"}
    assert split_data(["train=a.csv", "dev=csv:b.csv"]) == {"train": "a.csv", "dev": "csv:b.csv"}
    with pytest.raises(UsageError):
        split_data(["a.csv", "b.csv"])
