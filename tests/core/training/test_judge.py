"""The texts that an adapter is judged by."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.errors import AdapterCorrupt, DataError
from adapter_platform.core.examples import load_examples
from adapter_platform.core.registry import Registry
from adapter_platform.core.seen import FILE, Seen
from adapter_platform.core.store.manifest import BaseRecord, Manifest
from adapter_platform.core.store.source import AdapterSource
from adapter_platform.core.training.judge import split_texts, stored_recipe, texts_to_judge
from adapter_platform.core.training.prepare import prepare
from adapter_platform.core.training.publishing import seen_texts
from adapter_platform.core.training.recipe import make_recipe
from adapter_platform.core.training.run import train
from adapter_platform.core.training.splits import make_splits
from adapter_platform.core.training.workshop import Quiet, Workshop

from .conftest import SCHEME, TOPICS, MakeRequest, WriteTexts, write_rows


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


# --- texts that it has seen -----------------------------------------------------------------------


def rows_of(uri: str) -> list[dict[str, str]]:
    with Path(uri.removeprefix("csv:")).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def seeing(adapter: AdapterSource, train: list[str], val: list[str]) -> AdapterSource:
    """The adapter with a file that says that it has seen these texts."""
    Seen.of(train, val).save(adapter.path)
    manifest = adapter.manifest.write(adapter.path)
    return AdapterSource(adapter.path, manifest, manifest.content_hash)


@pytest.fixture
def trained(ask: MakeRequest, workshop: Workshop) -> AdapterSource:
    """An adapter that was made from `texts`."""
    train(ask(test_share=0.25, val_share=0.25, request={"allow_worse": True}), workshop, Quiet())
    return workshop.store.resolve("support")


def test_what_training_saw_is_not_judged_when_its_file_has_gained_a_row_or_is_sorted(
    trained: AdapterSource, workshop: Workshop, texts: str, tmp_path: Path
) -> None:
    registry = workshop.registry
    held_back = set(split_texts(trained, registry, data=texts).texts)
    rows = rows_of(texts)
    assert 0 < len(held_back) < len(rows)
    judging = texts_to_judge(trained, registry, data=texts)
    assert (set(judging.texts), judging.split, judging.seen) == (held_back, "test", 0)
    new = {"text": "a parcel that came yesterday", "label": "delivery"}
    more = write_rows(tmp_path / "more.csv", [*rows, new])
    judging = texts_to_judge(trained, registry, data=more)
    assert set(judging.texts) == {*held_back, new["text"]}
    assert (judging.split, judging.seen) == (None, len(rows) - len(held_back))
    assert judging.unknown == ()
    moved = write_rows(tmp_path / "moved.csv", sorted(rows, key=lambda row: row["text"]))
    assert set(texts_to_judge(trained, registry, data=moved).texts) == held_back
    shouted = [row | {"text": f"  {row['text'].upper()}!"} for row in rows]
    judging = texts_to_judge(trained, registry, data=write_rows(tmp_path / "loud.csv", shouted))
    assert len(judging.examples) == len(held_back)


def test_a_labels_name_that_training_took_for_a_text_does_not_judge(
    trained: AdapterSource, workshop: Workshop, tmp_path: Path
) -> None:
    rows = [{"text": text, "label": "refund"} for text in ("Refund", "a coin that came back")]
    judging = texts_to_judge(trained, workshop.registry, data=write_rows(tmp_path / "x.csv", rows))
    assert (judging.texts, judging.seen) == (["a coin that came back"], 1)


def test_labels_names_count_as_seen_where_they_were_training_texts_and_mistyped_copies_never(
    ask: MakeRequest, workshop: Workshop
) -> None:
    with_names, without = (
        prepare(ask(label_texts=added, typos=0.5), workshop) for added in (True, False)
    )
    assert seen_texts(with_names).among(list(TOPICS)).all()
    assert not seen_texts(without).among(list(TOPICS)).any()
    given = {example.text for example in without.dataset.examples}
    copies = [e.text for e in without.examples("train") if e.text not in given]
    assert copies
    assert not seen_texts(without).among(copies).any()


def test_a_domain_that_has_changed_is_judged_by_what_training_has_not_seen(
    adapter: AdapterSource, with_domain: Registry
) -> None:
    # The new data's split is another one: what was seen stands on its test side too.
    test = sorted(judged(adapter, with_domain))
    source = seeing(adapter, test[:2], test[2:3])
    judging = texts_to_judge(source, with_domain)
    assert (set(judging.texts), judging.seen) == (set(test[3:]), 3)
    assert (judging.split, judging.unknown) == ("test", ())


def test_validation_and_training_texts_are_judged_where_they_are_asked_for(
    adapter: AdapterSource, with_domain: Registry
) -> None:
    train, val = (sorted(judged(adapter, with_domain, split=part)) for part in ("train", "val"))
    source = seeing(adapter, [*train, val[0]], val)
    assert judged(source, with_domain, split="train") == set(train)
    assert judged(source, with_domain, split="val") == set(val[1:]), "one was a training text too"


def test_an_adapter_that_has_seen_all_the_texts_is_not_judged(
    adapter: AdapterSource, with_domain: Registry
) -> None:
    test = sorted(judged(adapter, with_domain))
    with pytest.raises(DataError, match="nothing to judge by: support@1 was trained on") as caught:
        texts_to_judge(seeing(adapter, test, []), with_domain)
    assert caught.value.hint == "give --data with other texts"


def test_an_adapter_that_does_not_say_is_known_by_its_data_or_named(
    adapter: AdapterSource, with_domain: Registry, tmp_path: Path
) -> None:
    domain = with_domain.domain("support")
    rows = rows_of(domain.data["train"])
    moved = write_rows(tmp_path / "moved.csv", rows[::-1])
    judging = texts_to_judge(adapter, with_domain, data=moved)
    assert (len(judging.examples), judging.seen) == (len(rows), 0)
    assert judging.unknown == ("support@1",)
    assert texts_to_judge(adapter, with_domain).unknown == ("support@1",)
    # Where its domain still has the very data that it was made from, those tell.
    print_ = load_examples(domain.data, with_domain, scheme=SCHEME).fingerprint()
    own = replace(adapter, manifest=replace(adapter.manifest, data_fingerprint=print_))
    judging = texts_to_judge(own, with_domain, data=moved)
    assert set(judging.texts) == judged(own, with_domain)
    assert (judging.split, judging.unknown) == (None, ())


def test_a_damaged_file_ends_in_a_sentence(adapter: AdapterSource, with_domain: Registry) -> None:
    source = seeing(adapter, ["a"], [])
    (source.path / FILE).write_bytes(b"x")
    with pytest.raises(AdapterCorrupt, match=r"seen\.safetensors has changed"):
        texts_to_judge(source, with_domain)
