"""Calibration: a temperature and thresholds where there is enough to fit them by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapter_platform.core.examples import Example
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.store.manifest import Calibration
from adapter_platform.core.training.calibrate import ENOUGH_POSITIVES, GRID, calibrate
from adapter_platform.core.training.evaluate import plain_metrics
from adapter_platform.core.training.linear import ENOUGH, log_loss
from adapter_platform.core.training.verdicts import Verdicts


def answers(texts: int, classes: int, seed: int = 0) -> tuple[Any, Any]:
    """Logits of a model that knows its own odds exactly, and the labels drawn by them."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(texts, classes))
    odds = np.exp(logits)
    odds /= odds.sum(axis=1, keepdims=True)
    return logits, np.array([random.choice(classes, p=p) for p in odds])


def multi_answers(texts: int, classes: int, seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(texts, classes)) - 1
    return logits, (random.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(int)


def log_odds(p: Any) -> Any:
    return np.log(p / (1 - p))


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("kind", ["single", "hierarchical", "multi"])
def test_the_temperature_undoes_logits_that_are_too_large_or_too_small(
    kind: Any, factor: float
) -> None:
    scheme = LabelScheme.of(kind, "abc")
    logits, wanted = (multi_answers if kind == "multi" else answers)(2000, 3)
    found = calibrate(scheme, factor * logits, wanted)
    assert found.temperature == pytest.approx(factor, rel=0.15)


def test_it_lowers_the_log_loss_of_overconfident_logits_on_other_texts() -> None:
    scheme = LabelScheme.of("single", "abc")
    logits, wanted = answers(200, 3)
    others, expected = answers(500, 3, seed=1)
    temperature = calibrate(scheme, 5 * logits, wanted).temperature
    before = log_loss(scheme, 5 * others, expected)
    assert log_loss(scheme, 5 * others / temperature, expected) < 0.7 * before


def test_too_few_texts_leave_probabilities_as_they_are() -> None:
    for kind, make in (("single", answers), ("multi", multi_answers)):
        logits, wanted = make(ENOUGH - 1, 3)
        assert calibrate(LabelScheme.of(kind, "abc"), 5 * logits, wanted) == Calibration()  # type: ignore[arg-type]  # a loop over kinds


def test_perfect_logits_give_a_temperature_within_bounds() -> None:
    scheme = LabelScheme.of("single", "ab")
    wanted = np.arange(60) % 2
    logits = 50.0 * np.eye(2)[wanted]
    assert 0.1 < calibrate(scheme, logits, wanted).temperature < 8
    assert 0.1 < calibrate(scheme, -logits, wanted).temperature < 8


def test_every_label_has_a_threshold_within_the_grid() -> None:
    scheme = LabelScheme.of("multi", "abcd")
    thresholds = calibrate(scheme, *multi_answers(200, 4)).thresholds
    assert set(thresholds) == set(scheme.classes)
    assert all(GRID[0] <= limit <= GRID[-1] for limit in thresholds.values())


def test_only_labels_with_enough_positives_have_a_threshold_of_their_own() -> None:
    random = np.random.default_rng(0)
    texts, scheme = 400, LabelScheme.of("multi", ["early", "late", "rare"])
    wanted = np.zeros((texts, 3), dtype=int)
    wanted[: texts // 2, :2] = 1
    wanted[: ENOUGH_POSITIVES - 1, 2] = 1
    p = np.clip(0.15 + 0.1 * random.random((texts, 3)), 0, 1)  # without the label: 0.15 to 0.25
    p[: texts // 2, 0] = 0.32  # "early" stays low even where it applies
    p[: texts // 2, 1] = 0.92
    p[texts // 2 :, 1] = 0.7  # "late" is high even where it does not
    p[: ENOUGH_POSITIVES - 1, 2] = 0.6
    found = calibrate(scheme, log_odds(p), wanted)
    # Where the levels lie on the scale that the temperature has made.
    with_label, without = scheme.probabilities(
        log_odds(np.array([[0.32, 0.92, 0.6], [0.25, 0.7, 0.25]])), found.temperature
    )
    assert without[0] < found.thresholds["early"] <= with_label[0]
    assert without[1] < found.thresholds["late"] <= with_label[1]
    assert found.thresholds["early"] < found.thresholds["late"]


def test_the_shared_threshold_has_the_highest_macro_f1_as_it_is_reported() -> None:
    """It counts a label that no text has where it is given, and leaves it out where it is not."""
    scheme = LabelScheme.of("multi", ["rare", "never"])
    wanted = np.zeros((200, 2), dtype=int)
    wanted[: ENOUGH_POSITIVES - 1, 0] = 1
    p = np.full((200, 2), 0.05)
    p[: ENOUGH_POSITIVES - 1, 0] = [0.3] * 4 + [0.7] * (ENOUGH_POSITIVES - 5)
    p[-1, 1] = 0.4
    found = calibrate(scheme, log_odds(p), wanted)
    probabilities = scheme.probabilities(log_odds(p), found.temperature)
    examples = [Example("", ("rare",) * bool(row[0])) for row in wanted]

    def reported(limit: float) -> float:
        limits = dict.fromkeys(scheme.classes, limit)
        return plain_metrics(Verdicts.of(probabilities, examples, scheme, limits))["macro_f1"]

    assert len(set(map(reported, GRID))) > 2
    assert reported(found.thresholds["rare"]) == max(map(reported, GRID))


def test_a_scheme_of_one_label_is_judged_by_that_label_alone() -> None:
    scheme = LabelScheme.of("multi", ["spam"])
    wanted = np.array([[1]] * 30 + [[0]] * 170)
    p = np.where(wanted == 1, 0.3, 0.1)
    found = calibrate(scheme, log_odds(p), wanted)
    sharp = scheme.probabilities(log_odds(p), found.temperature)
    assert ((sharp >= found.thresholds["spam"]) == (wanted == 1)).all()
