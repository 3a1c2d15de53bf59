"""Whether confidence can be believed, against cases worked out by hand and by sklearn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from adapter_platform.core.examples import Example
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.training.reliability import BINS, Reliability, reliability
from adapter_platform.core.training.verdicts import Verdicts

TWO = LabelScheme.of("single", ["a", "b"])
MULTI = LabelScheme.of("multi", ["a", "b"])


def judged(*answers: tuple[float, str]) -> Reliability:
    """Answers "a" of these confidences, and what was wanted."""
    rows = np.array([[confidence, 1 - confidence] for confidence, _ in answers])
    return reliability(Verdicts.of(rows, [Example("", (name,)) for _, name in answers], TWO))


def test_the_calibration_error_is_the_one_worked_out_by_hand() -> None:
    found = judged((0.9, "a"), (0.9, "b"), (0.62, "a"), (0.64, "b"))
    # Two bins of two: 0.9 claimed and 0.5 right, 0.63 claimed and 0.5 right.
    assert found["ece"] == pytest.approx((2 * 0.4 + 2 * 0.13) / 4)
    low, high = found["bins"]
    assert (low["n"], high["n"]) == (2, 2)
    assert (low["confidence"], low["accuracy"]) == pytest.approx((0.63, 0.5))
    assert (high["above"], high["to"]) == pytest.approx((13 / 15, 14 / 15), abs=1e-4)
    assert found["over"] == "answers"


def test_errors_in_either_direction_within_a_bin_cancel_and_across_bins_add_up() -> None:
    over, under = [(0.95, "b"), (0.95, "a")], [(0.55, "a"), (0.55, "a")]
    assert judged(*over, *under)["ece"] == pytest.approx((2 * 0.45 + 2 * 0.45) / 4)


def test_answers_that_are_sure_and_right_have_no_error_and_fill_the_last_bin() -> None:
    found = judged((1.0, "a"), (1.0, "a"))
    assert (found["ece"], found["brier"]) == (0, 0)
    (last,) = found["bins"]
    assert (last["to"], last["n"]) == (1, 2)
    assert last["interval"][0] < 0.5, "two texts prove little"
    assert last["interval"][1] == 1


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    edges = np.linspace(0, 1, BINS + 1)
    (found,) = judged((float(edges[12]), "a"))["bins"]
    assert found["to"] == pytest.approx(edges[12], abs=1e-4)


def test_in_multi_label_every_label_of_every_text_counts() -> None:
    examples = [Example("", ("a",)), Example("", ())]
    found = reliability(Verdicts.of(np.array([[0.9, 0.1], [0.1, 0.1]]), examples, MULTI))
    assert found["over"] == "labels"
    assert sum(b["n"] for b in found["bins"]) == 4
    # 0.1 claimed of three and none right, 0.9 claimed of one and it is.
    assert found["ece"] == pytest.approx((3 * 0.1 + 0.1) / 4)
    assert found["brier"] == pytest.approx(0.01)


def test_a_multi_label_without_positives_is_judged_by_what_it_claims() -> None:
    found = reliability(Verdicts.of(np.array([[0.2, 0.2]] * 3), [Example("", ())] * 3, MULTI))
    assert found["ece"] == pytest.approx(0.2)
    assert found["brier"] == pytest.approx(0.04)


def test_the_brier_score_is_sklearns() -> None:
    random = np.random.default_rng(0)
    scheme = LabelScheme.of("single", ["a", "b", "c"])
    rows = random.dirichlet([1, 1, 1], 50)
    wanted = random.integers(3, size=50)
    verdicts = Verdicts.of(rows, [Example("", ("abc"[k],)) for k in wanted], scheme)
    expected = brier_score_loss(wanted, rows, labels=[0, 1, 2], scale_by_half=False)
    assert reliability(verdicts)["brier"] == pytest.approx(expected)
