"""What the report decides: whether an adapter is worse than the probe."""

from __future__ import annotations

import pytest

from adapter_platform.core.training.report import is_worse


@pytest.mark.parametrize(
    ("ours", "probe", "texts", "worse"),
    [(0.8, 0.85, 40, True), (0.8, 0.82, 40, False), (0.8, 0.825, 40, False), (0.9, 0.8, 40, False)],
)
@pytest.mark.parametrize("split", ["val", "test"])
def test_more_than_one_text_decides_on_validation_or_else_on_the_test(
    split: str, ours: float, probe: float, texts: int, worse: bool
) -> None:
    evaluation = {"n": texts, "primary": "accuracy", "metrics": {"accuracy": ours}}
    baselines = {"probe": {split: {"accuracy": probe}}}
    report = {"val": None, "test": None, split: evaluation, "baselines": baselines}
    assert is_worse(report) == worse


def test_nothing_to_judge_by_is_not_worse() -> None:
    assert not is_worse({"val": None, "test": None, "baselines": {"probe": {}}})
