"""What `auto` finds an adapter by: made by every training, and added to adapters without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from adapter_platform.core.errors import AdapterCorrupt, DataError
from adapter_platform.core.routing.profile import FILE, Profile
from adapter_platform.core.store.manifest import Manifest
from adapter_platform.core.training.judge import split_texts
from adapter_platform.core.training.profiling import add_profile
from adapter_platform.core.training.run import train
from adapter_platform.core.training.workshop import Quiet, Workshop

from .conftest import SCHEME, TOPICS, MakeRequest, WriteTexts

Publish = Callable[..., Manifest]


def profile_of(workshop: Workshop, reference: str = "support") -> Profile:
    return Profile.load(workshop.store.resolve(reference))


def profiled(workshop: Workshop, reference: str, data: str | Mapping[str, str]) -> Manifest:
    source = workshop.store.resolve(reference)
    texts = split_texts(source, workshop.registry, data=data, split="train")
    return add_profile(source, texts.examples, None, workshop, Quiet())


def test_training_keeps_a_profile_of_its_training_texts_and_no_others(
    workshop: Workshop, ask: MakeRequest, texts: str
) -> None:
    added = {"typos": 0.5, "label_texts": True}
    train(ask(**added, epochs=1, request={"allow_worse": True}), workshop, Quiet())
    features = profile_of(workshop).features
    train(ask(epochs=1, request={"allow_worse": True}), workshop, Quiet())
    np.testing.assert_array_equal(profile_of(workshop).features, features)
    # Made afresh from the data as `adapters profile` reads it, it is the very same.
    assert profiled(workshop, "support", texts).version == 2
    assert len(features) <= 48


def test_an_adapter_gains_a_profile_as_its_next_version_and_nothing_else_changes(
    workshop: Workshop, tiny_base: Path, publish_adapter: Publish, texts: str
) -> None:
    for seed in (1, 2):
        publish_adapter(workshop.store, tiny_base, seed=seed, scheme=SCHEME)
    before = workshop.store.resolve("support").manifest
    assert FILE not in before.files
    after = profiled(workshop, "support", texts)
    assert (after.version, after.parent) == (3, 2)
    assert {k: v for k, v in after.files.items() if k != FILE} == before.files
    renewed = {"version": 3, "parent": 2, "created": after.created, "files": dict(after.files)}
    assert after.to_dict() == before.to_dict() | renewed
    assert workshop.store.current("support") == 3
    assert workshop.store.verify("support") == []
    # A version that is not current stays in the background with its profile.
    assert profiled(workshop, "support@1", texts).version == 4
    assert workshop.store.current("support") == 3


def test_of_data_with_splits_the_training_texts_count(
    workshop: Workshop, tiny_base: Path, publish_adapter: Publish, write_texts: WriteTexts
) -> None:
    publish_adapter(workshop.store, tiny_base, scheme=SCHEME)
    counts = dict.fromkeys(TOPICS, 5)
    train_, test = (write_texts(counts, name=n, seed=i) for i, n in enumerate(("train", "test")))
    profiled(workshop, "support", {"train": train_, "test": test})
    together = profile_of(workshop).features
    assert profiled(workshop, "support", train_).version == 2
    np.testing.assert_array_equal(profile_of(workshop).features, together)
    assert profiled(workshop, "support", test).version == 3


def test_a_damaged_adapter_gains_nothing(
    workshop: Workshop, tiny_base: Path, publish_adapter: Publish, texts: str
) -> None:
    publish_adapter(workshop.store, tiny_base, scheme=SCHEME)
    path = workshop.store.path("support", 1) / "head.safetensors"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    with pytest.raises(AdapterCorrupt, match=r"head\.safetensors has changed"):
        profiled(workshop, "support", texts)
    assert workshop.store.versions("support") == [1]


def test_texts_of_other_labels_are_refused(
    workshop: Workshop, tiny_base: Path, publish_adapter: Publish, texts: str
) -> None:
    publish_adapter(workshop.store, tiny_base, "other")
    with pytest.raises(DataError):
        profiled(workshop, "other", texts)
    assert workshop.store.versions("other") == [1]
