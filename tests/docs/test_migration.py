"""Both migration guides keep their word: each snippet runs, in order, in a directory like a user's.

`bert-base-chinese` is a tiny random BERT in the working directory, `old_model` a stock classifier
on it as transformers and PEFT save one, and `older_model` what was saved before PEFT.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.plugins.testing import make_tiny_base

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = ("migration.md", "migration.zh-CN.md")
LEGACY = ["category", "confidence", "probabilities", "method"]
NAMES = {"0": "数据平台", "1": "闲聊", "2": "无关"}
OLD_DATA = '''"""Texts of three sorts, each with words of its own."""

words = ["数据 清洗 入库 流程", "hello thanks bye", "weather cat soup song"]
texts = [f"{line} {i} {chr(97 + i)}" for i in range(16) for line in words]
labels = [n for _ in range(16) for n in range(3)]
train_texts, train_labels = texts[:36], labels[:36]
val_texts, val_labels = texts[36:], labels[36:]
'''
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Snippet:
    """A fenced block: its language and its text."""

    language: str
    code: str


def snippets(guide: str) -> list[Snippet]:
    text = (DOCS / guide).read_text(encoding="utf-8")
    return [Snippet(*found) for found in FENCE.findall(text)]


@pytest.fixture
def old_home(tmp_path: Path) -> Path:
    """A working directory with the base, the old model, and the old data."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification

    make_tiny_base(tmp_path / "bert-base-chinese")
    torch.manual_seed(3)
    model = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "bert-base-chinese", num_labels=3
    )
    targets = ["query", "key", "value", "dense"]
    config = LoraConfig(
        task_type="SEQ_CLS", r=8, lora_alpha=16, lora_dropout=0.1, target_modules=targets
    )
    peft = get_peft_model(model, config)
    peft.peft_config["default"].base_model_name_or_path = "bert-base-chinese"
    peft.save_pretrained(tmp_path / "old_model")
    for name, data in (("label_map", NAMES), ("training_config", {"max_length": 128})):
        text = json.dumps(data, ensure_ascii=False)
        (tmp_path / "old_model" / f"{name}.json").write_text(text, encoding="utf-8")
    write_older(tmp_path / "older_model", model)
    (tmp_path / "old_data.py").write_text(OLD_DATA, encoding="utf-8")
    return tmp_path


def write_older(directory: Path, model: Any) -> None:
    """A checkpoint of the layers that were there before PEFT."""
    import torch

    hidden = model.config.hidden_size
    key = "bert.encoder.layer.1.attention.self.key"
    factors = {"A": torch.randn(8, hidden), "B": torch.randn(hidden, 8)}
    state = {
        "lora_weights": {f"{key}.lora_{factor}.weight": t for factor, t in factors.items()},
        "classifier_weights": {"weight": torch.randn(3, hidden), "bias": torch.randn(3)},
        "lora_config": {"rank": 8, "alpha": 16, "dropout": 0.1},
    }
    directory.mkdir()
    torch.save(state, directory / "lora_weights.pth")
    for name, data in (("label_map", NAMES), ("lora_config", state["lora_config"])):
        text = json.dumps(data, ensure_ascii=False)
        (directory / f"{name}.json").write_text(text, encoding="utf-8")


def run(snippet: Snippet, home: Path) -> str:
    """Runs a snippet as a user would; returns its standard output."""
    if snippet.language == "toml":
        (home / "platform.toml").write_text(snippet.code, encoding="utf-8")
        return ""
    programs = {"python": [sys.executable, "-"], "sh": ["sh", "-e", "-s"]}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    python_path = os.pathsep.join([str(home), os.environ.get("PYTHONPATH", "")])
    # PLATFORM_BASE is for the first snippet alone: what `doctor` would read comes after it.
    environment = {"PATH": path, "PYTHONPATH": python_path, "OMP_NUM_THREADS": "1"}
    environment |= {"PLATFORM_BASE": "bert-base-chinese", "PYTHONUTF8": "1"}
    ran = subprocess.run(
        programs[snippet.language],
        input=snippet.code,
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=home,
        env=os.environ | environment,
        check=False,
    )
    assert ran.returncode == 0, f"{snippet.code}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def test_each_snippet_runs_in_order_and_does_what_the_guide_says(old_home: Path) -> None:
    outputs = {snippet.code: run(snippet, old_home) for snippet in snippets(GUIDES[0])}

    def output(part: str) -> str:
        (found,) = (out for code, out in outputs.items() if part in code)
        return found

    assert "peft" in output("platform doctor")
    assert "48" in output("data check")
    assert "questions@1" in output("adapters train")
    trained, evaluated, answer = output("p.train(").splitlines()
    assert trained.startswith("questions@2 {'accuracy':")
    assert evaluated.startswith("{'accuracy':")
    assert list(ast.literal_eval(answer)) == LEGACY
    prediction = json.loads(output("platform classify"))
    assert prediction["label"] in NAMES.values()
    assert prediction["version"] == 2
    assert set(prediction["probabilities"]) == set(NAMES.values())
    assert "old_questions@1" in output("adapters import ")
    assert "older_questions@1" in output("adapters import-legacy")
    exported = json.loads((old_home / "exported" / "label_map.json").read_text(encoding="utf-8"))
    assert exported == NAMES


def test_both_languages_show_the_same_snippets() -> None:
    english, chinese = map(snippets, GUIDES)
    assert english == chinese
    assert {snippet.language for snippet in english} == {"sh", "python", "toml"}


@pytest.mark.parametrize("guide", GUIDES)
def test_nothing_in_a_fence_is_left_out(guide: str) -> None:
    text = (DOCS / guide).read_text(encoding="utf-8")
    assert text.count("```") == 2 * len(snippets(guide))


@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.parametrize(
    "old",
    [
        *("PEFTLoRAQuestionClassifierTrainer", "PEFTLoRAQuestionClassifier(model_path)"),
        *("classify_question", "prepare_data", "save_model", "print_trainable_parameters"),
        *("`evaluate`", "`model_name`", "`num_labels`", "`epochs`", "`batch_size`"),
        *("`learning_rate`", "`output_dir`", "target_modules", "train_texts", "val_texts"),
        *("`category`", "`confidence`", "`probabilities`", "`method`"),
        *("`adapter_config.json`", "`adapter_model.safetensors`", "`training_config.json`"),
        *("`label_map.json`", "platform doctor"),
    ],
)
def test_everything_old_is_named(old: str, guide: str) -> None:
    assert old in (DOCS / guide).read_text(encoding="utf-8")
