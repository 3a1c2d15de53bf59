"""Someone's own file on the default base, and a base of BERT's size, by the command alone."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SUPPORT = Path(__file__).parents[2] / "plugins" / "domains" / "support" / "train.csv"
CLASSES, EACH, TESTED = 7, 16, 30


def platform(*arguments: object, threads: int = 1, **environment: str) -> str:
    """The command in a process of its own; what it prints."""
    line = [sys.executable, "-m", "adapter_platform.cli", *(str(a) for a in arguments)]
    env = os.environ | {"OMP_NUM_THREADS": str(threads)} | environment
    done = subprocess.run(line, capture_output=True, encoding="utf-8", env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def intents(tmp_path: Path) -> dict[str, Path]:
    """English questions of seven intents, as JSON Lines, with columns of their own names: some to
    learn from, and others to be judged by.
    """
    by_intent: dict[str, list[str]] = {}
    with SUPPORT.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["lang"] == "en":
                by_intent.setdefault(row["label"], []).append(row["text"])
    paths = {}
    for split, part in (("train", slice(EACH)), ("test", slice(EACH, EACH + TESTED))):
        paths[split] = tmp_path / f"{split}.jsonl"
        with paths[split].open("w", encoding="utf-8") as out:
            for intent in sorted(by_intent)[:CLASSES]:
                for text in by_intent[intent][part]:
                    out.write(json.dumps({"question": text, "intent": intent}) + "\n")
    return paths


def test_a_file_of_seven_classes_makes_an_adapter_that_is_no_worse_than_its_probe(
    intents: dict[str, Path], embedded_cache: Path
) -> None:
    cache = {"PLATFORM_CACHE": str(embedded_cache)}
    data = [part for split, path in intents.items() for part in ("--data", f"{split}={path}")]
    line = ("adapters", "train", "intents", *data, "--set", "epochs=4", "--json")
    trained: dict[str, Any] = json.loads(platform(*line, **cache))
    assert len(trained["manifest"]["scheme"]["labels"]) == CLASSES
    assert trained["promoted"]
    report = trained["report"]
    assert report["splits"]["test"] == CLASSES * TESTED
    probe = report["baselines"]["probe"]["test"]["accuracy"]
    assert report["test"]["metrics"]["accuracy"] >= probe - 0.005
    answer = platform("classify", "-a", "intents", "--json", "Where is my parcel?", **cache)
    assert json.loads(answer)["label"] == "delivery_problem"


@pytest.fixture
def large_base(tmp_path: Path) -> Path:
    """A directory as of bert-base-chinese: 12 layers of 768 with a pooler; its weights random."""
    from benchmarks.quality.legacy import berts_size

    return berts_size(tmp_path / "berts-size")


def test_a_directory_of_berts_size_is_a_base(large_base: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.csv"
    rows = [f"数据{chr(0x4E10 + i)},a\n天气{chr(0x5E10 + i)},b\n" for i in range(6)]
    texts.write_text("text,label\n" + "".join(rows), encoding="utf-8")
    seed = ("--base", large_base, "--preset", "seed", "--set", "epochs=1", "--allow-worse")
    trained = json.loads(platform("adapters", "train", "topic", "--data", texts, *seed, "--json"))
    base = trained["manifest"]["base"]
    assert (base["layers"], base["hidden_size"]) == (12, 768)
    assert trained["manifest"]["pooling"] == "pooler"
    verified = json.loads(platform("bases", "verify", large_base, "--json"))
    assert verified["fingerprint"] == base["fingerprint"]
    for engine in ("packed", "peft"):
        line = ("classify", "-a", "topic", "--engine", engine, "--json", "数据")
        answer = json.loads(platform(*line))
        assert (answer["engine"], answer["label"] in {"a", "b"}) == (engine, True)
