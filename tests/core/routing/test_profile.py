"""What an adapter keeps of its training texts: a fair sample, none of their words, and whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from adapter_platform.core.errors import AdapterCorrupt
from adapter_platform.core.examples import Example
from adapter_platform.core.routing.profile import (
    FILE,
    TEXTS,
    TOKENS,
    Profile,
    cut_rows,
    has_profile,
    sample,
)
from adapter_platform.core.store.source import AdapterSource

from ..conftest import MakeAdapter


def examples(**counts: int) -> list[Example]:
    draw = np.random.default_rng(0)
    words = ["".join(draw.choice(list("abcdefghij"), 7)) for _ in range(300)]
    return [
        Example(" ".join(draw.choice(words, 8)), (label,))
        for label, count in counts.items()
        for _ in range(count)
    ]


def labels(found: list[Example], picks: list[int]) -> Counter[str]:
    return Counter(found[i].labels[0] for i in picks)


def test_a_sample_is_as_even_over_the_labels_as_the_texts_allow_and_so_is_its_beginning() -> None:
    texts = examples(a=1500, b=700, c=100)
    picks = sample(texts)
    assert len(picks) == len(set(picks)) == TEXTS
    assert labels(texts, picks) == {"a": 1248, "b": 700, "c": 100}
    assert labels(texts, picks[:30]) == {"a": 10, "b": 10, "c": 10}


def test_few_texts_are_all_taken_whatever_their_order_is_not() -> None:
    texts = examples(a=5, b=3)
    assert sorted(sample(texts)) == list(range(8))
    assert sample(texts) == sample(texts)
    assert sample([]) == []


def test_of_near_duplicates_one_is_taken() -> None:
    text = "where is the parcel that you were going to send me last week"
    texts = [Example(t, ("a",)) for t in (text, text.upper() + "!", f"{text} or so", "another one")]
    assert sorted(texts[i].text == "another one" for i in sample(texts)) == [False, True]


def test_several_labels_of_a_text_count_as_one_kind() -> None:
    kinds = (("a", "b"), ("a",), ("b",))
    texts = [replace(e, labels=kinds[i % 3]) for i, e in enumerate(examples(a=60))]
    assert {texts[i].labels for i in sample(texts)[:3]} == set(kinds)


def test_rows_are_read_as_far_as_a_text_is_read_to_be_routed() -> None:
    short, long = tuple(range(TOKENS)), tuple(range(TOKENS + 40))
    assert cut_rows([short, long]) == [short, (*range(TOKENS - 1), TOKENS + 39)]


def with_profile(source: AdapterSource, features: np.ndarray) -> AdapterSource:
    Profile.of(features, list("ab" * len(features))[: len(features)]).save(source.path)
    manifest = source.manifest.write(source.path)
    return AdapterSource(source.path, manifest, manifest.content_hash)


@pytest.fixture
def source(tiny_base: Path, make_adapter_dir: MakeAdapter) -> AdapterSource:
    return make_adapter_dir(tiny_base)


def test_a_profile_comes_back_as_directions(source: AdapterSource) -> None:
    features = np.random.default_rng(0).normal(size=(7, 32)).astype(np.float32)
    assert not has_profile(source.manifest)
    source = with_profile(source, 40 * features)
    assert has_profile(source.manifest)
    expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    profile = Profile.load(source)
    np.testing.assert_allclose(profile.features, expected, atol=1e-3)
    assert profile.labels.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert (source.path / FILE).stat().st_size < 7 * 32 * 2 + 300


def test_a_file_that_was_changed_or_is_gone_is_said(source: AdapterSource) -> None:
    source = with_profile(source, np.ones((2, 32), np.float32))
    path = source.path / FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    with pytest.raises(AdapterCorrupt, match=f"{FILE} of support@1 has changed"):
        Profile.load(source)
    path.unlink()
    with pytest.raises(AdapterCorrupt, match=f"{FILE} of support@1 cannot be read"):
        Profile.load(source)


@pytest.mark.parametrize(
    "tensors",
    [
        {"features": np.ones((2, 31), np.float16)},
        {"features": np.ones((2, 32), np.float32)},
        {"features": np.ones(32, np.float16)},
        {"features": np.ones((0, 32), np.float16)},
        {"features": np.full((2, 32), np.nan, np.float16)},
        {"labels": np.zeros(3, np.int32)},
        {"labels": np.zeros(2, np.float32)},
    ],
)
def test_what_is_no_profile_is_refused(
    source: AdapterSource, tensors: dict[str, np.ndarray]
) -> None:
    good = {"features": np.ones((2, 32), np.float16), "labels": np.zeros(2, np.int32)}
    save_file(good | tensors, source.path / FILE)
    manifest = source.manifest.write(source.path)
    with pytest.raises(AdapterCorrupt, match="holds no features of a base 32 wide"):
        Profile.load(AdapterSource(source.path, manifest, manifest.content_hash))
