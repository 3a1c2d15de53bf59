"""Heads: pooled states in, logits out, and the same again from disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from adapter_platform.core.errors import AdapterCorrupt, RecipeError
from adapter_platform.core.heads import Head, check_pooling, pool


def make_head(classes: int = 3, hidden: int = 4) -> Head:
    random = np.random.default_rng(0)
    weight = random.normal(size=(classes, hidden)).astype(np.float32)
    return Head("mean", weight, np.arange(classes, dtype=np.float32))


def test_a_head_comes_back_from_disk_bit_for_bit(tmp_path: Path) -> None:
    head = make_head()
    head.save(tmp_path)
    again = Head.load(tmp_path)
    assert again.pooling == "mean"
    assert np.array_equal(again.weight, head.weight)
    assert np.array_equal(again.bias, head.bias)


def test_logits_are_a_matrix_product_and_a_bias() -> None:
    head = make_head()
    states = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(
        head.logits(states)[1], head.weight.sum(axis=1) + head.bias, rtol=1e-6
    )


def test_files_that_do_not_fit_each_other_are_found(tmp_path: Path) -> None:
    make_head(classes=3).save(tmp_path)
    config = (tmp_path / "head.json").read_text()
    make_head(classes=5).save(tmp_path)
    (tmp_path / "head.json").write_text(config)
    with pytest.raises(AdapterCorrupt, match="not of the shape"):
        Head.load(tmp_path)


@pytest.mark.parametrize("name", ["head.json", "head.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b"not at all"])
def test_a_missing_or_broken_file_is_a_sentence(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    make_head().save(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AdapterCorrupt, match="cannot be read"):
        Head.load(tmp_path)


def test_a_pooling_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        check_pooling("max")
    assert caught.value.hint == "use mean, cls or pooler"
    make_head().save(tmp_path)
    config = json.loads((tmp_path / "head.json").read_text())
    (tmp_path / "head.json").write_text(json.dumps(config | {"pooling": "max"}))
    with pytest.raises(AdapterCorrupt, match="cannot be read: there is no pooling 'max'"):
        Head.load(tmp_path)


def test_mean_pooling_counts_real_tokens_alone() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [100.0, 100.0]]])
    mask = torch.tensor([[1, 1, 0]])
    assert pool(hidden, mask, "mean", None).tolist() == [[2.0, 3.0]]


def test_cls_pooling_takes_the_first_token() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    assert pool(hidden, torch.ones(1, 2), "cls", None).tolist() == [[1.0, 2.0]]


def test_pooler_pooling_needs_a_pooler() -> None:
    hidden, mask = torch.ones(1, 2, 2), torch.ones(1, 2)
    with pytest.raises(RecipeError, match="has no pooler"):
        pool(hidden, mask, "pooler", None)
    assert pool(hidden, mask, "pooler", torch.nn.Flatten()).shape == (1, 4)
