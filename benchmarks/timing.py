"""Two ways of doing the same, timed turn by turn, so that whatever else the machine does hits both."""

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

Call = Callable[[], object]


def interleave(
    calls: Sequence[Call], rounds: int, *, warm_ups: int = WARM_UPS, pause: float = PAUSE
) -> list[list[float]]:
    """Seconds of each call in each round: ``times[call][round]``.

    Every other round runs the calls in reverse order.

    Args:
        warm_ups: rounds before those that count.
        pause: seconds of rest before each call.
    """
    times: list[list[float]] = [[] for _ in calls]
    with quiet_collector():
        for number in range(warm_ups + rounds):
            order = range(len(calls)) if number % 2 == 0 else reversed(range(len(calls)))
            for place in order:
                time.sleep(pause)
                seconds = timed(calls[place])
                if number >= warm_ups:
                    times[place].append(seconds)
    return times


def timed(call: Call) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


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
