"""What a row says of what was measured."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.bench import Bench
from benchmarks.measured import Measured
from benchmarks.row import Result, Row


def result(judge: Any, must: float | None, ours: float, peers: float, **measured: Any) -> Result:
    def measure(bench: Bench) -> Measured:
        raise NotImplementedError

    row = Row("some", "some row", "a peer", measure, judge, must)
    return Result(row, "tiny", Measured([ours] * 3, [peers] * 3, **measured))


@pytest.mark.parametrize(
    ("judge", "must", "ratio", "meets"),
    [
        ("at most", 1.5, 1.5, True),
        ("at most", 1.4, 1.5, False),
        ("at least", 0.6, 2 / 3, True),
        ("at least", 0.7, 2 / 3, False),
    ],
)
def test_a_must_is_met_on_its_own_side(judge: str, must: float, ratio: float, meets: bool) -> None:
    found = result(judge, must, ours=3.0, peers=2.0)
    assert found.ratio == pytest.approx(ratio)
    assert found.meets is meets


def test_a_row_without_a_must_or_with_a_smaller_run_is_not_judged() -> None:
    assert result("at most", None, 3.0, 2.0).meets is None
    assert result("at most", 1.0, 3.0, 2.0, judged=False).meets is None


def test_the_json_object_has_the_figures_and_where_they_come_from() -> None:
    found = result("at most", 1.6, 3.0, 2.0, note="small").to_dict()
    assert {key: found[key] for key in ("name", "peer", "ratio", "must", "meets")} == {
        "name": "some/tiny",
        "peer": "a peer",
        "ratio": 1.5,
        "must": 1.6,
        "meets": True,
    }
    assert found["paired_ratios"] == {"p10": 1.5, "p50": 1.5, "p90": 1.5}
    assert (found["rounds"], found["ours"]["p50"], found["note"]) == (3, 3.0, "small")


def test_a_peer_that_is_not_here_has_an_object_too() -> None:
    whole = result("at most", 1.6, 3.0, 2.0)
    found = Result(whole.row, "tiny", missing="pip install it").to_dict()
    assert (found["ratio"], found["meets"], found["missing"]) == (None, None, "pip install it")
