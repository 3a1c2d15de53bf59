"""Ways of doing the same, timed turn by turn, so that what else the machine does hits all."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median

WARM_UPS = 2
# The worker threads of whoever ran last spin for a moment, on the cores that the next one needs.
PAUSE = 0.005

Clocked = Callable[[], float]


def interleave(
    calls: Sequence[Clocked], rounds: int, *, warm_ups: int = WARM_UPS, pause: float = PAUSE
) -> list[list[float]]:
    """Seconds of each call in each round: ``times[call][round]``.

    Every other round runs the calls in reverse order.

    Args:
        calls: each does its work and says how long that took; see `clocked`.
        warm_ups: rounds before those that count.
        pause: seconds of rest before each call.
    """
    times: list[list[float]] = [[] for _ in calls]
    places = range(len(calls))
    with quiet_collector():
        for number in range(warm_ups + rounds):
            for place in places if number % 2 == 0 else reversed(places):
                time.sleep(pause)
                seconds = calls[place]()
                if number >= warm_ups:
                    times[place].append(seconds)
    return times


def clocked(call: Callable[[], object]) -> Clocked:
    """The call, saying how long it took."""

    def seconds() -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    return seconds


@contextmanager
def quiet_collector() -> Iterator[None]:
    """No garbage collection within the block, and what lives already is out of its reach."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def ratio_of_medians(above: Sequence[float], below: Sequence[float]) -> float:
    return median(above) / median(below)


def bootstrap(
    above: Sequence[float], below: Sequence[float], *, share: float = 0.95, draws: int = 1000
) -> tuple[float, float]:
    """Percentile interval of the ratio of medians (Efron & Tibshirani 1993, section 13.3).

    Rounds are drawn with replacement, both of a round together where there are equally many.
    """
    dice = random.Random(0)
    ratios = []
    for _ in range(draws):
        picks = dice.choices(range(len(above)), k=len(above))
        others = (
            picks if len(below) == len(above) else dice.choices(range(len(below)), k=len(below))
        )
        ratios.append(ratio_of_medians([above[i] for i in picks], [below[i] for i in others]))
    ratios.sort()
    cut = round(draws * (1 - share) / 2)
    return ratios[cut], ratios[-1 - cut]
