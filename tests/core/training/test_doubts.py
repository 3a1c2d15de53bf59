"""What a training says against the adapter that it has just judged."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_platform.core.training.doubts import doubts
from adapter_platform.core.training.prepare import prepare
from adapter_platform.core.training.run import train
from adapter_platform.core.training.workshop import Quiet, Workshop

from .conftest import TOPICS, MakeRequest, WriteTexts

UNEVEN = {"refund": 20, "delivery": 10, "login": 10}
MULTI = {"refund": 20, "delivery": 10, "refund|delivery": 10}


def report(ours: float, split: str = "val", metric: str = "accuracy") -> dict[str, Any]:
    figures = {"primary": metric, "metrics": {metric: ours}}
    return {split: figures, "baselines": {"probe": {split: {metric: 0.0}}}}


@pytest.fixture
def said(ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts) -> Any:
    """``said(ours, judging=counts)``: the doubts about an adapter with this deciding figure."""

    def call(
        ours: float, judging: Any = UNEVEN, split: str = "val", metric: str = "accuracy"
    ) -> list[str]:
        taught = MULTI if metric == "macro_f1" else UNEVEN
        data = {"train": write_texts(taught, "train"), split: write_texts(judging, split, seed=1)}
        return doubts(report(ours, split, metric), prepare(ask(data=data), workshop))

    return call


@pytest.mark.parametrize("ours", [0.3, 0.5])
def test_an_adapter_that_does_not_beat_the_most_frequent_class_is_doubted(
    said: Any, ours: float
) -> None:
    assert said(ours) == [
        "the adapter does not beat always answering 'refund': "
        f"accuracy {100 * ours:.1f} against 50.0 on the val split"
    ]


def test_an_adapter_that_beats_the_most_frequent_class_is_not_doubted(said: Any) -> None:
    assert said(0.6) == []


def test_an_adapter_that_gets_none_right_is_doubted(said: Any) -> None:
    assert said(0.0) == ["the adapter gets none of 40 validation texts right"]


def test_an_adapter_that_gets_all_right_is_not_doubted_where_all_have_one_class(said: Any) -> None:
    assert said(1.0, judging={"refund": 40}) == []


def test_the_most_frequent_answer_may_be_several_labels_and_goes_by_the_deciding_figure(
    said: Any,
) -> None:
    (doubt,) = said(0.4, judging=MULTI, metric="macro_f1")
    assert doubt.startswith("the adapter does not beat always answering 'refund': macro_f1 40.0")
    assert said(0.5, judging=MULTI, metric="macro_f1") == []


def test_too_few_texts_to_judge_by_are_said_with_their_number(said: Any) -> None:
    sentence = "the adapter is judged by 29 validation texts: fewer than 30 are too few to judge by"
    assert said(0.9, judging={**UNEVEN, "refund": 9}) == [sentence]


def test_nothing_is_said_where_nothing_was_judged(
    ask: MakeRequest, workshop: Workshop, texts: str
) -> None:
    assert doubts({"val": None, "test": None}, prepare(ask(data=texts), workshop)) == []


def test_a_training_on_six_texts_keeps_its_doubts_in_the_report(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts
) -> None:
    data = write_texts(dict.fromkeys(TOPICS, 2))
    outcome = train(ask(data=data, request={"allow_worse": True}), workshop, Quiet())
    assert outcome.doubts
    assert "too few to judge by" in outcome.doubts[0]
    assert set(outcome.doubts) <= set(outcome.report["notes"])
