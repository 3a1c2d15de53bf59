"""Intervals hold what they promise, and every resample is judged as its texts would be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from adapter_platform.core.examples import Example
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.training import bootstrap
from adapter_platform.core.training.evaluate import evaluate, headline
from adapter_platform.core.training.verdicts import Verdicts, metrics

if TYPE_CHECKING:
    from adapter_platform.core.training.verdicts import Figures, Floats

SCHEMES = [
    LabelScheme.of("single", ["a", "b", "c"]),
    LabelScheme.of("multi", ["a", "b", "c"]),
    LabelScheme.of("hierarchical", ["x/a", "x/b", "y"]),
]


def random_texts(scheme: LabelScheme, texts: int) -> tuple[Floats, list[Example]]:
    random = np.random.default_rng(1)
    examples = []
    for _ in range(texts):
        wanted = [name for name in scheme.classes if random.random() < 0.3]
        one = scheme.classes[random.integers(3)]
        examples.append(Example("", tuple(wanted) if scheme.kind == "multi" else (one,)))
    return random.dirichlet([1, 1, 1], texts), examples


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.kind)
def test_weights_give_the_figures_of_texts_drawn_so_often(scheme: LabelScheme) -> None:
    rows, examples = random_texts(scheme, 20)
    weights = next(bootstrap.resamples(20))[:5]
    found = headline(Verdicts.of(rows, examples, scheme), weights)
    for k, counts in enumerate(weights):
        drawn = np.repeat(np.arange(20), counts.astype(int))
        alone = evaluate(rows[drawn], [examples[i] for i in drawn], scheme)
        assert {name: found[name][k] for name in alone["metrics"]} == pytest.approx(
            alone["metrics"]
        )
        assert found["brier"][k] == pytest.approx(alone["calibration"]["brier"])
        assert found["aurc"][k] == pytest.approx(alone["coverage"]["aurc"])


def test_every_resample_has_as_many_texts_and_memory_does_not_change_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = np.concatenate(list(bootstrap.resamples(7)))
    assert whole.shape == (bootstrap.RESAMPLES, 7)
    assert (whole.sum(axis=1) == 7).all()
    assert whole.mean(axis=0) == pytest.approx(np.ones(7), abs=0.15)
    monkeypatch.setattr(bootstrap, "CELLS", 50)
    parts = list(bootstrap.resamples(7))
    assert len(parts) > 1
    assert (np.concatenate(parts) == whole).all()


def interval_of(right: np.ndarray) -> list[float]:
    def accuracy(weights: Floats) -> Figures:
        return {"accuracy": weights @ right / weights.sum(axis=1)}

    return bootstrap.intervals(accuracy, len(right))["accuracy"]


def test_an_interval_is_about_two_standard_errors_either_way() -> None:
    low, high = interval_of(np.arange(200) < 160)
    error = 1.96 * (0.8 * 0.2 / 200) ** 0.5
    assert (low, high) == pytest.approx((0.8 - error, 0.8 + error), abs=0.01)


def test_about_95_of_100_intervals_hold_the_truth() -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        low, high = interval_of(random.random(150) < 0.8)
        held += low <= 0.8 <= high
    assert 0.90 <= held / 200 <= 0.99


def test_what_every_text_agrees_on_has_an_interval_of_no_width() -> None:
    assert interval_of(np.ones(30)) == [1, 1]
    assert interval_of(np.ones(1)) == [1, 1]


def test_a_figure_lies_within_its_interval_and_more_texts_make_it_narrower() -> None:
    scheme = SCHEMES[0]
    widths = []
    for texts in (50, 500):
        found = evaluate(*random_texts(scheme, texts), scheme)
        for name, value in found["metrics"].items():
            low, high = found["intervals"][name]
            assert low <= value <= high
        low, high = found["intervals"]["accuracy"]
        widths.append(high - low)
    assert widths[0] > 2 * widths[1]


def test_a_class_that_no_resampled_text_has_does_not_count_in_it() -> None:
    scheme = LabelScheme.of("single", ["a", "b"])
    verdicts = Verdicts.of(np.eye(2), [Example("", ("a",)), Example("", ("b",))], scheme)
    assert metrics(verdicts, np.array([[2.0, 0.0]]))["macro_f1"][0] == 1
