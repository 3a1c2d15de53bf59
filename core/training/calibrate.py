"""From logits to probabilities worth the name: a temperature, and thresholds for multi-label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..store.manifest import Calibration
from .linear import ENOUGH, fit_temperature
from .verdicts import Tally

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..labels import LabelScheme

ENOUGH_POSITIVES = 25  # for a threshold of a label's own
GRID = np.round(np.arange(0.10, 0.91, 0.05), 2)


def calibrate(scheme: LabelScheme, logits: Any, wanted: NDArray[np.int64]) -> Calibration:
    """Fits on the validation split's logits ``(texts, classes)``; neutral where it is too small.

    Multi-label thresholds maximise F1: one for all labels, and a label's own where it has enough
    positive texts.
    """
    if len(wanted) < ENOUGH:
        return Calibration()
    temperature = round(fit_temperature(scheme, logits, wanted), 4)
    if scheme.kind != "multi":
        return Calibration(temperature)
    return Calibration(
        temperature, _thresholds(scheme, scheme.probabilities(logits, temperature), wanted)
    )


def _thresholds(
    scheme: LabelScheme, probabilities: Any, wanted: NDArray[np.int64]
) -> dict[str, float]:
    once = np.ones(len(wanted))
    tallies = {
        limit: Tally.of(wanted, (probabilities >= limit).astype(int), once) for limit in GRID
    }
    macro = {limit: tally.macro_f1 for limit, tally in tallies.items()}
    shared = float(max(GRID, key=lambda limit: (macro[limit], -abs(limit - 0.5))))
    result = {}
    for k, name in enumerate(scheme.classes):
        own = shared
        if wanted[:, k].sum() >= ENOUGH_POSITIVES:
            f1 = {limit: tally.f1[k] for limit, tally in tallies.items()}
            own = float(max(GRID, key=lambda limit: (f1[limit], -abs(limit - shared))))
        result[name] = own
    return result
