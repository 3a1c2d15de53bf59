"""Figures that a domain expert knows, against numbers worked out by hand and by sklearn."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from adapter_platform.core.examples import Example
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.training.evaluate import MISTAKES, evaluate
from adapter_platform.core.training.slices import SLICE_VALUES

SINGLE = LabelScheme.of("single", ["a", "b", "c"])
MULTI = LabelScheme.of("multi", ["a", "b", "c"])


def single(*pairs: tuple[str, str]) -> Any:
    """Judges (wanted, given) pairs."""
    examples = [Example(f"text {i}", (w,), None, f"t:{i}") for i, (w, _) in enumerate(pairs)]
    rows = [[0.9 if name == given else 0.05 for name in "abc"] for _, given in pairs]
    return evaluate(np.array(rows), examples, SINGLE)


def multi(*pairs: tuple[str, str], scheme: LabelScheme = MULTI) -> Any:
    """Judges (wanted, given) pairs of label sets, written ``"ab"``."""
    examples = [Example(f"text {i}", tuple(wanted)) for i, (wanted, _) in enumerate(pairs)]
    rows = [[0.9 if name in given else 0.1 for name in scheme.classes] for _, given in pairs]
    return evaluate(np.array(rows), examples, scheme)


def test_single_label_figures_are_those_worked_out_by_hand() -> None:
    found = single(("a", "a"), ("a", "b"), ("b", "b"), ("c", "c"), ("c", "c"))
    assert found["n"] == 5
    assert found["primary"] == "accuracy"
    assert found["metrics"]["accuracy"] == pytest.approx(4 / 5)
    # a: precision 1, recall 1/2, F1 2/3; b: 1/2, 1, 2/3; c: 1, 1, 1.
    assert found["metrics"]["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert found["metrics"]["weighted_f1"] == pytest.approx((2 * 2 / 3 + 2 / 3 + 2 * 1) / 5)
    a, b, c = found["per_class"]
    assert (a["label"], a["precision"], a["recall"], a["support"]) == ("a", 1, 0.5, 2)
    assert (b["precision"], b["recall"], b["support"]) == (0.5, 1, 1)
    assert (c["f1"], c["support"]) == (1, 2)
    assert found["metrics"][found["primary"]] == pytest.approx(4 / 5)


def test_a_class_that_no_text_has_and_none_was_given_does_not_count() -> None:
    found = single(("a", "a"), ("b", "b"))
    assert found["metrics"]["macro_f1"] == 1
    assert found["per_class"][2] == {
        "label": "c", "precision": 0, "recall": 0, "f1": 0, "support": 0
    }  # fmt: skip


def test_a_class_that_was_given_and_no_text_has_does_count() -> None:
    assert single(("a", "a"), ("b", "c"))["metrics"]["macro_f1"] == pytest.approx(1 / 3)


def test_multi_label_figures_are_those_worked_out_by_hand() -> None:
    found = multi(("ab", "ab"), ("a", "ac"), ("", ""), ("b", ""))
    assert found["primary"] == "macro_f1"
    # The whole set must be right: two of four.
    assert found["metrics"]["accuracy"] == pytest.approx(0.5)
    # 3 labels rightly given, 1 wrongly (c), 1 missed (b): 2 * 3 / (4 given + 4 wanted).
    assert found["metrics"]["micro_f1"] == pytest.approx(6 / 8)
    # a: 1; b: precision 1, recall 1/2; c: 0.
    assert found["metrics"]["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert found["metrics"]["weighted_f1"] == pytest.approx((2 * 1 + 2 * 2 / 3) / 4)


def test_figures_agree_with_sklearns_on_random_answers() -> None:
    random = np.random.default_rng(0)
    wanted, given = random.random((2, 200, 3)) < 0.4
    found = multi(
        *[
            ("".join(np.array(list("abc"))[w]), "".join(np.array(list("abc"))[g]))
            for w, g in zip(wanted, given, strict=True)
        ]
    )
    for average in ("micro", "macro", "weighted"):
        expected = f1_score(wanted, given, average=average)
        assert found["metrics"][f"{average}_f1"] == pytest.approx(expected)
    expected = precision_recall_fscore_support(wanted, given)
    for k, row in enumerate(found["per_class"]):
        figures = [row["precision"], row["recall"], row["f1"], row["support"]]
        assert figures == pytest.approx([column[k] for column in expected])


def test_one_label_alone_is_judged_by_itself_and_not_by_its_absence() -> None:
    scheme = LabelScheme.of("multi", ["a"])
    found = multi(("a", "a"), ("a", ""), ("", ""), ("", ""), ("", ""), scheme=scheme)
    assert found["metrics"]["macro_f1"] == pytest.approx(2 / 3)
    assert found["metrics"]["micro_f1"] == pytest.approx(2 / 3)
    (row,) = found["per_class"]
    assert (row["precision"], row["recall"], row["support"]) == (1, 0.5, 2)
    among_three = multi(("a", "a"), ("a", ""), ("", ""), ("", ""), ("", ""))
    assert among_three["metrics"]["macro_f1"] == pytest.approx(2 / 3)


def test_nothing_wanted_and_nothing_given_is_right() -> None:
    assert multi(("", ""), ("", ""))["metrics"] == {
        "accuracy": 1.0, "micro_f1": 1.0, "macro_f1": 1.0, "weighted_f1": 1.0
    }  # fmt: skip
    assert multi(("", "a"))["metrics"] == {
        "accuracy": 0.0, "micro_f1": 0.0, "macro_f1": 0.0, "weighted_f1": 0.0
    }  # fmt: skip


def test_thresholds_decide_which_labels_are_given() -> None:
    examples = [Example("one", ("a",)), Example("two", ("b",))]
    rows = np.array([[0.4, 0.6, 0.0], [0.2, 0.8, 0.0]])
    assert evaluate(rows, examples, MULTI)["metrics"]["accuracy"] == 0.5
    assert evaluate(rows, examples, MULTI, {"a": 0.3, "b": 0.7})["metrics"]["accuracy"] == 1


def test_a_hierarchy_is_judged_by_leaf_and_by_its_top_level() -> None:
    scheme = LabelScheme.of("hierarchical", ["x/1", "x/2", "y"])
    wanted = ["x/1", "x/1", "x/2", "y"]
    rows = np.array(
        [
            [0.8, 0.1, 0.1],  # x/1: right
            [0.3, 0.4, 0.3],  # x/2: right at the top only
            [0.25, 0.3, 0.45],  # y has most, but x holds 0.55: x/2, right
            [0.5, 0.3, 0.2],  # x/1: wrong at the top
        ]
    )
    found = evaluate(rows, [Example("", (name,)) for name in wanted], scheme)
    assert found["metrics"]["accuracy"] == pytest.approx(2 / 4)
    assert found["metrics"]["coarse_accuracy"] == pytest.approx(3 / 4)


def test_slices_are_judged_apart() -> None:
    examples = [
        Example("", (label,), fields={"lang": language, "id": str(i), "one": "same"})
        for i, (label, language) in enumerate(
            [("a", "en"), ("a", "en"), ("b", "zh"), ("b", "zh")] * 5
        )
    ]
    rows = [[0.9 if name == given else 0.05 for name in "abc"] for given in "abbb"] * 5
    found = evaluate(np.array(rows), examples, SINGLE)["slices"]
    assert list(found) == ["lang"], "a column of one value, or of more than a few, is no slice"
    assert len(examples) > SLICE_VALUES
    assert list(found["lang"]) == ["en", "zh"]
    assert found["lang"]["en"]["n"] == 10
    assert found["lang"]["en"]["accuracy"] == pytest.approx(0.5)
    assert found["lang"]["zh"]["accuracy"] == 1
    assert found["lang"]["zh"]["macro_f1"] == 1


def test_texts_without_a_column_are_in_none_of_its_slices() -> None:
    examples = [
        Example("1", ("a",), fields={"lang": "en"}),
        Example("2", ("a",), fields={"lang": "zh"}),
        Example("3", ("a",)),
    ]
    found = evaluate(np.array([[0.9, 0.1, 0]] * 3), examples, SINGLE)["slices"]["lang"]
    assert {value: figures["n"] for value, figures in found.items()} == {"en": 1, "zh": 1}


def test_mistakes_come_with_text_place_and_confidence_the_most_confident_first() -> None:
    examples = [Example(f"text {i}", ("a",), None, f"t:{i}") for i in range(30)]
    rows = np.array([[0.0, 0.51 + i / 100, 0.49 - i / 100] for i in range(29)] + [[1.0, 0, 0]])
    mistakes = evaluate(rows, examples, SINGLE)["mistakes"]
    assert len(mistakes) == MISTAKES
    assert mistakes[0] == {
        "text": "text 28",
        "where": "t:28",
        "expected": ["a"],
        "given": ["b"],
        "confidence": pytest.approx(0.79),
    }
    confidences = [row["confidence"] for row in mistakes]
    assert confidences == sorted(confidences, reverse=True)


def test_the_confusion_matrix_has_a_cell_for_each_pair_that_occurs() -> None:
    found = single(("a", "a"), ("a", "b"), ("b", "a"), ("a", "b"), ("c", "c"))
    assert found["confusion"] == [
        {"expected": "a", "given": "a", "n": 1},
        {"expected": "a", "given": "b", "n": 2},
        {"expected": "b", "given": "a", "n": 1},
        {"expected": "c", "given": "c", "n": 1},
    ]
    assert "coarse_confusion" not in found
    assert "confusion" not in multi(("a", "a")), "several labels at once make no matrix"


def test_a_hierarchys_confusion_is_told_by_leaf_and_by_top_level() -> None:
    scheme = LabelScheme.of("hierarchical", ["x/1", "x/2", "y"])
    rows = np.array([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    found: Any = evaluate(rows, [Example("", (name,)) for name in ("x/1", "x/1", "x/2")], scheme)
    assert found["confusion"] == [
        {"expected": "x/1", "given": "x/1", "n": 1},
        {"expected": "x/1", "given": "x/2", "n": 1},
        {"expected": "x/2", "given": "y", "n": 1},
    ]
    assert found["coarse_confusion"] == [
        {"expected": "x", "given": "x", "n": 2},
        {"expected": "x", "given": "y", "n": 1},
    ]


@pytest.mark.parametrize("pairs", [[("a", "a")], [("a", "a")] * 5, [("a", "b")] * 5])
def test_texts_of_one_class_alone_are_judged_too(pairs: list[tuple[str, str]]) -> None:
    found = single(*pairs)
    share = float(pairs[0][0] == pairs[0][1])
    assert found["metrics"]["accuracy"] == share
    low, high = found["intervals"]["accuracy"]
    assert low <= share <= high
    assert found["calibration"]["ece"] == pytest.approx(abs(0.9 - share))
    assert len(found["confusion"]) == 1


def test_the_interval_of_accuracy_is_wilsons_and_has_a_width_where_all_texts_are_right() -> None:
    # n / (n + z^2) for n of n, z = 1.96: Wilson 1927.
    found = single(*[("a", "a")] * 20)
    assert found["intervals"]["accuracy"] == pytest.approx([20 / (20 + 1.959964**2), 1])
    found = single(*[("a", "b")] * 20)
    assert found["intervals"]["accuracy"] == pytest.approx([0, 1 - 20 / (20 + 1.959964**2)])
    # 8 of 10, as Newcombe 1998 and every table have it.
    found = single(*[("a", "a")] * 8, *[("b", "a")] * 2)
    assert found["intervals"]["accuracy"] == pytest.approx([0.4902, 0.9433], abs=1e-4)


def test_the_top_level_of_a_hierarchy_has_such_an_interval_too() -> None:
    scheme = LabelScheme.of("hierarchical", ["x/1", "x/2", "y"])
    examples = [Example(f"text {i}", ("x/2",)) for i in range(9)] + [Example("text", ("y",))]
    rows = [[0.9, 0.1, 0.0]] * 9 + [[0.1, 0.1, 0.8]]
    found = evaluate(np.array(rows), examples, scheme)
    assert found["metrics"]["coarse_accuracy"] == 1
    assert found["intervals"]["coarse_accuracy"] == pytest.approx([10 / (10 + 1.959964**2), 1])


def test_a_multi_label_without_positives_is_judged_too() -> None:
    found = multi(("", ""), ("", "b"), ("", ""))
    assert found["metrics"]["accuracy"] == pytest.approx(2 / 3)
    assert found["metrics"]["macro_f1"] == 0
    assert found["coverage"]["curve"][-1]["accuracy"] == pytest.approx(2 / 3)
    assert [row["support"] for row in found["per_class"]] == [0, 0, 0]


def test_the_same_texts_give_the_same_evaluation_as_plain_json() -> None:
    pairs = [("ab"[i % 2], "abb"[i % 3]) for i in range(40)]
    assert json.loads(json.dumps(single(*pairs))) == single(*pairs)


def test_thresholds_count_in_every_resample() -> None:
    examples = [Example("one", ("a",)), Example("two", ("b",))] * 10
    rows = np.array([[0.4, 0.6, 0.0], [0.2, 0.8, 0.0]] * 10)
    loose, tuned = (
        evaluate(rows, examples, MULTI),
        evaluate(rows, examples, MULTI, {"a": 0.3, "b": 0.7}),
    )
    assert loose["intervals"]["macro_f1"][1] < 1
    assert tuned["intervals"]["macro_f1"] == [1, 1]
