"""What leaves the store is whole, and answers in stock PEFT as it does here."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peft import IA3Config, LoHaConfig, PeftModel, PrefixTuningConfig, VeraConfig
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification

from adapter_platform.core.errors import (
    AdapterCorrupt,
    AdapterUnsupported,
    BaseUnavailable,
    StoreError,
    UsageError,
)
from adapter_platform.core.exchange.exporting import export_adapter
from adapter_platform.core.exchange.importing import import_adapter
from adapter_platform.core.heads import Head
from adapter_platform.core.store.manifest import Manifest
from adapter_platform.core.store.source import AdapterSource
from adapter_platform.core.training.workshop import Workshop

from .conftest import NAMES, Logits, Stock, published, seed_config

TASK = {"task_type": "SEQ_CLS"}


@pytest.fixture
def source(stock: Stock, workshop: Workshop) -> AdapterSource:
    """A published adapter with a pooler head, as the seed's are."""
    directory = stock()
    manifest = import_adapter(directory, name="old", base=None, workshop=workshop)
    return published(workshop, manifest)


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()
    }


METHODS: dict[str, Callable[[], Any]] = {
    "the seed's": seed_config,
    "dora": lambda: seed_config(use_dora=True),
    "full paths and patterns": lambda: seed_config(
        target_modules="all-linear",
        rank_pattern={"layer.1.*query": 3},
        alpha_pattern={"bert.pooler.dense": 40},
    ),
    "all biases": lambda: seed_config(bias="all"),
    "ia3": lambda: IA3Config(
        target_modules=r"bert\..*(key|dense)", feedforward_modules=r"bert\..*output.dense", **TASK
    ),
    "loha": lambda: LoHaConfig(target_modules=["query", "dense"], **TASK),
    "vera": lambda: VeraConfig(target_modules=["query"], **TASK),
    "prefixes": lambda: PrefixTuningConfig(num_virtual_tokens=4, **TASK),
}


@pytest.mark.parametrize("method", METHODS)
def test_in_and_out_again_keeps_the_logits_and_every_tensor(
    method: str, stock: Stock, workshop: Workshop, stock_logits: Logits, tmp_path: Path
) -> None:
    directory = stock(METHODS[method]())
    manifest = import_adapter(directory, name="old", base=None, workshop=workshop)
    out = export_adapter(
        published(workshop, manifest), tmp_path / "out", format="stock", bases=workshop.bases
    )
    before = load_file(directory / "adapter_model.safetensors")
    after = load_file(out / "adapter_model.safetensors")
    assert before.keys() == after.keys()
    np.testing.assert_array_equal(stock_logits(out), stock_logits(directory))


def test_out_and_in_again_keeps_the_logits(
    source: AdapterSource, workshop: Workshop, platform_logits: Logits, tmp_path: Path
) -> None:
    out = export_adapter(source, tmp_path / "out", format="stock", bases=workshop.bases)
    back = import_adapter(out, name="back", base=None, workshop=workshop)
    assert back.scheme == source.manifest.scheme
    assert back.max_length == source.manifest.max_length
    np.testing.assert_array_equal(platform_logits(back), platform_logits(source.manifest))


def test_the_stock_folder_holds_what_the_seed_wrote(
    source: AdapterSource, workshop: Workshop, tmp_path: Path, tiny_base: Path
) -> None:
    out = export_adapter(source, tmp_path / "out", format="stock", bases=workshop.bases)
    labels = json.loads((out / "label_map.json").read_text(encoding="utf-8"))
    assert labels == {str(i): name for i, name in enumerate(NAMES)}
    training = json.loads((out / "training_config.json").read_text())
    assert training["model_name"] == str(tiny_base)
    assert (training["num_labels"], training["max_length"]) == (3, 128)
    assert (training["epochs"], training["batch_size"], training["learning_rate"]) == (5, 8, 1e-4)
    config = json.loads((out / "adapter_config.json").read_text())
    assert config["task_type"] == "SEQ_CLS"
    assert "classifier" in config["modules_to_save"]
    assert AutoConfig.from_pretrained(out).id2label == dict(enumerate(NAMES))


def test_the_training_config_that_came_in_goes_out(
    stock: Stock, workshop: Workshop, tmp_path: Path
) -> None:
    directory = stock(training={"max_length": 64, "remark": "kept"})
    manifest = import_adapter(directory, name="old", base=None, workshop=workshop)
    out = export_adapter(
        published(workshop, manifest), tmp_path / "out", format="stock", bases=workshop.bases
    )
    training = json.loads((out / "training_config.json").read_text())
    assert training == {"max_length": 64, "remark": "kept"}


def test_a_multi_label_adapter_says_so_to_transformers(
    stock: Stock, workshop: Workshop, tmp_path: Path
) -> None:
    manifest = import_adapter(stock(), name="old", base=None, workshop=workshop, kind="multi")
    source = published(workshop, manifest)
    out = export_adapter(source, tmp_path / "out", format="stock", bases=workshop.bases)
    assert AutoConfig.from_pretrained(out).problem_type == "multi_label_classification"
    assert import_adapter(out, name="b", base=None, workshop=workshop).scheme == manifest.scheme


def test_transformers_alone_loads_the_stock_folder(
    source: AdapterSource, workshop: Workshop, tmp_path: Path, tiny_base: Path
) -> None:
    out = export_adapter(source, tmp_path / "out", format="stock", bases=workshop.bases)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_base, num_labels=3)
    wrapped = PeftModel.from_pretrained(model, out)
    held = wrapped.base_model.model.classifier.modules_to_save["default"].weight
    np.testing.assert_array_equal(held.detach().numpy(), Head.load(source.path).weight)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_head_that_stock_code_does_not_know_is_refused(
    pooling: str, source: AdapterSource, workshop: Workshop, tmp_path: Path
) -> None:
    with workshop.store.stage("other") as staged:
        for name in source.manifest.files:
            (staged / name).write_bytes((source.path / name).read_bytes())
        manifest = replace(source.manifest, name="other", pooling=pooling)
        other = published(workshop, workshop.store.publish(staged, manifest))
    with pytest.raises(AdapterUnsupported, match=f"pools with '{pooling}'.*reads the base's pool"):
        export_adapter(other, tmp_path / "out", format="stock", bases=workshop.bases)
    assert not (tmp_path / "out").exists()


def test_an_adapter_that_reads_in_windows_leaves_as_it_is_or_not_at_all(
    source: AdapterSource, workshop: Workshop, tmp_path: Path
) -> None:
    manifest = replace(source.manifest, name="reads", long_text="windows", stride=8)
    with workshop.store.stage("reads") as staged:
        for name in source.manifest.files:
            (staged / name).write_bytes((source.path / name).read_bytes())
        reads = published(workshop, workshop.store.publish(staged, manifest))
    with pytest.raises(AdapterUnsupported, match="reads long texts in windows"):
        export_adapter(reads, tmp_path / "out", format="stock", bases=workshop.bases)
    out = export_adapter(reads, tmp_path / "out", format="platform", bases=workshop.bases)
    again = import_adapter(out, name="again", base=None, workshop=workshop)
    assert (again.long_text, again.stride, again.window_stride) == ("windows", 8, 8)


def test_a_stock_export_needs_the_base(
    source: AdapterSource, workshop: Workshop, tmp_path: Path
) -> None:
    lost = replace(source.manifest, base=replace(source.manifest.base, id="/gone"))
    with pytest.raises(BaseUnavailable):
        export_adapter(
            replace(source, manifest=lost), tmp_path / "out", format="stock", bases=workshop.bases
        )


def test_a_platform_export_is_the_adapter_file_by_file(
    source: AdapterSource, workshop: Workshop, tmp_path: Path
) -> None:
    out = export_adapter(source, tmp_path / "a" / "b", format="platform", bases=workshop.bases)
    assert out == tmp_path / "a" / "b"
    assert tree(out) == tree(source.path)
    assert Manifest.read(out) == source.manifest


@pytest.mark.parametrize("format", ["platform", "stock"])
def test_a_damaged_adapter_does_not_leave_the_store(
    format: str, source: AdapterSource, workshop: Workshop, tmp_path: Path
) -> None:
    (source.path / "head.json").write_text("{}")
    with pytest.raises(AdapterCorrupt, match="damaged"):
        export_adapter(source, tmp_path / "out", format=format, bases=workshop.bases)
    assert not (tmp_path / "out").exists()


def test_an_empty_directory_is_filled(
    source: AdapterSource, workshop: Workshop, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    out = export_adapter(source, tmp_path / "out", format="platform", bases=workshop.bases)
    assert Manifest.read(out).name == "old"


@pytest.mark.parametrize("format", ["platform", "stock"])
def test_a_directory_that_holds_something_is_left_alone(
    format: str, source: AdapterSource, workshop: Workshop, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match="holds something"):
        export_adapter(source, tmp_path / "out", format=format, bases=workshop.bases)
    assert tree(tmp_path / "out") == {"mine.txt": b"mine"}


def test_a_file_in_the_way_is_left_alone(
    source: AdapterSource, workshop: Workshop, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(StoreError):
        export_adapter(source, tmp_path / "out", format="platform", bases=workshop.bases)
    with pytest.raises(StoreError, match="was not written"):
        export_adapter(source, tmp_path / "out" / "x", format="platform", bases=workshop.bases)
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "no space left"), (errno.EROFS, "Read-only")]
)
def test_a_disk_that_refuses_leaves_nothing_behind(
    number: int,
    words: str,
    source: AdapterSource,
    workshop: Workshop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: Path, *_: Any, **__: Any) -> int:
        raise OSError(number, os.strerror(number), str(self))

    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StoreError, match=words):
        export_adapter(source, place / "out", format="stock", bases=workshop.bases)
    assert list(place.iterdir()) == []


def test_an_unknown_format_is_refused(
    source: AdapterSource, workshop: Workshop, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no export format named 'onnx'"):
        export_adapter(source, tmp_path / "out", format="onnx", bases=workshop.bases)
