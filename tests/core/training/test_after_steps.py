"""What is answered after an adapter's own steps, counted against the labels of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from adapter_platform.core.answers import Said, read_row
from adapter_platform.core.bases import BaseRecord
from adapter_platform.core.examples import Example
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.postprocess import build_chain
from adapter_platform.core.registry import Brought, Registry
from adapter_platform.core.store.manifest import Manifest, StepRecord
from adapter_platform.core.training.after_steps import acting_steps, after_steps
from adapter_platform.plugins.builtins import Postprocess

REGISTRY = Registry(
    postprocessors={
        step.name: Brought(step, "postprocess", built_in=True)
        for step in Postprocess().postprocessors()
    }
)
SINGLE = LabelScheme.of("single", ["a", "b"])
TREE = LabelScheme.of("hierarchical", ["x/1", "x/2", "y"])
MULTI = LabelScheme.of("multi", ["a", "b"])


def judged(
    scheme: LabelScheme, rows: Sequence[Sequence[float]], wanted: Sequence[str], **steps: Any
) -> Any:
    """What the steps make of the rows of probabilities; labels are written ``"a"`` or ``"a|b"``."""
    manifest = Manifest(
        name="one",
        base=BaseRecord("tiny", "", 32, 2),
        scheme=scheme,
        peft_method="LORA",
        pooling="mean",
        max_length=32,
        postprocess=tuple(StepRecord(name, settings) for name, settings in steps.items()),
    )
    chain = build_chain(manifest, REGISTRY)
    plain = [read_row(manifest, "a text", row, None) for row in rows]
    said = [
        Said(np.zeros(len(row), np.float32), p, chain(p))
        for row, p in zip(rows, plain, strict=True)
    ]
    labels = [tuple(each.split("|")) if each else () for each in wanted]
    return after_steps(said, [Example("a text", each) for each in labels], manifest)


def counts(found: Any) -> dict[str, tuple[int, int]]:
    return {name: (f["n"], f["of"]) for name, f in found.items() if name != "steps"}


SURE, UNSURE = (0.9, 0.1), (0.6, 0.4)


def test_of_what_abstain_withholds_it_is_said_how_much_would_have_been_right() -> None:
    rows = [SURE, SURE, SURE, UNSURE, UNSURE]
    found = judged(SINGLE, rows, ["a", "a", "b", "a", "b"], abstain={"threshold": 0.8})
    assert found["steps"] == ["abstain"]
    assert counts(found) == {
        "answered": (3, 5),
        "wrong": (1, 3),
        "withheld": (2, 5),
        "withheld_right": (1, 2),
        "changed": (0, 3),
    }
    assert found["answered"]["share"] == pytest.approx(0.6)
    low, high = found["wrong"]["interval"]
    assert low < 1 / 3 < high


def test_where_nothing_is_answered_no_share_of_it_can_be_wrong() -> None:
    found = judged(SINGLE, [UNSURE], ["a"], abstain={"threshold": 0.8})
    assert found["wrong"] == {"n": 0, "of": 0, "share": None, "interval": None}
    assert found["withheld_right"]["share"] == 1


def test_an_answer_that_rollup_shortens_is_right_where_the_right_path_begins_with_it() -> None:
    rows = [(0.5, 0.4, 0.1), (0.5, 0.4, 0.1), (0.9, 0.1, 0.0), (0.35, 0.25, 0.4)]
    found = judged(TREE, rows, ["x/2", "y", "x/1", "y"], rollup={"threshold": 0.7})
    assert counts(found) == {
        "answered": (3, 4),
        "wrong": (1, 3),
        "withheld": (1, 4),
        "withheld_right": (0, 1),
        "changed": (2, 3),
        "shortened": (2, 3),
    }


def test_other_names_for_labels_are_the_same_answers() -> None:
    """Also where one label takes the name of the other."""
    steps: Any = {"abstain": {"threshold": 0.8}, "alias": {"names": {"a": "b", "b": "a"}}}
    found = judged(SINGLE, [SURE, SURE], ["a", "b"], **steps)
    assert found["steps"] == ["abstain"]
    assert (counts(found)["wrong"], counts(found)["changed"]) == ((1, 2), (0, 2))
    steps = {"rollup": {"threshold": 0.7}, "alias": {"names": {"x": "outside", "y": "other"}}}
    found = judged(TREE, [(0.5, 0.4, 0.1), (0.1, 0.0, 0.9)], ["x/2", "y"], **steps)
    assert (counts(found)["wrong"], counts(found)["shortened"]) == ((0, 2), (1, 2))


def test_a_multi_label_text_is_right_as_a_whole_and_without_a_label_still_answered() -> None:
    rows = [(0.9, 0.8), (0.9, 0.1), (0.1, 0.2), (0.55, 0.1)]
    found = judged(MULTI, rows, ["a|b", "a|b", "", "a"], abstain={"threshold": 0.7})
    assert counts(found) == {
        "answered": (3, 4),
        "wrong": (1, 3),
        "withheld": (1, 4),
        "withheld_right": (1, 1),
        "changed": (0, 3),
    }


def test_steps_that_only_name_the_answer_are_not_among_those_that_act() -> None:
    manifest = Manifest(
        name="one",
        base=BaseRecord("tiny", "", 32, 2),
        scheme=SINGLE,
        peft_method="LORA",
        pooling="mean",
        max_length=32,
        postprocess=(StepRecord("display"), StepRecord("keywords"), StepRecord("alias")),
    )
    assert acting_steps(manifest) == ["keywords"]
