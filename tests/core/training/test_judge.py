"""The texts that an adapter is judged by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.bases import BaseRecord
from adapter_platform.core.errors import DataError
from adapter_platform.core.examples import load_examples
from adapter_platform.core.registry import Registry
from adapter_platform.core.store.manifest import Manifest
from adapter_platform.core.store.source import AdapterSource
from adapter_platform.core.training.judge import stored_recipe, texts_to_judge
from adapter_platform.core.training.recipe import make_recipe
from adapter_platform.core.training.splits import make_splits

from .conftest import SCHEME, TOPICS, WriteTexts


@pytest.fixture
def adapter(tmp_path: Path) -> AdapterSource:
    """An adapter of that domain, with the recipe that it was trained by."""
    manifest = Manifest(
        name="support",
        version=1,
        base=BaseRecord("tiny", "f" * 64, hidden_size=32, layers=2),
        scheme=SCHEME,
        peft_method="LORA",
        pooling="mean",
        max_length=64,
    )
    directory = tmp_path / "adapter"
    directory.mkdir()
    make_recipe({"seed": 5, "test_share": 0.3}).write(directory)
    return AdapterSource(directory, manifest, manifest.content_hash)


def judged(adapter: AdapterSource, registry: Registry, **options: Any) -> set[str]:
    return {example.text for example in texts_to_judge(adapter, registry, **options).examples}


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_domains_texts_are_split_as_its_training_split_them(
    adapter: AdapterSource, with_domain: Registry, split: str
) -> None:
    examples = load_examples(with_domain.domain("support").data, with_domain, scheme=SCHEME)
    made = make_splits(examples.examples, SCHEME, seed=5, val_share=0.1, test_share=0.3)
    expected = {example.text for example in getattr(made, split)}
    assert expected
    assert judged(adapter, with_domain, split=split) == expected


def test_data_without_splits_is_judged_whole(
    adapter: AdapterSource, with_domain: Registry, write_texts: WriteTexts
) -> None:
    other = write_texts(dict.fromkeys(TOPICS, 3), name="other", seed=4)
    judging = texts_to_judge(adapter, with_domain, data=other)
    assert (len(judging.examples), judging.split) == (9, None)
    dataset = load_examples({"all": other}, with_domain, scheme=SCHEME)
    assert judging.data_fingerprint == dataset.fingerprint()
    assert len(judged(adapter, Registry(sources=with_domain.sources), data=other)) == 9


def test_the_data_of_its_training_is_split_as_then_wherever_it_lies(
    adapter: AdapterSource, with_domain: Registry, write_texts: WriteTexts
) -> None:
    path = write_texts(dict.fromkeys(TOPICS, 12), name="its own", seed=4)
    dataset = load_examples({"all": path}, with_domain, scheme=SCHEME)
    made = make_splits(dataset.examples, SCHEME, seed=5, val_share=0.1, test_share=0.3)
    own = replace(adapter.manifest, data_fingerprint=dataset.fingerprint())
    judging = texts_to_judge(replace(adapter, manifest=own), with_domain, data=path)
    assert judging.split == "test"
    assert set(judging.texts) == {example.text for example in made.test}


def test_of_data_with_splits_the_one_that_is_asked_for_is_judged(
    adapter: AdapterSource, with_domain: Registry, write_texts: WriteTexts
) -> None:
    parts = {
        "train": write_texts(dict.fromkeys(TOPICS, 4), name="a", seed=4),
        "test": write_texts(dict.fromkeys(TOPICS, 2), name="b", seed=5),
    }
    assert len(judged(adapter, with_domain, data=parts)) == 6
    assert len(judged(adapter, with_domain, data=parts, split="train")) == 12
    with pytest.raises(DataError, match="no texts in the split 'val'") as caught:
        judged(adapter, with_domain, data=parts, split="val")
    assert caught.value.hint == "use --split train or test"
    marked = write_texts({"login": 3}, name="c", seed=6, split="test")
    assert len(judged(adapter, with_domain, data=marked)) == 3


def test_labels_are_read_by_the_adapters_own_scheme(
    adapter: AdapterSource, with_domain: Registry, write_texts: WriteTexts
) -> None:
    few = write_texts({"login": 3, "refund": 3}, name="few", seed=4)
    examples = texts_to_judge(adapter, with_domain, data=few).examples
    assert {label for example in examples for label in example.labels} == {"login", "refund"}


def test_an_adapter_of_no_domain_needs_data(adapter: AdapterSource, registry: Registry) -> None:
    with pytest.raises(DataError, match="support@1"):
        judged(adapter, registry)


def test_the_recipe_that_an_adapter_brings_is_read_back(
    adapter: AdapterSource, tmp_path: Path
) -> None:
    assert stored_recipe(adapter).seed == 5
    assert stored_recipe(replace(adapter, path=tmp_path / "elsewhere")) == make_recipe()
