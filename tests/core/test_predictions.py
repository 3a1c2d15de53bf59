"""An answer for one text: what it is as JSON, its best classes, and that nobody changes it."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, replace
from typing import Any

import pytest

from adapter_platform.core.predictions import Prediction

ANSWER = Prediction(
    text="a text",
    label="b",
    labels=(("b", 0.5), ("c", 0.3), ("a", 0.2)),
    confidence=0.5,
    probabilities={"a": 0.2, "b": 0.5, "c": 0.3},
    adapter="desk",
    version=2,
    base="tiny",
    engine="packed",
)


def test_its_best_classes_come_in_descending_order() -> None:
    assert ANSWER.top(2) == [("b", 0.5), ("c", 0.3)]
    assert ANSWER.top() == ANSWER.top(9) == [("b", 0.5), ("c", 0.3), ("a", 0.2)]


def test_as_a_dict_it_keeps_the_schemes_order_or_the_best_labels() -> None:
    assert list(ANSWER.to_dict()["probabilities"]) == ["a", "b", "c"]
    short = ANSWER.to_dict(top_k=2)
    assert list(short["probabilities"].items()) == [("b", 0.5), ("c", 0.3)]
    assert short["labels"] == [{"label": "b", "score": 0.5}, {"label": "c", "score": 0.3}]


def test_the_older_style_has_the_older_keys() -> None:
    assert ANSWER.to_dict("legacy", top_k=1) == {
        "category": "b",
        "confidence": 0.5,
        "probabilities": {"b": 0.5},
        "method": "packed",
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.__setitem__("a", 1.0),
        lambda p: p.__delitem__("a"),
        lambda p: p.__ior__({"a": 1.0}),
        lambda p: p.update(a=1.0),
        lambda p: p.setdefault("d", 1.0),
        lambda p: p.pop("a"),
        lambda p: p.popitem(),
        lambda p: p.clear(),
    ],
)
def test_its_probabilities_cannot_be_changed(change: Callable[[Any], Any]) -> None:
    for answer in (ANSWER, replace(ANSWER, probabilities=dict(ANSWER.probabilities))):
        with pytest.raises(TypeError, match="cannot be changed: copy them first"):
            change(answer.probabilities)
        assert answer.probabilities == {"a": 0.2, "b": 0.5, "c": 0.3}


def test_what_it_was_made_from_may_change_afterwards() -> None:
    mine = {"a": 1.0}
    answer = replace(ANSWER, probabilities=mine)
    mine["a"] = 0.0
    assert answer.probabilities == {"a": 1.0}


def test_no_other_attribute_can_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        ANSWER.label = "a"  # type: ignore[misc]  # the mistake


def test_it_goes_to_other_processes_and_into_json() -> None:
    assert pickle.loads(pickle.dumps(ANSWER)) == ANSWER
    assert copy.deepcopy(ANSWER) == ANSWER
    assert asdict(ANSWER)["probabilities"] == ANSWER.probabilities
    assert json.loads(json.dumps(ANSWER.probabilities)) == ANSWER.probabilities
    assert {**ANSWER.probabilities, "a": 0.9}["a"] == 0.9
