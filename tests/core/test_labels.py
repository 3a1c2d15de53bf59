"""Label schemes: what may be in one, and how logits become an answer."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from adapter_platform.core.errors import SchemeError
from adapter_platform.core.labels import Label, LabelScheme

TREE = LabelScheme.of("hierarchical", ["a/x", "a/y", "b/z", "c"])


# --- schemes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "labels", "part"),
    [
        ("triple", [Label("a")], "cannot be of kind 'triple'"),
        ("single", [], "at least one label"),
        ("single", [Label("a"), Label("a")], "stands twice"),
        ("single", [Label("a"), Label("b", aliases=("a",))], "names both"),
        ("single", [Label("a", aliases=("x",)), Label("b", aliases=("x",))], "names both"),
        ("single", [Label("a", aliases=("x", "x"))], "stands twice"),
        ("single", [Label("a", aliases=("a",))], "names both"),
        ("single", [Label("")], "cannot be named"),
        ("single", [Label(" a")], "cannot be named"),
        ("single", [Label("a", group=True)], "is a group, but"),
        ("multi", [Label("a", group=True)], "is a group, but"),
        ("hierarchical", [Label("a//b")], "an empty part"),
        ("hierarchical", [Label("a/")], "an empty part"),
        ("hierarchical", [Label("a", group=True)], "at least one label"),
    ],
)
def test_a_scheme_that_contradicts_itself_is_refused(
    kind: Any, labels: list[Label], part: str
) -> None:
    with pytest.raises(SchemeError, match=part):
        LabelScheme(kind, tuple(labels))


@pytest.mark.parametrize(
    ("data", "part"),
    [
        ({"kind": "single"}, "must be a list"),
        ({"kind": "single", "labels": []}, "must be a list"),
        ({"kind": "single", "labels": "abc"}, "must be a list"),
        ({"kind": "single", "labels": [5]}, "each label is a name or a table"),
        ({"kind": "single", "labels": [{}]}, "each label is a name or a table"),
        ({"kind": "single", "labels": ["a"], "lables": []}, "and no others"),
        ({"kind": "single", "labels": [{"name": "a", "alias": ["b"]}]}, "no label setting"),
        ({"kind": "single", "labels": [{"name": "a", "aliases": "b"}]}, "'aliases' a list"),
        ({"kind": "single", "labels": [{"name": "a", "aliases": [1]}]}, "each alias"),
        ({"kind": "single", "labels": [{"name": "a", "display": "A"}]}, "a table of texts"),
        ({"kind": "single", "labels": [{"name": "a", "display": {"zh": 1}}]}, "a table of texts"),
        ([], "has the keys"),
    ],
)
def test_data_that_is_no_scheme_is_refused_with_where_it_stands(data: Any, part: str) -> None:
    with pytest.raises(SchemeError, match=part) as caught:
        LabelScheme.from_dict(data, "domain.toml")
    assert "domain.toml" in caught.value.message


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "single", "labels": ["a", "b"]},
        {"kind": "multi", "labels": [{"name": "退款", "display": {"en": "Refund"}}, "b"]},
        {"kind": "hierarchical", "labels": ["a", "a/x", "b"]},
        {"kind": "hierarchical", "labels": [{"name": "a", "group": False}, "a/x", "b"]},
        {
            "kind": "hierarchical",
            "labels": [{"name": "a", "description": "all of it", "aliases": ["A"]}, "a/x"],
        },
    ],
)
def test_a_scheme_comes_back_from_json_as_it_was(data: dict[str, Any]) -> None:
    scheme = LabelScheme.from_dict(data)
    again = LabelScheme.from_dict(json.loads(json.dumps(scheme.to_dict())))
    assert again == scheme
    assert again.classes == scheme.classes


def test_an_inner_node_is_a_class_only_where_it_says_so() -> None:
    labels = ["a", "a/x", "b"]
    assert LabelScheme.from_dict({"kind": "hierarchical", "labels": labels}).classes == ("a/x", "b")
    explicit = [{"name": "a", "group": False}, "a/x", "b"]
    scheme = LabelScheme.from_dict({"kind": "hierarchical", "labels": explicit})
    assert scheme.classes == ("a", "a/x", "b")


def test_aliases_and_stray_spaces_mean_the_label() -> None:
    scheme = LabelScheme(
        "single", (Label("refund", aliases=("money back", "退款")), Label("other"))
    )
    assert scheme.canonical("退款") == "refund"
    assert scheme.canonical(" refund ") == "refund"
    with pytest.raises(SchemeError) as caught:
        scheme.canonical("refnud")
    assert caught.value.hint == "did you mean 'refund'?"


def test_a_group_is_not_a_label_that_data_may_use() -> None:
    scheme = LabelScheme.from_dict({"kind": "hierarchical", "labels": ["a", "a/x"]})
    with pytest.raises(SchemeError, match="is a group") as caught:
        scheme.canonical("a")
    assert "group = false" in (caught.value.hint or "")


def test_names_for_people_fall_back_to_the_label() -> None:
    scheme = LabelScheme("hierarchical", (Label("a/x", display={"zh": "清洗"}),))
    assert scheme.display_name("a/x", "zh") == "清洗"
    assert scheme.display_name("a/x", "fr") == "a/x"
    assert scheme.display_name("a", "zh") == "a"  # a node that the scheme only implies


# --- logits -----------------------------------------------------------------------------------


def test_single_and_hierarchical_probabilities_are_a_softmax_of_tempered_logits() -> None:
    logits = np.array([[1.0, 2.0, 3.0, -1.0], [800.0, -800.0, 0.0, 0.0]], np.float32)
    got = TREE.probabilities(logits, temperature=2.0)
    exp = np.exp(logits[0].astype(float) / 2)
    np.testing.assert_allclose(got[0], exp / exp.sum())
    np.testing.assert_allclose(got[1], [1, 0, 0, 0], atol=1e-100)
    np.testing.assert_allclose(got.sum(axis=1), 1)
    assert got.dtype == np.float64


def test_the_energy_of_logits_is_minus_log_sum_exp_and_in_multi_summed_over_labels() -> None:
    logits = np.array([[2.0, -4.0, 0.0, 6.0, 1.0]], np.float32)[:, : len(TREE.classes)]
    tempered = logits[0].astype(float) / 2
    np.testing.assert_allclose(TREE.energies(logits, 2.0), -np.log(np.exp(tempered).sum()))
    scheme = LabelScheme.of("multi", ["a", "b", "c"])
    three = np.array([[2.0, -4.0, 2000.0]], np.float32)
    wanted = -(np.log1p(np.exp(1)) + np.log1p(np.exp(-2)) + 1000)
    np.testing.assert_allclose(scheme.energies(three, 2.0), [wanted])


def test_multi_probabilities_are_sigmoids_of_tempered_logits_of_any_size() -> None:
    scheme = LabelScheme.of("multi", ["a", "b", "c"])
    got = scheme.probabilities(np.array([[1.0, -1000.0, 1000.0]], np.float32), temperature=2.0)
    np.testing.assert_allclose(got[0], [1 / (1 + math.exp(-0.5)), 0.0, 1.0], atol=1e-100)


# --- decisions --------------------------------------------------------------------------------


def test_a_single_answer_is_the_most_probable_class() -> None:
    decision = LabelScheme.of("single", ["a", "b", "c"]).decide([0.2, 0.5, 0.3])
    assert (decision.label, decision.confidence) == ("b", 0.5)
    assert decision.labels == (("b", 0.5), ("c", 0.3), ("a", 0.2))
    assert decision.path == ()


def test_multi_labels_are_those_over_their_own_thresholds() -> None:
    scheme = LabelScheme.of("multi", ["a", "b", "c"])
    assert scheme.decide([0.6, 0.5, 0.9]).labels == (("c", 0.9), ("a", 0.6), ("b", 0.5))
    decision = scheme.decide([0.6, 0.4, 0.9], {"a": 0.7, "b": 0.3})
    assert decision.labels == (("c", 0.9), ("b", 0.4))
    assert (decision.label, decision.confidence) == ("c", 0.9)


def test_a_multi_text_may_have_no_label_and_is_as_sure_as_its_best_is_unlikely() -> None:
    decision = LabelScheme.of("multi", ["a", "b"]).decide([0.3, 0.1])
    assert (decision.label, decision.labels) == (None, ())
    assert decision.confidence == pytest.approx(0.7)


def read_plainly(scheme: LabelScheme, row: Mapping[str, float]) -> list[tuple[str, float]]:
    """The path of an answer by its definition: a node weighs what all classes below it weigh."""

    def mass(node: str) -> float:
        return math.fsum(p for name, p in row.items() if f"{name}/".startswith(f"{node}/"))

    nodes = dict.fromkeys(
        "/".join(parts[:depth])
        for parts in (name.split("/") for name in scheme.classes)
        for depth in range(1, len(parts) + 1)
    )
    path: list[tuple[str, float]] = []
    while True:
        above = path[-1][0] if path else ""
        below = [node for node in nodes if node.rpartition("/")[0] == above]
        best = max(below, key=mass, default="")
        if not below or row.get(above, -1.0) >= mass(best):
            return path
        path.append((best, mass(best)))


@pytest.mark.parametrize("seed", range(60))
def test_any_hierarchy_is_read_as_the_definition_says(seed: int) -> None:
    draw = random.Random(seed)
    depth, width = draw.randint(1, 4), draw.randint(1, 4)
    # Names that begin alike, and inner nodes that are classes too.
    names = {
        "/".join("a" * draw.randint(1, width) for _ in range(draw.randint(1, depth)))
        for _ in range(draw.randint(1, 30))
    }
    scheme = LabelScheme.of("hierarchical", draw.sample(sorted(names), len(names)))
    for _ in range(20):
        drawn = [draw.random() ** 4 for _ in scheme.classes]
        row = dict(zip(scheme.classes, [p / sum(drawn) for p in drawn], strict=True))
        decision = scheme.decide(list(row.values()))
        expected = read_plainly(scheme, row)
        assert [node for node, _ in decision.path] == [node for node, _ in expected]
        assert [p for _, p in decision.path] == pytest.approx([p for _, p in expected], abs=1e-12)
        assert (decision.label, decision.confidence) == (expected[-1][0], row[expected[-1][0]])


def test_of_nodes_as_probable_as_each_other_the_first_of_the_scheme_is_taken() -> None:
    scheme = LabelScheme.of("hierarchical", ["b/x", "a/x", "b/y", "a/y"])
    assert scheme.decide([0.25] * 4).label == "b/x"


def test_a_hierarchy_is_read_from_the_top_not_by_the_best_leaf() -> None:
    decision = TREE.decide([0.3, 0.25, 0.05, 0.4])
    assert decision.label == "a/x"
    assert decision.path == (("a", pytest.approx(0.55)), ("a/x", 0.3))
    assert decision.confidence == 0.3
    assert decision.labels[0] == ("c", 0.4)


def test_an_inner_class_is_the_answer_where_it_beats_all_below_it() -> None:
    scheme = LabelScheme.of("hierarchical", ["a", "a/x", "a/y", "b"])
    stays = scheme.decide([0.3, 0.2, 0.2, 0.3])
    assert stays.label == "a"
    assert stays.path == (("a", pytest.approx(0.7)),)
    assert stays.confidence == 0.3
    goes_on = scheme.decide([0.1, 0.3, 0.3, 0.3])
    assert goes_on.label == "a/x"


def test_a_deep_hierarchy_is_read_level_by_level() -> None:
    scheme = LabelScheme.of("hierarchical", ["a/b/c", "a/b/d", "a/e", "f"])
    decision = scheme.decide([0.2, 0.15, 0.3, 0.35])
    assert [node for node, _ in decision.path] == ["a", "a/b", "a/b/c"]
    assert [p for _, p in decision.path] == [pytest.approx(x) for x in (0.65, 0.35, 0.2)]


def test_a_row_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        TREE.decide([0.5, 0.5])
