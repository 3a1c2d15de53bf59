"""What each built-in step does to an answer, and which settings it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from adapter_platform.core.errors import PlatformError, SchemeError
from adapter_platform.core.labels import Label, LabelScheme
from adapter_platform.core.predictions import Prediction
from adapter_platform.core.registry import Registry
from adapter_platform.plugins.builtins import Postprocess
from adapter_platform.plugins.manager import PluginInfo
from adapter_platform.plugins.testing import PluginConformance

SINGLE = LabelScheme(
    "single",
    (
        Label("refund", {"zh": "退款", "en": "Refund"}),
        Label("order", {"zh": "订单"}),
    ),
)
MULTI = LabelScheme.of("multi", ["price", "speed"])
TREE = LabelScheme.of("hierarchical", ["data/cleaning", "data/quality", "chat"])
STEPS = {step.name: step for step in Postprocess().postprocessors()}


class TestBuiltInSteps(PluginConformance):
    settings: ClassVar[Mapping[str, Any]] = {
        "abstain": {"threshold": 0.5},
        "rollup": {"threshold": 0.5},
        "alias": {"names": {"a": "A"}},
    }
    schemes: ClassVar[Mapping[str, LabelScheme]] = {"alias": LabelScheme.of("single", ["a", "b"])}

    @pytest.fixture
    def loaded(self, load: Any, info_of: Any) -> tuple[PluginInfo, Registry]:
        plugins = load(load_plugins="")
        info = info_of(plugins, "postprocess")
        assert len(info.brought["post-processor"]) >= 4
        return info, plugins.registry


def answer(scheme: LabelScheme, *row: float, text: str = "a text") -> Prediction:
    decision = scheme.decide(row)
    return Prediction(
        text=text,
        label=decision.label,
        labels=decision.labels,
        confidence=decision.confidence,
        probabilities=dict(zip(scheme.classes, row, strict=True)),
        adapter="a",
        version=1,
        base="b",
        engine="peft",
        path=decision.path,
    )


def apply(name: str, settings: Mapping[str, Any], scheme: LabelScheme, p: Prediction) -> Prediction:
    return STEPS[name].build(settings, scheme)(p)


def test_abstain_withholds_an_answer_below_the_threshold_and_keeps_its_figures() -> None:
    before = answer(SINGLE, 0.6, 0.4)
    after = apply("abstain", {"threshold": 0.7}, SINGLE, before)
    assert (after.label, after.abstained, after.steps) == (None, True, ("abstain",))
    assert (after.confidence, after.labels) == (before.confidence, before.labels)
    assert after.probabilities == before.probabilities


@pytest.mark.parametrize("threshold", [0, 0.6])
def test_abstain_leaves_an_answer_at_or_above_the_threshold(threshold: float) -> None:
    after = apply("abstain", {"threshold": threshold}, SINGLE, answer(SINGLE, 0.6, 0.4))
    assert (after.label, after.abstained, after.steps) == ("refund", False, ("abstain",))


def test_abstain_takes_no_label_as_an_answer_with_a_confidence_of_its_own() -> None:
    unsure, sure = answer(MULTI, 0.4, 0.1), answer(MULTI, 0.05, 0.01)
    assert apply("abstain", {"threshold": 0.7}, MULTI, unsure).abstained
    assert not apply("abstain", {"threshold": 0.7}, MULTI, sure).abstained


def test_rollup_answers_with_the_deepest_node_that_is_sure_enough() -> None:
    before = answer(TREE, 0.5, 0.4, 0.1)
    after = apply("rollup", {"threshold": 0.7}, TREE, before)
    assert after.label == "data"
    assert after.confidence == pytest.approx(0.9)
    assert [node for node, _ in after.path] == ["data"]
    assert (after.labels, after.probabilities) == (before.labels, before.probabilities)
    assert not after.abstained


def test_rollup_leaves_a_sure_leaf() -> None:
    before = answer(TREE, 0.8, 0.1, 0.1)
    after = apply("rollup", {"threshold": 0.7}, TREE, before)
    assert (after.label, after.path) == ("data/cleaning", before.path)
    assert after.confidence == pytest.approx(0.8)


def test_rollup_abstains_where_even_the_top_is_unsure() -> None:
    before = answer(TREE, 0.3, 0.25, 0.45)
    after = apply("rollup", {"threshold": 0.7}, TREE, before)
    assert (after.label, after.abstained) == (None, True)
    assert (after.confidence, after.path) == (before.confidence, before.path)


def test_rollup_says_that_a_flat_scheme_has_nothing_to_roll_up() -> None:
    with pytest.raises(SchemeError, match="needs a hierarchical scheme, not a single one"):
        STEPS["rollup"].build({"threshold": 0.5}, SINGLE)


@pytest.mark.parametrize(
    ("settings", "text", "display"),
    [
        ({"language": "zh"}, "where is it", "退款"),
        ({"language": "en"}, "在哪里", "Refund"),
        ({"language": "auto"}, "我的 refund 在哪里", "退款"),
        ({"language": "auto"}, "where is it?", "Refund"),
        ({}, "𠮷在哪里", "退款"),
        ({}, "где?", "Refund"),
    ],
)
def test_display_names_the_label_in_the_readers_language(
    settings: dict[str, str], text: str, display: str
) -> None:
    after = apply("display", settings, SINGLE, answer(SINGLE, 0.9, 0.1, text=text))
    assert (after.display, after.label) == (display, "refund")


def test_display_falls_back_to_the_label_and_shows_nothing_without_one() -> None:
    assert apply("display", {}, SINGLE, answer(SINGLE, 0.1, 0.9)).display == "order"
    assert apply("display", {}, MULTI, answer(MULTI, 0.1, 0.1)).display is None


def test_a_name_for_people_never_outlives_its_label() -> None:
    tree = LabelScheme(
        "hierarchical",
        (Label("data", {"en": "Data"}), Label("data/cleaning", {"en": "Cleaning"}), Label("chat")),
    )
    shown = apply("display", {}, tree, answer(tree, 0.6, 0.3, 0.1))
    assert shown.display is not None
    assert apply("rollup", {"threshold": 0.9}, tree, shown).display in (None, shown.display)
    assert apply("abstain", {"threshold": 0.99}, tree, shown).display is None


def test_alias_renames_the_label_everywhere() -> None:
    names = {"data": "D", "data/cleaning": "D-1"}
    after = apply("alias", {"names": names}, TREE, answer(TREE, 0.8, 0.1, 0.1))
    assert after.label == "D-1"
    assert after.labels[0] == ("D-1", 0.8)
    assert list(after.probabilities) == ["D-1", "data/quality", "chat"]
    assert [node for node, _ in after.path] == ["D", "D-1"]


def test_alias_leaves_an_abstained_answer_without_a_label() -> None:
    abstained = apply("abstain", {"threshold": 1}, SINGLE, answer(SINGLE, 0.6, 0.4))
    assert apply("alias", {"names": {"refund": "R"}}, SINGLE, abstained).label is None


def test_steps_are_noted_in_the_order_in_which_they_ran() -> None:
    after = apply("rollup", {"threshold": 0.7}, TREE, answer(TREE, 0.5, 0.4, 0.1))
    after = apply("abstain", {"threshold": 0.5}, TREE, after)
    assert after.steps == ("rollup", "abstain")
    assert after.label == "data"


@pytest.mark.parametrize(
    ("name", "settings", "sentence", "hint"),
    [
        ("abstain", {}, "the step 'abstain' needs the setting 'threshold'", None),
        ("abstain", {"treshold": 0.5}, "no setting of the step 'abstain'", "'threshold'"),
        ("abstain", {"threshold": "0.5"}, "must be a number from 0 to 1, not '0.5'", None),
        ("abstain", {"threshold": 1.5}, "must be a number from 0 to 1, not 1.5", None),
        ("abstain", {"threshold": True}, "must be a number from 0 to 1, not True", None),
        ("abstain", {"threshold": float("nan")}, "must be a number from 0 to 1, not nan", None),
        ("rollup", {}, "the step 'rollup' needs the setting 'threshold'", None),
        ("rollup", {"threshold": 0.5, "stop": 1}, "no setting of the step 'rollup'", None),
        ("display", {"language": "fr"}, "no label of the scheme has a name", "use auto, en, zh"),
        ("display", {"language": ["zh"]}, "no label of the scheme has a name", None),
        ("display", {"lang": "zh"}, "no setting of the step 'display'", "'language'"),
        ("alias", {}, "the step 'alias' needs the setting 'names'", None),
        ("alias", {"names": ["x"]}, "must map labels to names", None),
        ("alias", {"names": {"refnd": "R"}}, "no label named 'refnd'", "'refund'"),
        ("alias", {"names": {"refund": 7}}, "cannot name 'refund' 7", None),
        ("alias", {"names": {"refund": "x", "order": "x"}}, "'refund' and 'order' one name", None),
        ("alias", {"names": {"refund": "order"}}, "one name, 'order'", None),
    ],
)
def test_a_setting_that_cannot_be_is_a_sentence(
    name: str, settings: dict[str, Any], sentence: str, hint: str | None
) -> None:
    scheme = TREE if name == "rollup" else SINGLE
    with pytest.raises(PlatformError) as caught:
        STEPS[name].build(settings, scheme)
    assert sentence in caught.value.message
    if hint:
        assert hint in (caught.value.hint or "")
