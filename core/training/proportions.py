"""How far a share of texts may be off because the texts happened to be these."""

from __future__ import annotations

from scipy.stats import binomtest


def wilson(hits: int, n: int) -> list[float]:
    """The 95 % score interval ``[low, high]`` of a proportion (Wilson 1927).

    It has a width where all of the texts are hits, or none is; the bootstrap has none there.
    """
    low, high = binomtest(hits, n).proportion_ci(method="wilson")
    return [float(low), float(high)]
