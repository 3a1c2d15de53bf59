"""Timing turn by turn."""

from __future__ import annotations

import gc

import pytest

from benchmarks.timing import bootstrap, clocked, interleave, ratio_of_medians


def test_rounds_alternate_their_order_and_warm_ups_do_not_count() -> None:
    ran: list[str] = []

    def call(name: str, seconds: list[float]) -> float:
        ran.append(name)
        return seconds.pop(0)

    ours, theirs = [9.0, 1.0, 2.0, 3.0], [9.0, 4.0, 5.0, 6.0]
    times = interleave([lambda: call("a", ours), lambda: call("b", theirs)], 3, warm_ups=1, pause=0)
    assert times == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert "".join(ran) == "abbaabba"


def test_nothing_is_collected_while_calls_are_timed() -> None:
    seen: list[bool] = []

    def call() -> float:
        seen.append(gc.isenabled())
        return 1.0

    interleave([call], 2, pause=0)
    assert not any(seen)
    assert gc.isenabled()


def test_the_collector_is_back_after_a_call_that_fails() -> None:
    def call() -> float:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - the call's own
        interleave([call], 1, pause=0)
    assert gc.isenabled()


def test_a_clocked_call_says_how_long_it_took() -> None:
    import time

    assert 0.01 <= clocked(lambda: time.sleep(0.01))() < 0.5


def test_one_slow_round_does_not_move_the_ratio() -> None:
    assert ratio_of_medians([2.0, 2.0, 100.0], [1.0, 1.0, 1.0]) == 2.0


def test_the_interval_holds_the_ratio_and_narrows_with_steady_rounds() -> None:
    shaky = bootstrap([2.0, 1.0, 3.0, 2.5, 1.5], [1.0, 1.2, 0.8, 1.1, 0.9])
    assert shaky[0] <= 2.0 <= shaky[1]
    assert bootstrap([2.0] * 5, [1.0] * 5) == (2.0, 2.0)
