"""What comes from stock PEFT, or from another store, answers here as it did there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import (
    IA3Config,
    LNTuningConfig,
    LoHaConfig,
    LoraConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptTuningConfig,
    VeraConfig,
)
from safetensors.torch import load_file, save_file
from transformers import AutoModel, RobertaConfig, RobertaForSequenceClassification

from adapter_platform.core.errors import (
    AdapterCorrupt,
    AdapterNotFound,
    AdapterUnsupported,
    BaseUnavailable,
    PlatformError,
    RecipeError,
    SchemeError,
)
from adapter_platform.core.training.recipe import make_recipe, read_recipe
from adapter_platform.core.training.workshop import Workshop
from adapter_platform.plugins.testing import make_tiny_base

from .conftest import (
    NAMES,
    SEED,
    SEED_TARGETS,
    Logits,
    Stock,
    bring,
    edit,
    published,
    refusal,
    seed_config,
)

TASK = {"task_type": "SEQ_CLS"}
METHODS = {
    "the seed's": seed_config,
    "dora": lambda: seed_config(use_dora=True),
    "rslora": lambda: seed_config(use_rslora=True),
    "ranks and alphas of their own": lambda: seed_config(
        rank_pattern={r"bert.encoder.layer.1.*query": 3, "output.dense": 5},
        alpha_pattern={r"^bert\.encoder\.layer\.0\..*value": 40},
    ),
    "an expression": lambda: seed_config(
        target_modules=r"bert\.encoder\.layer\.1\..*(query|dense)"
    ),
    "full paths": lambda: seed_config(target_modules="all-linear"),
    "one layer": lambda: seed_config(layers_to_transform=[1], layers_pattern="layer"),
    "without the pooler": lambda: seed_config(exclude_modules=["bert.pooler.dense"]),
    "the classifier named": lambda: seed_config(target_modules=["query", "classifier"]),
    "biases of the targets": lambda: seed_config(bias="lora_only"),
    "all biases": lambda: seed_config(bias="all", target_modules=["query"]),
    "gaussian start": lambda: seed_config(init_lora_weights="gaussian"),
    "ia3": lambda: IA3Config(**TASK),
    "ia3 by paths": lambda: IA3Config(
        target_modules=r"bert\..*(key|dense)", feedforward_modules=r"bert\..*output.dense", **TASK
    ),
    "loha": lambda: LoHaConfig(target_modules=["query", "dense"], **TASK),
    "vera": lambda: VeraConfig(target_modules=["query"], **TASK),
    "prefixes": lambda: PrefixTuningConfig(num_virtual_tokens=4, **TASK),
    "layer norms": lambda: LNTuningConfig(target_modules=["LayerNorm"], **TASK),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_stock_classifier_of_any_method_keeps_its_logits(
    method: str,
    stock: Stock,
    workshop: Workshop,
    stock_logits: Logits,
    platform_logits: Logits,
) -> None:
    directory = stock(METHODS[method]())
    expected = stock_logits(directory)
    manifest = bring(directory, workshop)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(platform_logits(manifest), expected, rtol=1e-5, atol=2e-5)


def test_the_plain_encoder_loads_the_imported_adapter_with_every_tensor(
    stock: Stock, workshop: Workshop, tiny_base: Path
) -> None:
    directory = stock()
    path = published(workshop, bring(directory, workshop)).path
    model = PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_base), path)
    loaded = {name.replace(".default", ""): p for name, p in model.named_parameters()}
    original = load_file(directory / "adapter_model.safetensors")
    ours = load_file(path / "adapter_model.safetensors")
    assert len(ours) == len(original) - 2  # all but the classifier
    assert all(torch.equal(loaded[name], tensor) for name, tensor in ours.items())
    assert "base_model.model.pooler.dense.lora_A.weight" in ours
    config = json.loads((path / "adapter_config.json").read_text())
    assert config["task_type"] == "FEATURE_EXTRACTION"
    assert config["modules_to_save"] is None
    assert config["target_modules"] == sorted(SEED_TARGETS)


def test_the_manifest_says_what_the_folder_said(
    stock: Stock, workshop: Workshop, tiny_base: Path
) -> None:
    training = {"learning_rate": 3e-4, "epochs": 7, "batch_size": 4, "max_length": 64, "lang": "zh"}
    directory = stock(training=training)
    manifest = bring(directory, workshop, name="问题")
    assert (manifest.reference, manifest.pooling, manifest.max_length) == ("问题@1", "pooler", 64)
    assert (manifest.peft_method, manifest.metrics) == ("LORA", {})
    assert manifest.base == workshop.bases.resolve(str(tiny_base)).record()
    assert manifest.scheme.classes == NAMES
    path = published(workshop, manifest).path
    assert json.loads((path / "imported_training_config.json").read_text()) == training
    assert workshop.store.verify("问题") == []


def test_its_recipe_trains_such_an_adapter_again(stock: Stock, workshop: Workshop) -> None:
    training = {"num_train_epochs": 7.0, "per_device_train_batch_size": 4, "seed": 11}
    manifest = bring(stock(training=training), workshop)
    settings = read_recipe(published(workshop, manifest).path / "training_config.json")
    recipe = make_recipe(settings)
    assert (recipe.epochs, recipe.batch_size, recipe.seed) == (7, 4, 11)
    assert (recipe.head, recipe.pooling, recipe.learning_rate) == ("trained", "pooler", 1e-4)
    expected = {**SEED, "bias": "none", "target_modules": sorted(SEED_TARGETS)}
    assert recipe.peft == expected


def test_its_card_claims_no_results(stock: Stock, workshop: Workshop) -> None:
    path = published(workshop, bring(stock(), workshop)).path
    card = (path / "README.md").read_text(encoding="utf-8")
    assert "has not been judged here" in card
    assert "| Seed |" not in card


def test_without_a_training_config_it_reads_as_much_as_its_base(
    stock: Stock, workshop: Workshop
) -> None:
    assert bring(stock(), workshop).max_length == 128


def test_importing_again_makes_the_next_version(stock: Stock, workshop: Workshop) -> None:
    directory = stock()
    bring(directory, workshop)
    manifest = bring(directory, workshop)
    assert (manifest.version, manifest.parent) == (2, 1)
    assert workshop.store.current("old") == 2


def test_without_a_name_the_folder_gives_one(stock: Stock, workshop: Workshop) -> None:
    assert bring(stock(folder="tickets"), workshop, name=None).name == "tickets"


@pytest.mark.parametrize(
    "labels",
    [
        {"0": "x", "1": "y", "2": "z"},
        {"2": "z", "0": "x", "1": "y"},
        {"x": 0, "y": 1, "z": 2},
        {"id2label": {"0": "x", "1": "y", "2": "z"}},
        {"label2id": {"z": 2, "y": 1, "x": 0}},
        ["x", "y", "z"],
    ],
    ids=str,
)
def test_a_label_map_may_go_either_way(labels: Any, stock: Stock, workshop: Workshop) -> None:
    assert bring(stock(labels=labels), workshop).scheme.classes == ("x", "y", "z")


def test_labels_may_stand_in_config_json_with_their_kind(stock: Stock, workshop: Workshop) -> None:
    directory = stock(labels=None)
    config = {"id2label": {"0": "x", "1": "y", "2": "z"}}
    config |= {"problem_type": "multi_label_classification"}
    (directory / "config.json").write_text(json.dumps(config))
    manifest = bring(directory, workshop)
    assert (manifest.scheme.kind, manifest.scheme.classes) == ("multi", ("x", "y", "z"))


def test_given_labels_win(stock: Stock, workshop: Workshop) -> None:
    manifest = bring(stock(), workshop, labels=["a/b", "a/c", "d"], kind="hierarchical")
    assert (manifest.scheme.kind, manifest.scheme.classes) == ("hierarchical", ("a/b", "a/c", "d"))


def test_placeholder_names_count_as_none(stock: Stock, workshop: Workshop) -> None:
    directory = stock(labels=None)
    names = {str(i): f"LABEL_{i}" for i in range(3)}
    (directory / "config.json").write_text(json.dumps({"id2label": names}))
    assert "--label a --label b" in refusal(SchemeError, lambda: bring(directory, workshop))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (None, "--label a --label b"),
        ({"0": "x"}, "names 1 labels, and the classifier has 3"),
        ({"0": "x", "1": "y", "3": "z"}, "each number from 0 on"),
        ({"0": "x", "1": "y", "2": None}, "each number from 0 on"),
        ({"0": "x", "1": "x", "2": "y"}, "stands twice"),
        ("x,y,z", "each number from 0 on"),
    ],
    ids=str,
)
def test_labels_that_cannot_be_are_refused(
    labels: Any, words: str, stock: Stock, workshop: Workshop
) -> None:
    directory = stock(labels=labels)
    assert words in refusal(SchemeError, lambda: bring(directory, workshop))
    assert workshop.store.names() == []


def test_a_classifier_with_one_output_is_a_regression(stock: Stock, workshop: Workshop) -> None:
    directory = stock(classes=1, labels=["score"])
    assert "regression" in refusal(SchemeError, lambda: bring(directory, workshop))


UNSUPPORTED: dict[str, tuple[Callable[[], Any], str]] = {
    "a pooler of its own": (
        lambda: seed_config(modules_to_save=["classifier", "pooler"]),
        r"its own copy of pooler.*LoRA on it would be lost",
    ),
    "embeddings of its own": (
        lambda: seed_config(modules_to_save=["word_embeddings"]),
        "its own copy of word_embeddings",
    ),
    "pissa": (lambda: seed_config(init_lora_weights="pissa"), "begins from 'pissa'"),
    "olora": (lambda: seed_config(init_lora_weights="olora"), "begins from 'olora'"),
    "prompts": (lambda: PromptTuningConfig(num_virtual_tokens=4, **TASK), "virtual token"),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_what_cannot_be_said_exactly_is_refused(
    case: str, stock: Stock, workshop: Workshop
) -> None:
    make, words = UNSUPPORTED[case]
    directory = stock(make())
    assert re.search(words, refusal(AdapterUnsupported, lambda: bring(directory, workshop)))
    assert workshop.store.names() == []


def test_an_adapter_for_another_task_is_refused(stock: Stock, workshop: Workshop) -> None:
    directory = stock()
    edit(directory, task_type="CAUSAL_LM")
    sentence = refusal(AdapterUnsupported, lambda: bring(directory, workshop))
    assert "for CAUSAL_LM, not for sequence classification" in sentence


def test_a_setting_that_this_peft_does_not_know_is_refused(
    stock: Stock, workshop: Workshop
) -> None:
    directory = stock()
    edit(directory, twist=3)
    sentence = refusal(AdapterUnsupported, lambda: bring(directory, workshop))
    assert "'twist'" in sentence
    assert "old@" not in sentence


def test_a_method_that_this_peft_does_not_know_is_refused(stock: Stock, workshop: Workshop) -> None:
    directory = stock()
    edit(directory, peft_type="SORA")
    assert "'SORA'" in refusal(AdapterUnsupported, lambda: bring(directory, workshop))


@pytest.mark.parametrize("start", ["PiSSA_niter_4", "loftq", "of_tomorrow"])
def test_a_start_that_is_not_known_to_leave_the_base_alone_is_refused(
    start: str, stock: Stock, workshop: Workshop
) -> None:
    directory = stock()
    edit(directory, init_lora_weights=start)
    sentence = refusal(AdapterUnsupported, lambda: bring(directory, workshop))
    assert f"begins from {start!r}" in sentence
    assert workshop.store.names() == []


def test_an_encoder_adapter_without_a_head_is_refused(stock: Stock, workshop: Workshop) -> None:
    directory = stock()
    path = directory / "adapter_model.safetensors"
    save_file({k: v for k, v in load_file(path).items() if "classifier" not in k}, path)
    assert "has no classifier" in refusal(AdapterUnsupported, lambda: bring(directory, workshop))


def test_a_tensor_that_no_module_takes_is_not_lost_in_silence(
    stock: Stock, workshop: Workshop
) -> None:
    directory = stock()
    path = directory / "adapter_model.safetensors"
    extra = {"base_model.model.bert.embeddings.word_embeddings.weight": torch.zeros(3, 32)}
    save_file(load_file(path) | extra, path)
    sentence = refusal(PlatformError, lambda: bring(directory, workshop))
    assert "word_embeddings" in sentence
    assert workshop.store.names() == []


@pytest.fixture
def roberta(tmp_path: Path, tiny_base: Path) -> Path:
    """A model directory whose stock classifier has a dense layer of its own."""
    directory = tmp_path / "roberta"
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = RobertaConfig(vocab_size=200, intermediate_size=64, **shape)
    RobertaForSequenceClassification(config).save_pretrained(directory)
    shutil.copy(tiny_base / "tokenizer.json", directory)
    return directory


def test_a_roberta_classifier_is_refused_by_the_layer_that_it_has(
    roberta: Path, stock: Stock, workshop: Workshop
) -> None:
    directory = stock(LoraConfig(target_modules=["query"], **TASK), base=roberta, classes=2)
    sentence = refusal(AdapterUnsupported, lambda: bring(directory, workshop))
    assert "its classifier has a layer 'classifier.dense'" in sentence
    assert "linear layer over the pooler of a BERT" in sentence


def test_a_base_of_another_architecture_is_refused(
    roberta: Path, stock: Stock, workshop: Workshop
) -> None:
    directory = stock()
    sentence = refusal(AdapterUnsupported, lambda: bring(directory, workshop, base=str(roberta)))
    assert "is a 'roberta'" in sentence


def test_a_base_without_a_pooler_is_refused(
    stock: Stock, workshop: Workshop, tiny_base_without_pooler: Path
) -> None:
    directory = stock(base=tiny_base_without_pooler)
    assert "has no pooler" in refusal(AdapterUnsupported, lambda: bring(directory, workshop))


def test_a_base_of_another_width_is_refused(
    stock: Stock, workshop: Workshop, tmp_path: Path
) -> None:
    directory, wide = stock(), make_tiny_base(tmp_path / "wide", hidden=48)
    sentence = refusal(AdapterUnsupported, lambda: bring(directory, workshop, base=str(wide)))
    assert "reads 32 numbers a text, and the base" in sentence


def test_a_base_that_has_moved_can_be_named_from_anywhere(
    stock: Stock, workshop: Workshop, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = stock()
    edit(directory, base_model_name_or_path="/home/somebody/models/bert")
    assert "--base DIRECTORY" in refusal(BaseUnavailable, lambda: bring(directory, workshop))
    monkeypatch.chdir(tiny_base.parent)
    manifest = bring(directory, workshop, base=tiny_base.name)
    assert manifest.base.id == str(tiny_base)
    path = published(workshop, manifest).path
    config = json.loads((path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny_base)
    assert read_recipe(path / "training_config.json")["base"] == str(tiny_base)
    monkeypatch.chdir("/")
    assert workshop.bases.for_adapter(manifest)[0].path == tiny_base


def test_a_folder_that_names_no_base_says_so(stock: Stock, workshop: Workshop) -> None:
    directory = stock()
    edit(directory, base_model_name_or_path=None)
    assert "--base ID" in refusal(BaseUnavailable, lambda: bring(directory, workshop))


def test_a_base_with_a_classifier_of_another_size_takes_the_adapters(
    stock: Stock, workshop: Workshop, tiny_base: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    judged = tmp_path / "judged"
    AutoModelForSequenceClassification.from_pretrained(tiny_base, num_labels=5).save_pretrained(
        judged
    )
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_base / name, judged)
    assert bring(stock(), workshop, base=str(judged)).scheme.classes == NAMES


BROKEN: dict[str, tuple[Callable[[Path], object], type[PlatformError], str]] = {
    "no adapter": (lambda d: (d / "adapter_config.json").unlink(), AdapterCorrupt, "holds no"),
    "no tensors": (
        lambda d: (d / "adapter_model.safetensors").unlink(),
        AdapterCorrupt,
        "it has no adapter_model.safetensors",
    ),
    "a pickle": (
        lambda d: (d / "adapter_model.safetensors").rename(d / "adapter_model.bin"),
        AdapterUnsupported,
        r"can carry code.*save_pretrained",
    ),
    "half a file": (
        lambda d: (d / "adapter_model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{"),
        AdapterCorrupt,
        "cannot be read",
    ),
    "a config that is no JSON": (
        lambda d: (d / "adapter_config.json").write_text("{"),
        AdapterCorrupt,
        "cannot be read",
    ),
    "a config without a method": (
        lambda d: (d / "adapter_config.json").write_text("[]"),
        AdapterCorrupt,
        "names no PEFT method",
    ),
    "a training config that is a list": (
        lambda d: (d / "training_config.json").write_text("[]"),
        AdapterCorrupt,
        "not a table",
    ),
    "a length that cannot be": (
        lambda d: (d / "training_config.json").write_text('{"max_length": "long"}'),
        RecipeError,
        "training_config.json.*'max_length'",
    ),
    "modules that are numbers": (
        lambda d: edit(d, target_modules=[1]),
        AdapterCorrupt,
        "target_modules is not a list of names",
    ),
    "saved modules that are no list": (
        lambda d: edit(d, modules_to_save="classifier"),
        AdapterCorrupt,
        "modules_to_save is not a list of names",
    ),
    "ranks that are no table": (
        lambda d: edit(d, rank_pattern=["query"]),
        AdapterCorrupt,
        "rank_pattern is not a table",
    ),
    "ranks of no pattern": (
        lambda d: edit(d, rank_pattern={"(": 3}),
        AdapterCorrupt,
        r"rank_pattern has no pattern '\('",
    ),
    "labels in another encoding": (
        lambda d: (d / "label_map.json").write_bytes('{"0": "数"}'.encode("gbk")),
        AdapterCorrupt,
        "label_map.json cannot be read",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_is_refused_in_a_sentence(
    case: str, stock: Stock, workshop: Workshop
) -> None:
    spoil, error, words = BROKEN[case]
    directory = stock()
    spoil(directory)
    assert re.search(words, refusal(error, lambda: bring(directory, workshop)))
    assert workshop.store.names() == []


def test_a_directory_that_is_none_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "not there" in refusal(AdapterNotFound, lambda: bring(tmp_path / "no", workshop))
    assert "not a dir" in refusal(AdapterNotFound, lambda: bring(tmp_path / "file", workshop))
