"""Splits: given ones stay, made ones are stratified, repeatable, and share no near-duplicates."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from adapter_platform.core.data.near import near_duplicates
from adapter_platform.core.errors import DataError
from adapter_platform.core.examples import Example, Split
from adapter_platform.core.labels import Kind, LabelScheme
from adapter_platform.core.training.splits import Splits, make_splits


def texts(count: int, seed: int = 0) -> list[str]:
    """Texts of random letters, none like another."""
    draw = random.Random(seed)
    return ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=30)) for _ in range(count)]


def examples(*labels: Sequence[str], split: Split | None = None, seed: int = 0) -> list[Example]:
    made = texts(len(labels), seed)
    return [
        Example(text, tuple(names), split, f"t:{i}")
        for i, (text, names) in enumerate(zip(made, labels, strict=True), 1)
    ]


def split(given: Sequence[Example], kind: Kind = "single", **options: Any) -> Splits:
    scheme = LabelScheme.of(kind, sorted({label for e in given for label in e.labels}) or ["x"])
    settings = {"seed": 1, "val_share": 0.1, "test_share": 0.1, **options}
    return make_splits(given, scheme, **settings)


def counts(side: Iterable[Example]) -> Counter[str]:
    return Counter(label for example in side for label in example.labels)


def overlaps(made: Splits) -> list[str]:
    return [note for note in made.notes if "also stand in" in note]


def test_given_splits_are_kept_whole() -> None:
    given = [
        *examples(*[("a",), ("b",)] * 10, split="train"),
        *examples(("a",), ("b",), split="val", seed=1),
        *examples(("a",), ("b",), split="test", seed=2),
    ]
    made = split(given)
    assert (*made.train, *made.val, *made.test) == tuple(given)
    assert made.notes == ()


def test_missing_splits_are_cut_from_training_label_by_label() -> None:
    made = split(examples(*[("a",)] * 100, *[("b",)] * 50, *[("c",)] * 10))
    assert counts(made.test) == counts(made.val) == {"a": 10, "b": 5, "c": 1}
    assert counts(made.train) == {"a": 80, "b": 40, "c": 8}
    assert {e.split for e in made.test} == {"test"}


def test_only_the_missing_split_is_cut() -> None:
    given = [
        *examples(*[("a",), ("b",)] * 50),
        *examples(("a",), ("b",), ("a",), split="test", seed=1),
    ]
    made = split(given)
    assert (len(made.train), len(made.val), len(made.test)) == (90, 10, 3)


def test_what_rounding_leaves_over_goes_to_other_labels() -> None:
    made = split(examples(*[(f"label {i}",) for i in range(30) for _ in range(3)]))
    assert len(made.test) == len(made.val) == 9
    assert len(counts(made.train)) == 30


def test_several_labels_a_text_are_stratified_too() -> None:
    draw = random.Random(3)
    rows = [
        [
            name
            for name, share in zip("abcd", (0.5, 0.3, 0.1, 0.05), strict=True)
            if draw.random() < share
        ]
        for _ in range(1000)
    ]
    given = examples(*rows)
    made = split(given, "multi")
    total, test = counts(given), counts(made.test)
    assert all(abs(test[label] - total[label] / 10) <= 1 for label in total)
    unlabelled = sum(not e.labels for e in given)
    assert abs(sum(not e.labels for e in made.test) - unlabelled / 10) <= 1


def test_the_seed_decides_and_the_order_of_rows_does_not() -> None:
    given = examples(*[("a",), ("b",)] * 100)
    turned = split(given[::-1])
    assert split(given) == split(given)
    assert {e.text for e in split(given).test} == {e.text for e in turned.test}
    assert {e.text for e in split(given).test} != {e.text for e in split(given, seed=2).test}


def test_near_duplicates_stay_on_one_side() -> None:
    plain = examples(*[("a",), ("b",)] * 60)
    twins = [Example(e.text + "!", e.labels, None, "twin") for e in plain]
    nearly = [Example("x" + e.text, e.labels, None, "near") for e in plain]
    made = split([*plain, *twins, *nearly], test_share=0.2)
    everything = [*made.train, *made.val, *made.test]
    groups = near_duplicates([e.text for e in everything])
    sides: dict[int, set[Split | None]] = {}
    for group, example in zip(groups, everything, strict=True):
        sides.setdefault(group, set()).add(example.split)
    assert all(len(side) == 1 for side in sides.values())
    assert 66 <= len(made.test) <= 78


def test_what_a_given_test_shares_with_training_is_said_and_not_moved() -> None:
    train = examples(*[("a",), ("b",)] * 10)
    test = [
        Example(train[4].text.upper(), ("a",), "test", "test:1"),
        Example("new", ("b",), "test"),
    ]
    made = split([*train, *test], val_share=0.01)
    assert len(made.test) == 2
    (note,) = overlaps(made)
    assert note.startswith("1 of the 2 test texts")
    assert "test:1 and t:5" in note


def test_a_given_test_text_whose_twin_the_made_validation_takes_is_said_too() -> None:
    train = examples(*[("a",), ("b",)] * 10)
    taken = split([*train, *examples(("a",), ("b",), split="test", seed=1)]).val[0]
    twin = Example(taken.text.upper(), taken.labels, "test", "test:1")
    (note,) = overlaps(split([*train, twin]))
    assert note.startswith("1 of the 1 test texts also stand in validation, ")
    assert f"test:1 and {taken.where}" in note


def test_given_splits_that_overlap_are_said_by_the_sides_that_they_stand_on() -> None:
    train, both = examples(*[("a",), ("b",)] * 10, split="train"), ("a",)
    val = [Example(train[4].text, both, "val"), Example("in val and test", both, "val")]
    test = [Example(e.text, both, "test") for e in val]
    made = split([*train, *val, *test])
    assert [note.partition(",")[0] for note in overlaps(made)] == [
        "1 of the 2 test texts also stand in training",
        "2 of the 2 test texts also stand in validation",
        "1 of the 2 validation texts also stand in training",
    ]


def test_a_label_with_one_example_is_for_training_and_said() -> None:
    made = split(examples(*[("a",), ("b",)] * 20, ("rare",)))
    assert counts(made.train)["rare"] == 1
    assert "the label 'rare' cannot be judged: a single example is too few" in made.notes


def test_a_label_of_the_scheme_without_examples_is_said() -> None:
    scheme = LabelScheme.of("single", ["a", "b", "never"])
    given = examples(*[("a",), ("b",)] * 20)
    made = make_splits(given, scheme, seed=1, val_share=0.1, test_share=0.1)
    assert any("no example has the label 'never'" in note for note in made.notes)


def test_data_too_small_for_a_test_split_goes_without_and_says_so() -> None:
    made = split(examples(("a",), ("a",), ("b",), ("b",)))
    assert (len(made.train), made.val, made.test) == (4, (), ())
    assert "too few examples to hold any back for a test split" in made.notes


def test_the_texts_of_one_label_may_all_be_alike() -> None:
    alike = [Example(f"please close the ticket number {i}", ("close",)) for i in range(40)]
    made = split([*alike, *examples(*[("a",)] * 40)])
    assert counts(made.train)["close"] == 40
    assert any("no test example has the label 'close'" in note for note in made.notes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "there is no example"),
        (examples(("a",)), "there is one example"),
        (examples(("a",), ("a",), ("a",)), "every example has the same answer, 'a'"),
        (examples(("a",), ("b",), ("c",)), "every class has one example"),
        (examples(("a",), ("b",), split="test"), "no training examples, only test"),
        (
            [*examples(("a",), ("b",)), *examples(("c",), split="test")],
            r"the label 'c' stands in the test split \(t:1\) and not in training",
        ),
        (
            [*examples(("a",), ("b",)), *examples(("c",), split="val")],
            "the label 'c' stands in the validation split",
        ),
        (
            [*examples(("a",), ("a",)), *examples(("a", "b"), split="test")],
            "the label 'b' stands in the test split",
        ),
        (
            [*examples(("a", "b"), ("a", "b")), *examples(("a",), split="test")],
            "all training examples have the same answer",
        ),
    ],
)
def test_data_that_cannot_be_learnt_from_is_refused(given: list[Example], message: str) -> None:
    kind: Kind = "multi" if any(len(e.labels) > 1 for e in given) else "single"
    with pytest.raises(DataError, match=message):
        split(given, kind)


def test_one_example_a_class_is_enough_to_train_on_beside_a_given_test() -> None:
    given = [*examples(("a",), ("b",), ("c",)), *examples(("a",), ("b",), split="test", seed=1)]
    assert len(split(given).train) == 3


def test_one_label_that_applies_or_not_can_be_learnt() -> None:
    made = split(examples(*[("spam",), ()] * 20), "multi")
    assert counts(made.test) == {"spam": 2}
