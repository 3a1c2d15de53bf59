"""Figures of a set's own, and how far chance could have moved them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import f1_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.int64]

DRAWS = 1000


def accuracy(wanted: Labels, given: Labels) -> float:
    """Of class indices ``(texts,)``, or of 0/1 rows ``(texts, classes)`` that are right whole."""
    same = wanted == given
    return float((same if same.ndim == 1 else same.all(axis=1)).mean())


def macro_f1(wanted: Labels, given: Labels) -> float:
    """The mean of the classes' F1; a class that nobody has and nobody was given counts 0."""
    return float(f1_score(wanted, given, average="macro", zero_division=0.0))


METRICS = {"accuracy": accuracy, "macro_f1": macro_f1}


def scored(metric: str, wanted: Labels, given: Labels) -> dict[str, Any]:
    """The figure, and its standard error by the bootstrap over texts (Efron 1979)."""
    measure = METRICS[metric]
    dice = np.random.default_rng(0)
    texts = len(wanted)
    draws = (dice.integers(0, texts, texts) for _ in range(DRAWS if metric == "accuracy" else 200))
    found = [measure(wanted[picks], given[picks]) for picks in draws]
    return {"value": measure(wanted, given), "error": float(np.std(found)), "texts": texts}
