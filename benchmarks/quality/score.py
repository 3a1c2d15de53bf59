"""Figures of a set's own, and how far chance could have moved them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.int64]

DRAWS = 400


def are_right(wanted: Labels, given: Labels) -> NDArray[np.bool_]:
    """``(texts,)``: by class indices ``(texts,)``, or by whole 0/1 rows ``(texts, classes)``."""
    same = wanted == given
    return np.asarray(same if same.ndim == 1 else same.all(axis=1))


def accuracy(wanted: Labels, given: Labels) -> float:
    """The share of texts that `are_right`."""
    return float(are_right(wanted, given).mean())


def macro_f1(wanted: Labels, given: Labels) -> float:
    """The mean of the classes' F1, as `adapters eval` has it: a class that nobody has and nobody
    was given does not count; where there is no other, all is right.
    """
    if wanted.ndim == 1:
        classes = np.arange(1 + max(wanted.max(), given.max()))
        wanted, given = (labels[:, None] == classes for labels in (wanted, given))
    hits = (wanted * given).sum(axis=0)
    all_of_both = wanted.sum(axis=0) + given.sum(axis=0)
    there = all_of_both > 0
    return float((2 * hits[there] / all_of_both[there]).mean()) if there.any() else 1.0


METRICS = {"accuracy": accuracy, "macro_f1": macro_f1}


def scored(metric: str, wanted: Labels, given: Labels) -> dict[str, Any]:
    """The figure, and its standard error by the bootstrap over texts (Efron 1979).

    Its ``draws`` are the figures of `DRAWS` resamples, the same ones for all that is judged by the
    same texts, so that draws of two methods can be taken from each other.
    """
    measure = METRICS[metric]
    dice = np.random.default_rng(0)
    texts = len(wanted)
    picked = (dice.integers(0, texts, texts) for _ in range(DRAWS))
    draws = [round(measure(wanted[picks], given[picks]), 4) for picks in picked]
    return {
        "value": measure(wanted, given),
        "error": float(np.std(draws)),
        "texts": texts,
        "draws": draws,
    }
