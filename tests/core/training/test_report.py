"""What the report decides: whether an adapter is worse than the probe."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_platform.core.training.report import against_probe, is_worse


def report(ours: float, probe: float, metric: str = "accuracy", **splits: int) -> dict[str, Any]:
    """With the same figures on each of the splits, of so many texts."""
    evaluation = {"primary": metric, "metrics": {metric: ours}}
    found = {split: {"n": texts, **evaluation} for split, texts in splits.items()}
    probes = {split: {metric: probe} for split in splits}
    return {"val": None, "test": None, "baselines": {"probe": probes}} | found


@pytest.mark.parametrize(
    ("ours", "probe", "texts", "worse"),
    [(0.8, 0.85, 40, True), (0.6, 0.8, 5, True), (0.8, 0.8, 40, False), (0.9, 0.8, 40, False)],
)
@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_whatever_the_probe_does_better_is_worse(
    split: str, metric: str, ours: float, probe: float, texts: int, worse: bool
) -> None:
    assert is_worse(report(ours, probe, metric, **{split: texts})) == worse


def test_validation_decides_where_there_is_one() -> None:
    bad, good = report(0.5, 0.6, val=10), report(0.7, 0.6, test=10)
    both = {**bad, "test": good["test"]}
    both["baselines"] = {"probe": bad["baselines"]["probe"] | good["baselines"]["probe"]}
    assert is_worse(both)
    assert str(against_probe(both)) == "accuracy 50.0 against 60.0 on the val split"


def test_nothing_to_judge_by_is_not_worse() -> None:
    empty = {"val": None, "test": None, "baselines": {"probe": {}}}
    assert not is_worse(empty)
    assert against_probe(empty) is None
    assert against_probe({}) is None
