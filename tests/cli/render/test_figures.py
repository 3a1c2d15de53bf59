"""Figures read as people say them."""

from __future__ import annotations

import pytest

from adapter_platform.cli.render.figures import bar, count, duration, percent, points, span


def test_a_share_is_a_percentage_and_nothing_is_a_dash() -> None:
    assert percent(0.9731) == "97.3 %"
    assert percent(None) == "-"


@pytest.mark.parametrize(
    ("share", "drawn"), [(0, ""), (1, "█" * 20), (0.5, "█" * 10), (2, "█" * 20)]
)
def test_a_bar_is_as_long_as_its_share(share: float, drawn: str) -> None:
    assert bar(share) == drawn


def test_a_small_share_still_draws_something() -> None:
    assert bar(0.01) == "▎"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 s"), (80, "80 s"), (200, "3 min"), (7200, "2 h 0 min")]
)
def test_a_duration_is_said_in_the_unit_that_fits(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_count_agrees_with_its_noun() -> None:
    assert count(1, "row") == "1 row"
    assert count(1204, "row") == "1,204 rows"


def test_an_interval_is_said_once_with_its_unit_and_a_difference_with_its_signs() -> None:
    assert span(0.9124, 0.9587) == "91.2 to 95.9 %"
    assert span(0.083, 0.1014, score=True) == "0.083 to 0.101"
    assert span(-0.012, 0.034, signed=True) == "-1.2 to +3.4"
    assert span(-0.012, 0.034, score=True, signed=True) == "-0.012 to +0.034"
    assert points(-0.0312) == "-3.1"
