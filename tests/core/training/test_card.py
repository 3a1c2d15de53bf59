"""The model card: what people and the Hub read of an adapter."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import replace
from typing import Any

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from adapter_platform.core.labels import Label, LabelScheme
from adapter_platform.core.store.manifest import BaseRecord, Manifest
from adapter_platform.core.training.card import reproduction, write_card
from adapter_platform.core.training.recipe import make_recipe

MANIFEST = Manifest(
    name="support",
    base=BaseRecord("multilingual", "f" * 64, hidden_size=384, layers=12),
    scheme=LabelScheme(
        "single",
        (
            Label("refund", {"en": "Refund", "zh": "退款"}, "Money back after a purchase"),
            Label("login"),
        ),
    ),
    peft_method="LORA",
    pooling="mean",
    max_length=64,
    description="What customers ask.",
    trainable_parameters=1_234_567,
    created="2026-01-02T03:04:05+00:00",
)
METRICS = {"accuracy": 0.875, "macro_f1": 0.8, "weighted_f1": 0.85}
EVALUATION = {
    "n": 40,
    "primary": "accuracy",
    "metrics": METRICS,
    "per_class": [
        {"label": "refund", "precision": 1.0, "recall": 0.75, "f1": 0.857, "support": 20},
        {"label": "login", "precision": 0.8, "recall": 1.0, "f1": 0.889, "support": 20},
    ],
    "slices": {"lang": {"en": {"n": 25, **METRICS}, "zh": {"n": 15, **METRICS, "accuracy": 0.6}}},
    "mistakes": [],
}
REPORT: dict[str, Any] = {
    "adapter": "support",
    "splits": {"train": 320, "val": 0, "test": 40},
    "notes": ["too few examples to hold any back for a validation split"],
    "val": None,
    "test": EVALUATION,
    "baselines": {"probe": {"test": {**METRICS, "accuracy": 0.85}}, "tfidf": {}},
}


def card(manifest: Manifest = MANIFEST, report: dict[str, Any] = REPORT, text: str = "hi") -> str:
    return write_card(manifest, make_recipe({"seed": 7}), report, text)


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def code(text: str) -> str:
    found = re.search(r"```python\n(.*?)\n```", text, re.DOTALL)
    assert found
    return found[1]


def test_the_hub_reads_what_it_is_and_which_base_it_needs() -> None:
    data = ModelCard(card()).data
    assert data.library_name == "peft"
    assert data.pipeline_tag == "text-classification"
    assert data.base_model == "multilingual"
    assert "adapter-platform" in (data.tags or [])


def test_it_says_what_the_adapter_is_and_how_it_was_made() -> None:
    facts = {row[0]: row[1] for row in rows(card()) if len(row) == 2}
    assert facts["Kind"] == "single"
    assert facts["Labels"] == "2"
    assert facts["Base"] == "`multilingual` (ffffffffffff)"
    assert facts["Method"] == "LORA, 1,234,567 parameters"
    assert facts["Pooling"] == "mean"
    assert facts["Reads"] == "64 tokens"
    assert facts["Seed"] == "7"
    assert "What customers ask." in card()
    assert "Seed" not in {row[0] for row in rows(write_card(MANIFEST, None, REPORT, "hi"))}


def test_it_lists_labels_with_their_names_for_people_and_what_belongs_to_them() -> None:
    assert "- `refund` (Refund, 退款): Money back after a purchase\n- `login`\n" in card()


def test_it_has_the_baselines_beside_the_adapter_in_percent() -> None:
    found = rows(card())
    assert ["", "this adapter", "logistic regression, frozen base"] in found
    assert ["accuracy", "87.5", "85.0"] in found
    assert "On the test split, 40 texts:" in card()
    assert "On the val split" not in card()


def test_it_has_figures_by_slice_and_by_class_and_the_notes() -> None:
    found = rows(card())
    assert ["lang = zh", "15", "60.0"] in found
    assert ["refund", "100.0", "75.0", "85.7", "20"] in found
    assert "- too few examples to hold any back for a validation split" in card()


def test_how_sure_the_figures_are_stands_beside_them_where_the_report_says() -> None:
    test = {
        **EVALUATION,
        "intervals": {name: [0.7512, 0.95] for name in METRICS},
        "calibration": {"ece": 0.0213},
        "coverage": {"at_limit": {"confidence": 0.714, "coverage": 0.8, "accuracy": 0.9688}},
    }
    text = card(report={**REPORT, "test": test})
    heading = ["", "this adapter", "its 95 % interval", "logistic regression, frozen base"]
    assert heading in rows(text)
    assert ["accuracy", "87.5", "75.1 to 95.0", "85.0"] in rows(text)
    assert "Expected calibration error: 2.1 %. Answering only from confidence 0.71 on," in text
    assert "80.0 % of these texts are answered, 96.9 % of them rightly." in text
    unsure = {**test, "coverage": {"at_limit": None}}
    assert "No share of these texts can" in card(report={**REPORT, "test": unsure})
    assert "interval" not in card()


def test_a_hierarchy_has_its_top_level_in_the_slices_too() -> None:
    metrics = {**METRICS, "coarse_accuracy": 0.95}
    slices = {"lang": {"en": {"n": 25, **metrics}, "zh": {"n": 15, **metrics}}}
    test = {**EVALUATION, "metrics": metrics, "slices": slices}
    assert ["lang = en", "25", "87.5", "95.0"] in rows(card(report={**REPORT, "test": test}))


def test_an_adapter_that_is_worse_than_the_probe_is_called_so() -> None:
    figures = "accuracy 87.5 against 85.0 on the test split"
    warning = ["Warning", f"worse than logistic regression on the frozen base: {figures}"]
    assert warning not in rows(card())
    assert warning in rows(card(replace(MANIFEST, worse_than_probe=True)))


def test_an_adapter_that_nobody_has_judged_is_called_so() -> None:
    assert "Not judged" in card(report={**REPORT, "test": None, "notes": []})


STRANGE = (
    "act|greet",
    "C:\\new\\|x",
    "<b>bold</b> & *strong* &amp;",
    "__init__ and a_b",
    "`tick` ``two",
    "[link](http://x) ~~no~~",
    "a: b #c",
    "退款｜退货",
)


def shown(text: str) -> list[str]:
    """What a reader sees of each piece of running text, with the tables' cells apart."""

    def seen(token: Any) -> str:
        return "" if token.type == "html_inline" else str(token.content)

    parsed = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(text)
    return ["".join(seen(c) for c in t.children or ()) for t in parsed if t.type == "inline"]


@pytest.mark.parametrize("name", STRANGE)
def test_names_read_as_they_are_in_tables_and_lists(name: str) -> None:
    label = Label(name, {"en": name}, f"All of {name},\n# whatever")
    manifest = replace(MANIFEST, scheme=LabelScheme("single", (label, Label("login"))))
    per_class = [{**EVALUATION["per_class"][0], "label": name}]
    slices = {"part": {name: {"n": 25, **METRICS}, "zh": {"n": 15, **METRICS}}}
    test = {**EVALUATION, "per_class": per_class, "slices": slices}
    found = shown(card(manifest, {**REPORT, "test": test, "notes": [f"none has {name!r}"]}))
    assert f"{name} ({name}): All of {name}, # whatever" in found
    assert f"none has {name!r}" in found
    at = found.index(name)
    assert found[at + 1 : at + 5] == ["100.0", "75.0", "85.7", "20"]
    at = found.index(f"part = {name}")
    assert found[at + 1 : at + 3] == ["25", "87.5"]


@pytest.mark.parametrize(
    "base", ["C:\\my models: new", "/data/a b #1/'x'", "`odd`", "123", "是: 的"]
)
def test_a_base_of_any_name_is_read_by_the_hub_and_by_people(base: str) -> None:
    record = replace(MANIFEST.base, id=base)
    text = card(replace(MANIFEST, base=record))
    assert ModelCard(text).data.base_model == base
    found = shown(text)
    assert f"{base} (ffffffffffff)" in found
    if base.startswith("/"):
        (line,) = [line for line in found if line.startswith("The base is a directory of the")]
        assert "begins with ffffffffffff in platform bases verify DIRECTORY" in line
        return
    (line,) = [line for line in found if line.startswith("platform bases fetch ")]
    command = line.removesuffix(" prints the base's directory.")
    assert shlex.split(command) == ["platform", "bases", "fetch", base]


@pytest.mark.parametrize("method", ["LORA", "PROMPT_TUNING"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
@pytest.mark.parametrize("text", ['where\'s my "money"?', "一个问题\nin two lines", "\\n {x}"])
def test_the_lines_that_reproduce_a_prediction_are_python_and_hold_the_text(
    method: str, pooling: str, text: str
) -> None:
    manifest = replace(MANIFEST, peft_method=method, pooling=pooling)
    tree = ast.parse(code(card(manifest, text=text)))
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert text in constants
    assert 64 in constants
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else ["torch"])
    }
    assert imported == {"torch", "peft", "transformers", "safetensors.torch"}


def test_the_lines_take_any_directory(tmp_path: Any) -> None:
    lines = reproduction(MANIFEST, "C:\\bases\\it's", str(tmp_path), "hi")
    constants = [n.value for n in ast.walk(ast.parse(lines)) if isinstance(n, ast.Constant)]
    assert "C:\\bases\\it's" in constants
    assert str(tmp_path) in constants


def test_a_class_without_test_texts_has_no_figures() -> None:
    figures = {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    rows = [*EVALUATION["per_class"], {"label": "unseen", **figures, "support": 0}]
    text = card(report={**REPORT, "test": {**EVALUATION, "per_class": rows}})
    (line,) = [line for line in text.splitlines() if line.startswith("| unseen")]
    assert [cell.strip() for cell in line.split("|")[2:-1]] == ["", "", "", "0"]
