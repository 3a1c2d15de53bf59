"""What answering only the sure texts gains, against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from adapter_platform.core.examples import Example
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.training.coverage import POINTS, Coverage, Curve, summarise
from adapter_platform.core.training.verdicts import Verdicts, all_once

TWO = LabelScheme.of("single", ["a", "b"])


def answered(*answers: tuple[float, str]) -> Coverage:
    """Answers "a" of these confidences, and what was wanted."""
    verdicts = verdicts_of(*answers)
    return summarise(Curve.of(verdicts, all_once(verdicts)))


def verdicts_of(*answers: tuple[float, str]) -> Verdicts:
    rows = np.array([[confidence, 1 - confidence] for confidence, _ in answers])
    return Verdicts.of(rows, [Example("", (name,)) for _, name in answers], TWO)


def test_the_curve_is_the_one_worked_out_by_hand() -> None:
    found = answered((0.6, "a"), (0.9, "a"), (0.7, "b"), (0.8, "a"))
    assert [(p["coverage"], p["accuracy"]) for p in found["curve"]] == [
        (0.25, 1), (0.5, 1), (0.75, pytest.approx(2 / 3)), (1, 0.75)
    ]  # fmt: skip
    assert found["aurc"] == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)
    assert found["at_limit"] == {"confidence": 0.8, "coverage": 0.5, "accuracy": 1}


def test_five_wrong_of_a_hundred_are_within_the_limit_and_six_are_not() -> None:
    rights, wrongs = [(0.9, "a")] * 95, [(0.8, "b")] * 5
    assert answered(*rights, *wrongs)["at_limit"] == {
        "confidence": 0.8, "coverage": 1, "accuracy": 0.95
    }  # fmt: skip
    at = answered(*rights, *wrongs, (0.7, "b"))["at_limit"]
    assert at is not None
    assert at["coverage"] == pytest.approx(100 / 101)


def test_texts_of_one_confidence_are_answered_together() -> None:
    for answers in ([(0.9, "a"), (0.9, "b")], [(0.9, "b"), (0.9, "a")]):
        found = answered(*answers)
        (point,) = found["curve"]
        assert (point["coverage"], point["accuracy"], found["aurc"]) == (1, 0.5, 0.5)
        assert found["at_limit"] is None


def test_where_the_surest_answer_is_wrong_more_texts_may_still_do() -> None:
    at = answered((0.99, "b"), *[(0.9 - i / 1000, "a") for i in range(19)])["at_limit"]
    assert at is not None
    assert (at["coverage"], at["accuracy"]) == (1, 0.95)


def test_a_curve_of_many_texts_has_few_points_and_ends_with_all_of_them() -> None:
    random = np.random.default_rng(0)
    found = answered(*((p, "ab"[k]) for p, k in zip(
        random.uniform(0.5, 1, 2000), random.integers(2, size=2000), strict=True
    )))  # fmt: skip
    assert len(found["curve"]) == POINTS
    assert found["curve"][0]["coverage"] == pytest.approx(1 / POINTS)
    assert found["curve"][-1]["coverage"] == 1


def test_weights_stand_for_texts_drawn_so_often() -> None:
    answers = [(0.6, "a"), (0.9, "a"), (0.7, "b"), (0.8, "b"), (0.8, "a")]
    weights = np.array([[2.0, 0, 1, 1, 3]])
    drawn = [answer for answer, n in zip(answers, weights[0], strict=True) for _ in range(int(n))]
    curve = Curve.of(verdicts_of(*answers), weights)
    plain = answered(*drawn)
    assert curve.aurc()[0] == pytest.approx(plain["aurc"])
    assert curve.at_limit()[0] == (plain["at_limit"] or {"coverage": 0})["coverage"]
