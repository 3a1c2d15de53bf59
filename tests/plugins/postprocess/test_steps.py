"""What each built-in step does to an answer, and which settings it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from adapter_platform.core.errors import PlatformError, PluginError, SchemeError
from adapter_platform.core.labels import Label, LabelScheme
from adapter_platform.core.predictions import Prediction
from adapter_platform.core.registry import Fitted, FittedPostProcessor, Registry
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


def with_scope(p: Prediction, scope: float | None) -> Prediction:
    return replace(p, scope=scope)


def test_abstain_may_go_by_scope_whatever_the_confidence() -> None:
    sure, unsure = answer(SINGLE, 0.99, 0.01), answer(SINGLE, 0.51, 0.49)
    settings = {"threshold": 0.05, "score": "scope"}
    assert apply("abstain", settings, SINGLE, with_scope(sure, 0.04)).abstained
    assert not apply("abstain", settings, SINGLE, with_scope(unsure, 0.05)).abstained


def test_abstain_by_scope_withholds_nothing_where_the_adapter_has_no_scope() -> None:
    after = apply("abstain", {"threshold": 1, "score": "scope"}, SINGLE, answer(SINGLE, 0.6, 0.4))
    assert (after.label, after.steps) == ("refund", ("abstain",))


def judged(*pairs: tuple[float, bool]) -> tuple[list[Prediction], list[bool]]:
    """Answers of these confidences, and whether they are right."""
    return [answer(SINGLE, p, 1 - p) for p, _ in pairs], [right for _, right in pairs]


def fitted(settings: Mapping[str, Any], predictions: Any, right: Any) -> Fitted:
    step = STEPS["abstain"]
    assert isinstance(step, FittedPostProcessor)
    return step.fit(settings, predictions, right)


def answered(settings: Mapping[str, Any], predictions: Any, right: Any) -> list[bool]:
    """Of the answers that the step leaves, whether they are right."""
    after = [apply("abstain", settings, SINGLE, p) for p in predictions]
    return [is_right for p, is_right in zip(after, right, strict=True) if not p.abstained]


def even(texts: int, draw: np.random.Generator) -> Any:
    """Confidences ``(texts,)`` of which few are near 1; 88 % of the answers are right."""
    return draw.beta(7.5, 1, texts)


def mostly_sure(texts: int, draw: np.random.Generator) -> Any:
    """Confidences ``(texts,)`` of which most are near 1; 90 % of the answers are right."""
    return 1 / (1 + np.exp(-draw.normal(3.5, 2, texts)))


@pytest.mark.parametrize(
    ("confidences", "texts", "least"),
    [(mostly_sure, 100, 0.3), (mostly_sure, 300, 0.6), (even, 300, 0.1)],
)
def test_the_true_error_exceeds_max_error_in_one_of_ten_trainings_at_most(
    confidences: Callable[[int, np.random.Generator], Any], texts: int, least: float
) -> None:
    draw = np.random.default_rng(0)
    everyone = confidences(100_000, draw)
    exceeded, shares = 0, []
    for _ in range(300):
        confidence = confidences(texts, draw)
        right = draw.random(texts) < confidence  # as often as the confidence says
        found = fitted(
            {"max_error": 0.05}, *judged(*zip(confidence.tolist(), right.tolist(), strict=True))
        )
        promises = not any("promises nothing" in note for note in found.notes)
        left = everyone[everyone >= found.settings["threshold"]] if promises else []
        exceeded += len(left) > 0 and bool((1 - left).mean() > 0.05)
        shares.append(len(left) / len(everyone))
    assert exceeded / 300 <= 0.1 + 0.03
    assert np.mean(shares) >= least


# The surest 60 all right, then 140 of which every third is wrong.
FALLING = [(0.99 if i < 60 else 0.6, i < 60 or i % 3 > 0) for i in range(200)]


def test_more_certainty_answers_less() -> None:
    settings = {"max_error": 0.3}
    thresholds = [
        fitted({**settings, "certainty": certainty}, *judged(*FALLING)).settings["threshold"]
        for certainty in (0.8, 0.9, 0.999999)
    ]
    assert thresholds[0] == thresholds[1] == 0
    assert 0.6 < thresholds[2] <= 0.99


def test_a_mistake_among_the_surest_does_not_end_the_search() -> None:
    pairs = [(0.999 if i < 50 else 0.9, i != 3) for i in range(200)]
    found = fitted({"max_error": 0.05}, *judged(*pairs))
    assert found.settings["threshold"] == 0
    assert "withholds nothing" in found.notes[0]


def test_what_comes_after_a_cut_that_fails_is_not_looked_at() -> None:
    surest, middle, rest = [(0.99, True)] * 120, [(0.8, False)] * 30, [(0.6, True)] * 2000
    assert 30 / 2150 < 0.05  # all of them together would pass
    threshold = fitted({"max_error": 0.05}, *judged(*surest, *middle, *rest)).settings["threshold"]
    assert 0.8 < threshold <= 0.99


def test_what_it_was_fitted_to_stays_beside_the_threshold() -> None:
    settings = {"max_error": 0.1, "certainty": 0.8}
    found = fitted(settings, *judged(*FALLING))
    assert {**found.settings, "threshold": None} == {**settings, "threshold": None}


def test_nothing_is_withheld_where_all_answers_together_meet_max_error_and_that_is_said() -> None:
    predictions, right = judged(*[(0.5 + i / 200, True) for i in range(45)])
    found = fitted({"max_error": 0.05}, predictions, right)
    assert found.settings["threshold"] == 0
    assert found.notes == (
        "the step 'abstain' withholds nothing: at most 5 % of all answers are wrong already, with "
        "0.9 certainty",
    )


def test_texts_of_one_score_are_answered_together_or_not_at_all() -> None:
    predictions, right = judged(*[(0.9, True)] * 60, *[(0.6, i % 2 > 0) for i in range(40)])
    found = fitted({"max_error": 0.1}, predictions, right)
    assert 0.6 < found.settings["threshold"] <= 0.9
    assert found.notes == ()


def test_max_error_may_go_by_scope() -> None:
    predictions, right = judged(*[(0.9, i < 50) for i in range(100)])
    predictions = [with_scope(p, 1 - i / 100) for i, p in enumerate(predictions)]
    found = fitted({"max_error": 0.1, "score": "scope"}, predictions, right)
    left = answered(found.settings, predictions, right)
    assert 50 <= len(left) < 60
    assert found.settings["score"] == "scope"


def test_what_an_earlier_step_has_withheld_does_not_count() -> None:
    predictions, right = judged(*[(0.9, True)] * 60, *[(0.95, False)] * 40)
    predictions[60:] = [replace(p, abstained=True, label=None) for p in predictions[60:]]
    assert fitted({"max_error": 0.1}, predictions, right).settings["threshold"] == 0


def test_a_max_error_that_cannot_be_met_is_said_and_the_best_is_kept() -> None:
    pairs = [(0.99 - i / 250, i % 2 > 0 or i < 20) for i in range(100)]
    predictions, right = judged(*pairs)
    found = fitted({"max_error": 0.01}, predictions, right)
    (note,) = found.notes
    assert note == (
        "the step 'abstain' cannot be fitted to max_error 0.01 with 0.9 certainty: even without a "
        "mistake it takes 230 validation texts that are answered; it is set to what looks best and "
        "promises nothing: 0 of 17 answers to the 100 validation texts are wrong"
    )
    assert len(answered(found.settings, predictions, right)) == 17


def test_mistakes_among_the_surest_are_said_where_they_end_the_search() -> None:
    surest = [(0.99, i >= 4) for i in range(12)]
    found = fitted({"max_error": 0.3}, *judged(*surest, *[(0.7, True)] * 18))
    (note,) = found.notes
    assert note == (
        "the step 'abstain' cannot be fitted to max_error 0.3 with 0.9 certainty: the surest 12 "
        "answers already hold 4 mistakes, too many to show it; it is set to what looks best and "
        "promises nothing: 4 of 30 answers to the 30 validation texts are wrong"
    )


def test_as_many_texts_as_the_note_asks_for_are_enough_and_one_less_is_not() -> None:
    (note,) = fitted({"max_error": 0.01}, *judged(*[(0.9, True)] * 230)).notes
    assert "at most 1 % of all answers are wrong" in note
    (note,) = fitted({"max_error": 0.01}, *judged(*[(0.9, True)] * 229)).notes
    assert "230 validation texts" in note


def test_no_number_of_texts_shows_that_nothing_is_wrong() -> None:
    (note,) = fitted({"max_error": 0}, *judged(*[(0.9, True)] * 60)).notes
    assert "more texts than there can be" in note


@pytest.mark.parametrize("texts", [0, 29])
def test_too_few_validation_texts_fit_no_threshold_and_that_is_said(texts: int) -> None:
    found = fitted({"max_error": 0.05}, *judged(*[(0.9, True)] * texts))
    (note,) = found.notes
    assert f"{texts} validation texts are too few" in note
    assert "(45 are needed, even without a mistake)" in note
    assert "withholds nothing" in note
    assert found.settings["threshold"] == 0


def test_a_threshold_that_is_given_is_not_fitted() -> None:
    settings = {"threshold": 0.7, "score": "scope"}
    assert fitted(settings, *judged(*[(0.9, False)] * 60)) == Fitted(settings)


def test_max_error_that_no_training_has_fitted_answers_nothing() -> None:
    step = STEPS["abstain"].build({"max_error": 0.05}, SINGLE)
    with pytest.raises(PluginError, match="only training fits one to max_error"):
        step(answer(SINGLE, 0.9, 0.1))


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"threshold": 0.5, "score": "energy"}, "'energy'"),
        ({"threshold": 0.5, "score": None}, "'None'"),
        ({"max_error": 5}, "'max_error'"),
        ({"max_error": "5 %"}, "'max_error'"),
        ({"max_error": 0.05, "threshold": 5}, "'threshold'"),
        ({"score": "scope"}, "'threshold'"),
        ({"max_error": 0.05, "certainty": 1}, "'certainty'"),
        ({"max_error": 0.05, "certainty": "90 %"}, "'certainty'"),
        ({"threshold": 0.5, "certainty": 0.9}, "'max_error'"),
    ],
)
def test_abstain_refuses_settings_that_cannot_be(settings: Mapping[str, Any], part: str) -> None:
    with pytest.raises(PlatformError, match=part):
        STEPS["abstain"].build(settings, SINGLE)


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
