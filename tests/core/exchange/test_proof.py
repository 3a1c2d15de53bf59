"""No change of form that changes answers is let through."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from adapter_platform.core.errors import AdapterUnsupported
from adapter_platform.core.exchange.importing import import_adapter
from adapter_platform.core.exchange.proof import (
    check_same,
    engine_logits,
    sample_rows,
    stock_logits,
)
from adapter_platform.core.exchange.stock import retarget, to_encoder, to_stock
from adapter_platform.core.store.source import AdapterSource
from adapter_platform.core.training.workshop import Workshop

from .conftest import Stock, published, seed_config

LOGITS = np.array([[1.0, -40.0], [3.0, 2.0]], dtype=np.float32)


@pytest.mark.parametrize("change", [0.0, 1e-3, -1e-3])
def test_the_last_bits_may_differ(change: float) -> None:
    check_same(LOGITS + change, LOGITS, "this")


@pytest.mark.parametrize("change", [0.01, -0.01, float("nan"), float("inf")])
def test_anything_more_is_refused(change: float) -> None:
    ours = LOGITS.copy()
    ours[1, 1] += change
    with pytest.raises(AdapterUnsupported, match="this would change its answers"):
        check_same(ours, LOGITS, "this")


def test_the_texts_that_are_compared_are_the_same_each_time(
    workshop: Workshop, tiny_base: Path
) -> None:
    base = workshop.bases.resolve(str(tiny_base))
    assert sample_rows(base) == sample_rows(base)
    assert len({len(row) for row in sample_rows(base)}) > 3


def test_an_alpha_that_got_lost_on_the_way_is_noticed(
    stock: Stock, workshop: Workshop, tmp_path: Path, tiny_base: Path
) -> None:
    """The tensors' names and shapes say nothing of it; only running both forms does."""
    directory = stock(seed_config(alpha_pattern={"bert.encoder.layer.1.output.dense": 64}))
    source = published(
        workshop, import_adapter(directory, name="old", base=None, workshop=workshop)
    )
    lossy = tmp_path / "lossy"
    shutil.copytree(source.path, lossy)
    config = json.loads((lossy / "adapter_config.json").read_text())
    assert config["alpha_pattern"] == {"encoder.layer.1.output.dense": 64}
    (lossy / "adapter_config.json").write_text(json.dumps(config | {"alpha_pattern": {}}))
    manifest = source.manifest.write(lossy)
    base = workshop.bases.resolve(str(tiny_base))
    rows, device = sample_rows(base), workshop.device
    expected = stock_logits(base, directory, 3, rows, device)
    check_same(engine_logits(base, source, rows, device), expected, "this")
    changed = AdapterSource(lossy, manifest, manifest.content_hash)
    with pytest.raises(AdapterUnsupported, match="this would change its answers"):
        check_same(engine_logits(base, changed, rows, device), expected, "this")


@pytest.mark.parametrize(
    ("stock_name", "encoder_name"),
    [
        (
            "base_model.model.bert.pooler.dense.lora_A.weight",
            "base_model.model.pooler.dense.lora_A.weight",
        ),
        ("base_model.vera_A", "base_model.vera_A"),
        ("prompt_embeddings", "prompt_embeddings"),
    ],
)
def test_names_go_both_ways(stock_name: str, encoder_name: str) -> None:
    assert to_encoder(stock_name) == encoder_name
    assert to_stock(encoder_name) == stock_name


def test_plain_targets_stay_as_they_are_and_paths_become_exact() -> None:
    tensors = ["base_model.model.encoder.layer.0.attention.self.query.lora_A.weight"]
    plain = {"target_modules": ["query", "classifier"], "exclude_modules": None}
    assert retarget(plain, tensors, "bert.", "")["target_modules"] == ["query"]
    paths = {"target_modules": r"bert\..*query", "rank_pattern": {"bert.*query": 3}}
    module = "encoder.layer.0.attention.self.query"
    assert retarget(paths, tensors, "bert.", "") == {
        "target_modules": [module],
        "rank_pattern": {module: 3},
    }
