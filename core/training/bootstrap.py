"""How far a figure may be off because the texts happened to be these: intervals by resampling.

The percentile bootstrap over texts (Efron & Tibshirani 1993, chapter 13), seeded, so that one
evaluation always says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .verdicts import Figures, Floats

RESAMPLES = 1000
TAILS = (2.5, 97.5)  # percentiles: an interval holds 95 %
CELLS = 4_000_000  # weights in memory at once


def resamples(texts: int) -> Iterator[Floats]:
    """Rows ``(resamples, texts)`` of how often each text was drawn, `RESAMPLES` rows in all."""
    generator = np.random.default_rng(0)
    at_once = max(1, CELLS // texts)
    for start in range(0, RESAMPLES, at_once):
        rows = min(at_once, RESAMPLES - start)
        drawn = generator.integers(texts, size=(rows, texts))
        drawn += texts * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * texts)
        yield counts.reshape(rows, texts).astype(float)


def intervals(figures: Callable[[Floats], Figures], texts: int) -> dict[str, list[float]]:
    """The 95 % interval of each figure, ``[low, high]``.

    Args:
        figures: gives each figure ``(rows,)`` of rows of weights ``(rows, texts)``.
    """
    drawn = [figures(weights) for weights in resamples(texts)]
    return {
        name: [float(p) for p in np.percentile(np.concatenate([d[name] for d in drawn]), TAILS)]
        for name in drawn[0]
    }
