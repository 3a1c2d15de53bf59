"""Figures read as people say them."""

from __future__ import annotations

import pytest

from adapter_platform.cli.render.figures import bar, count, duration, percent


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
