"""Wrong labels are those that the other texts contradict; what cannot be judged is said."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest

from adapter_platform.core.care.folds import deal
from adapter_platform.core.care.label_errors import confident_errors, contradicted
from adapter_platform.core.errors import DataError
from adapter_platform.core.examples import Example
from adapter_platform.core.labels import LabelScheme


def silent(done: int, total: int) -> None:
    assert done <= total


def examples_of(labels: Sequence[tuple[str, ...]]) -> list[Example]:
    """An example for each, with texts that have nothing in common."""
    texts = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(len(labels))]
    return [Example(texts[i], own, where=f"f.csv:{i + 2}") for i, own in enumerate(labels)]


def points_of(labels: Sequence[tuple[str, ...]], seed: int = 0) -> np.ndarray:
    """Features that say which labels a text has, each in a direction of its own."""
    names = sorted({name for own in labels for name in own})
    draw = np.random.default_rng(seed)
    rows = [sum((np.eye(8)[names.index(name)] * 5 for name in own), np.zeros(8)) for own in labels]
    return np.stack(rows) + draw.normal(size=(len(labels), 8))


def test_an_error_is_what_is_confidently_of_another_class() -> None:
    """Mean confidences: 0.7 for class 0, 0.5 for class 1."""
    rows = np.array([[0.95, 0.05], [0.95, 0.05], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6], [0.8, 0.2]])
    given = np.array([0, 0, 0, 1, 1, 1])
    assert confident_errors(rows, given).tolist() == [-1, -1, 1, -1, -1, 0]


def test_a_class_that_nobody_is_confident_of_wins_only_where_it_is_the_more_probable() -> None:
    """Class 1 is met with 0.3 already, yet the given class is the likelier one."""
    rows = np.array([[0.6, 0.4], [0.9, 0.1], [0.7, 0.3], [0.7, 0.3]])
    assert confident_errors(rows, np.array([0, 0, 1, 1])).tolist() == [-1, -1, -1, -1]


@pytest.mark.parametrize("kind", ["single", "hierarchical"])
def test_labels_that_were_changed_are_found_the_surest_first(kind: str) -> None:
    names = ["data/cleaning", "data/quality", "chat"]
    true = [(names[i % 3],) for i in range(60)]
    given = list(true)
    given[7], given[20] = (names[0],), (names[1],)
    scheme = LabelScheme.of(kind, names)  # type: ignore[arg-type]  # one of the kinds
    examples = examples_of(given)
    errors, unjudged = contradicted(examples, scheme, points_of(true), deal(examples), silent)
    assert unjudged == ()
    assert {error.where for error in errors[:2]} == {"f.csv:9", "f.csv:22"}
    for error in errors[:2]:
        assert error.likely == true[int(error.where[6:]) - 2] != error.given
        assert error.confidence > 0.5 > error.given_confidence
    margins = [error.margin for error in errors]
    assert margins == sorted(margins, reverse=True)


def test_with_several_labels_one_that_lacks_and_one_too_many_are_found() -> None:
    combinations = [("a",), ("b",), ("a", "b"), ("c",), ()]
    true = [combinations[i % 5] for i in range(100)]
    given = list(true)
    given[12], given[33] = ("b",), ("b", "c")
    assert (true[12], true[33]) == (("a", "b"), ("c",))
    examples = examples_of(given)
    scheme = LabelScheme.of("multi", ["a", "b", "c"])
    errors, _ = contradicted(examples, scheme, points_of(true), deal(examples), silent)
    found = {(error.where, error.likely) for error in errors[:2]}
    assert found == {("f.csv:14", ("a", "b")), ("f.csv:35", ("c",))}


def test_a_label_with_one_text_is_not_judged_and_said() -> None:
    true = [("a",), ("b",)] * 15 + [("c",)]
    examples = examples_of(true)
    scheme = LabelScheme.of("single", ["a", "b", "c"])
    errors, unjudged = contradicted(examples, scheme, points_of(true), deal(examples), silent)
    assert unjudged == ("c",)
    assert all(error.given != ("c",) and error.likely != ("c",) for error in errors)


def test_every_label_with_two_texts_stands_in_two_folds_and_copies_in_one() -> None:
    labels = [(name,) for name in "aaaabbbccdd"]
    examples = examples_of(labels)
    copy = Example(examples[4].text.upper() + " .", ("a",), where="f.csv:99")
    folds = deal([*examples, copy])
    assert folds[4] == folds[-1]
    for name in "abcd":
        assert len({int(folds[i]) for i, own in enumerate(labels) if own == (name,)}) > 1


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([("a",), ("b",), ("c",)], "single"),
        ([("a",), ("a",), ("b",)], "single"),
        ([("a",), ("b",), ()], "multi"),
    ],
)
def test_too_little_to_judge_by_is_refused(labels: list[tuple[str, ...]], kind: str) -> None:
    examples = examples_of(labels)
    names = sorted({name for own in labels for name in own})
    scheme = LabelScheme.of(kind, names)  # type: ignore[arg-type]  # one of the kinds
    with pytest.raises(DataError, match="too few texts to judge the labels by"):
        contradicted(examples, scheme, points_of(labels), deal(examples), silent)


@pytest.mark.filterwarnings("error")
def test_a_label_of_every_text_is_no_error() -> None:
    labels = [("a", "b"), ("a",)] * 20
    examples = examples_of(labels)
    scheme = LabelScheme.of("multi", ["a", "b"])
    errors, _ = contradicted(examples, scheme, points_of(labels), deal(examples), silent)
    assert all("a" in error.likely for error in errors)
