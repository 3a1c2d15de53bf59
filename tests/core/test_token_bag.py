"""What a text's tokens say by themselves, and the file that holds it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.feature_extraction.text import TfidfTransformer

from adapter_platform.core.errors import AdapterCorrupt
from adapter_platform.core.store.source import AdapterSource
from adapter_platform.core.token_bag import FILE, METHOD, TokenBag, read_token_bag

MakeAdapter = Any

BAG = TokenBag(
    tokens=np.array([5, 7, 9], np.int64),
    idf=np.array([1, 2, 4], np.float32),
    weight=np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32),
)
"""Each of three tokens speaks for a class of its own."""


def test_a_text_is_a_vector_of_length_1_that_counts_a_token_by_its_logarithm_and_its_idf() -> None:
    row = (5, 7, 5, 5, 1000, 1)
    found = BAG.logits([row])[0]
    told = np.array([(1 + math.log(3)) * 1, 2, 0])
    np.testing.assert_allclose(found, told / np.linalg.norm(told), rtol=1e-6)


def test_vectors_are_those_of_scikit_learn() -> None:
    counts = np.array([[3, 1, 0], [0, 2, 5]])
    rows = [(5, 5, 5, 7), (7, 9, 9, 9, 9, 9, 7)]
    peer = TfidfTransformer(sublinear_tf=True).fit(counts)
    bag = replace(BAG, idf=peer.idf_.astype(np.float32))
    np.testing.assert_allclose(bag.logits(rows), peer.transform(counts).toarray(), rtol=1e-6)


def test_texts_without_a_known_token_are_left_to_the_head() -> None:
    np.testing.assert_array_equal(BAG.logits([(1, 2), (), (100,)]), np.zeros((3, 3)))


@pytest.fixture
def with_bag(make_adapter_dir: MakeAdapter, tiny_base: Path) -> AdapterSource:
    source = make_adapter_dir(tiny_base)
    BAG.save(source.path)
    return rewritten(source, len(BAG.tokens))


def rewritten(source: AdapterSource, tokens: int) -> AdapterSource:
    """The adapter with a manifest that agrees with its files."""
    manifest = replace(source.manifest, token_bag=tokens).write(source.path)
    return AdapterSource(source.path, manifest, manifest.content_hash)


def test_it_is_read_as_it_was_written(with_bag: AdapterSource) -> None:
    again = read_token_bag(with_bag)
    for name, tensor in BAG.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], tensor)
    assert again.nbytes == 3 * 8 + 3 * 4 + 9 * 4


def test_a_file_that_is_not_as_published_or_not_there_is_named(with_bag: AdapterSource) -> None:
    path = with_bag.path / FILE
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(AdapterCorrupt, match=r"damaged: token_bag\.safetensors has changed"):
        read_token_bag(with_bag)
    path.unlink()
    with pytest.raises(AdapterCorrupt, match=r"token_bag\.safetensors is missing"):
        read_token_bag(with_bag)


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": np.array([7, 5, 9], np.int64)},
        {"tokens": np.array([5, 7, 9], np.int32)},
        {"idf": np.array([1, 2], np.float32)},
        {"weight": np.zeros((3, 2), np.float32)},
        {"weight": np.full((3, 3), np.nan, np.float32)},
    ],
    ids=["unordered", "narrow", "short", "other classes", "no numbers"],
)
def test_tensors_that_do_not_fit_the_adapter_are_refused(
    with_bag: AdapterSource, change: dict[str, Any]
) -> None:
    save_file({**BAG.tensors, **change}, with_bag.path / FILE, METHOD)
    with pytest.raises(AdapterCorrupt, match="does not hold what its adapter asks for"):
        read_token_bag(rewritten(with_bag, 3))


def test_a_bag_of_another_size_than_the_manifest_says_is_refused(with_bag: AdapterSource) -> None:
    with pytest.raises(AdapterCorrupt, match="does not hold what its adapter asks for"):
        read_token_bag(rewritten(with_bag, 2))
