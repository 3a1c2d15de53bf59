"""From a name to what is trained, and to the texts that an adapter is judged by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.engine.protocol import AdapterSource
from adapter_platform.core.errors import DataError, RecipeError
from adapter_platform.core.examples import load_examples
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.registry import Brought, Domain, Registry, Step
from adapter_platform.core.store.manifest import BaseRecord, Manifest
from adapter_platform.core.training.recipe import make_recipe
from adapter_platform.core.training.requests import make_request, stored_recipe, texts_to_judge
from adapter_platform.core.training.splits import make_splits

from .conftest import TOPICS, WriteTexts

SCHEME = LabelScheme.of("single", sorted(TOPICS))


@pytest.fixture
def with_domain(registry: Registry, write_texts: WriteTexts) -> Registry:
    """The registry with the domain ``support``, whose data is one file without splits."""
    domain = Domain(
        name="support",
        data={"train": write_texts(dict.fromkeys(TOPICS, 12))},
        description="What customers ask.",
        scheme=SCHEME,
        recipe={"epochs": 4, "peft": {"r": 4}},
        postprocess=(Step("abstain", {"threshold": 0.5}),),
        columns={"text": "text", "label": "label"},
    )
    return replace(registry, domains={"support": Brought(domain, "mine", "1.0")})


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


# What to train


def test_a_domain_needs_nothing_but_its_name(with_domain: Registry) -> None:
    request = make_request("support", with_domain, "tiny")
    domain = with_domain.domain("support")
    assert request.data == domain.data
    assert request.scheme == SCHEME
    assert request.postprocess == domain.postprocess
    assert request.columns == domain.columns
    assert request.description == domain.description
    assert request.recipe == make_recipe({"epochs": 4, "peft": {"r": 4}})
    assert request.base_id == "tiny"
    assert request.promote
    assert not request.allow_worse


def test_what_is_said_wins_over_the_domain(with_domain: Registry) -> None:
    request = make_request(
        "support",
        with_domain,
        "tiny",
        data="other.csv",
        settings={"epochs": 2, "base": "minilm"},
        columns={"text": "question"},
        promote=False,
    )
    assert request.data == {"all": "other.csv"}
    assert request.recipe.epochs == 2
    assert request.recipe.peft == {"r": 4}
    assert request.base_id == "minilm"
    assert request.columns == {"text": "question", "label": "label"}
    assert request.scheme == SCHEME
    assert not request.promote


def test_a_preset_stands_in_for_the_domains_recipe_but_for_its_base(
    with_domain: Registry,
) -> None:
    domain = replace(with_domain.domain("support"), recipe={"epochs": 4, "base": "minilm"})
    registry = replace(with_domain, domains={"support": Brought(domain, "mine")})
    request = make_request("support", registry, "tiny", preset="seed", settings={"seed": 9})
    assert request.recipe == make_recipe({"base": "minilm", "seed": 9}, preset="seed")
    assert request.base_id == "minilm"


def test_another_kind_makes_the_scheme_anew(with_domain: Registry) -> None:
    request = make_request("support", with_domain, "tiny", data="other.csv", kind="multi")
    assert request.scheme is None
    assert request.kind == "multi"


def test_a_name_that_is_no_domain_needs_data(with_domain: Registry) -> None:
    request = make_request("mine", with_domain, "tiny", data={"train": "a.csv", "test": "b.csv"})
    assert request.data == {"train": "a.csv", "test": "b.csv"}
    assert request.scheme is None
    assert request.postprocess == ()
    with pytest.raises(DataError) as error:
        make_request("suport", with_domain, "tiny")
    assert error.value.hint == "give --data FILE; did you mean 'support'?"


def test_a_setting_that_cannot_be_is_refused(with_domain: Registry) -> None:
    with pytest.raises(RecipeError, match="epochs"):
        make_request("support", with_domain, "tiny", settings={"epochs": 0})


# What to judge by


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
    assert len(judging.examples) == 9
    dataset = load_examples({"all": other}, with_domain, scheme=SCHEME)
    assert judging.data_fingerprint == dataset.fingerprint()
    assert len(judged(adapter, Registry(sources=with_domain.sources), data=other)) == 9


def test_of_data_with_splits_the_one_that_is_asked_for_is_judged(
    adapter: AdapterSource, with_domain: Registry, write_texts: WriteTexts
) -> None:
    parts = {
        "train": write_texts(dict.fromkeys(TOPICS, 4), name="a", seed=4),
        "test": write_texts(dict.fromkeys(TOPICS, 2), name="b", seed=5),
    }
    assert len(judged(adapter, with_domain, data=parts)) == 6
    assert len(judged(adapter, with_domain, data=parts, split="train")) == 12
    with pytest.raises(DataError, match="val"):
        judged(adapter, with_domain, data=parts, split="val")
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
