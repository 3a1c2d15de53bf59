"""A comparison in words: who is better, or that these texts cannot tell."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_platform.cli.render.comparison import differ, figures, mcnemar, verdict


def found(difference: float, low: float, high: float) -> dict[str, Any]:
    row = {"a": 0.5, "b": 0.5 + difference, "difference": difference, "interval": [low, high]}
    return {"a": "one@1", "b": "two@3", "n": 1200, "primary": "macro_f1", "figures": {
        "macro_f1": row, "brier": row, "ece": {**row, "interval": None}
    }}  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        (
            (0.031, 0.004, 0.058),
            "two@3 is better than one@1: macro F1 by 3.1 points, 95 % interval 0.4 to 5.8, "
            "on 1,200 texts",
        ),
        (
            (-0.031, -0.058, -0.004),
            "one@1 is better than two@3: macro F1 by 3.1 points, 95 % interval 0.4 to 5.8, "
            "on 1,200 texts",
        ),
        (
            (0.011, -0.014, 0.036),
            "1,200 texts cannot tell them apart by macro F1: the difference is +1.1 points, 95 % "
            "interval -1.4 to +3.6",
        ),
        (
            (0.0, 0.0, 0.0),
            "1,200 texts cannot tell them apart by macro F1: the difference is +0.0 points, 95 % "
            "interval +0.0 to +0.0",
        ),
    ],
)
def test_the_verdict_follows_the_interval_of_the_figure_that_decides(
    numbers: tuple[float, float, float], says: str
) -> None:
    assert verdict(found(*numbers)) == says


def test_shares_differ_in_points_and_scores_as_they_are() -> None:
    assert figures(found(0.031, 0.004, 0.058)).rows == (
        ("macro F1", "50.0 %", "53.1 %", "+3.1", "+0.4 to +5.8"),
        ("Brier score", "0.500", "0.531", "+0.031", "+0.004 to +0.058"),
        ("calibration error (ECE)", "50.0 %", "53.1 %", "+3.1", ""),
    )


@pytest.mark.parametrize(("p", "said"), [(0.0351, "p = 0.035"), (0.0004, "p < 0.001")])
def test_a_small_p_is_not_said_to_be_nothing(p: float, said: str) -> None:
    assert mcnemar({"mcnemar": {"p_value": p}}).endswith(said)


def test_a_text_on_which_they_differ_says_who_was_right() -> None:
    sides = {
        "a": {"given": ["x"], "confidence": 0.9, "right": False},
        "b": {"given": [], "confidence": 0.6, "right": True},
    }
    row = {"text": "数据" * 50, "where": "t:1", "expected": [], **sides}
    table = differ({"a": "one@1", "b": "two@3", "differ": [row] * 3}, limit=2)
    assert len(table.rows) == 2
    text, *cells = table.rows[0]
    assert text.endswith("…")
    assert cells == ["none", "x 90.0 %", "none 60.0 %", "two@3"]
