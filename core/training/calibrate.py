"""From logits to probabilities worth the name: a temperature, and thresholds for multi-label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.metrics import f1_score

from ..store.manifest import Calibration
from .linear import log_loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..labels import LabelScheme

ENOUGH = 30  # validation texts below which a fitted figure would be noise
ENOUGH_POSITIVES = 25  # for a threshold of a label's own
GRID = np.round(np.arange(0.10, 0.91, 0.05), 2)


def calibrate(scheme: LabelScheme, logits: Any, wanted: NDArray[np.int64]) -> Calibration:
    """Fits on the validation split's logits ``(texts, classes)``; neutral where it is too small.

    The temperature minimises the log loss (Guo et al. 2017, section 4.2). Multi-label thresholds
    maximise F1: one for all labels, and a label's own where it has enough positive texts.
    """
    if len(wanted) < ENOUGH:
        return Calibration()
    found = minimize_scalar(
        lambda t: log_loss(scheme, logits / np.exp(t), wanted), bounds=(-2.0, 2.0), method="bounded"
    )
    temperature = float(round(np.exp(found.x), 4))
    if scheme.kind != "multi":
        return Calibration(temperature)
    return Calibration(
        temperature, _thresholds(scheme, scheme.probabilities(logits, temperature), wanted)
    )


def _thresholds(
    scheme: LabelScheme, probabilities: Any, wanted: NDArray[np.int64]
) -> dict[str, float]:
    def macro(limit: float) -> float:
        return float(f1_score(wanted, probabilities >= limit, average="macro", zero_division=0))

    shared = float(max(GRID, key=lambda limit: (macro(limit), -abs(limit - 0.5))))
    result = {}
    for k, name in enumerate(scheme.classes):
        own = shared
        if wanted[:, k].sum() >= ENOUGH_POSITIVES:
            scores = {
                limit: f1_score(wanted[:, k], probabilities[:, k] >= limit, zero_division=0)
                for limit in GRID
            }
            own = float(max(GRID, key=lambda limit: (scores[limit], -abs(limit - shared))))
        result[name] = own
    return result
