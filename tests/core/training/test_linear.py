"""Logistic regression on fixed features, and the baseline without any model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from adapter_platform.core.examples import Example
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.training.linear import (
    ENOUGH,
    STRENGTHS,
    WITHOUT_VALIDATION,
    fit_head,
    log_loss,
    targets,
    tfidf_logits,
)

Part = tuple[Any, Any]


def clouds(classes: int, each: int, seed: int, spread: float = 1.0) -> Part:
    """Points about one centre a class, on axes of very different scales: features and classes."""
    centres = np.random.default_rng(0).normal(size=(classes, 6))
    random = np.random.default_rng(seed)
    wanted = np.repeat(np.arange(classes), each)
    points = centres[wanted] + spread * random.normal(size=(len(wanted), 6))
    return points * np.array([1, 100, 0.01, 1, 1, 1]) + 5, wanted


def empty(part: Part) -> Part:
    return part[0][:0], part[1][:0]


def softmax(logits: Any) -> Any:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def regression(train: Part, c: float, balanced: bool = False) -> tuple[StandardScaler, Any]:
    scaler = StandardScaler().fit(train[0])
    weight = "balanced" if balanced else None
    model = LogisticRegression(C=c, max_iter=500, class_weight=weight, random_state=0)
    return scaler, model.fit(scaler.transform(train[0]), train[1])


@pytest.mark.parametrize("balanced", [False, True])
def test_a_head_on_raw_features_is_sklearns_regression_on_standardised_ones(balanced: bool) -> None:
    scheme = LabelScheme.of("single", "abc")
    train, val = clouds(3, 20, seed=1), clouds(3, 10, seed=2)
    fit = fit_head(scheme, train, val, balanced=balanced)
    scaler, model = regression(train, fit.c, balanced)
    expected = model.decision_function(scaler.transform(val[0]))
    np.testing.assert_allclose(fit.logits(val[0]), expected, atol=1e-3)
    assert fit.weight.shape == (3, 6)
    assert fit.weight.dtype == np.float32


@pytest.mark.parametrize(("each", "calibrated"), [(10, True), (9, False)])
def test_the_strength_has_the_least_log_loss_on_validation_once_calibrated_if_that_follows(
    each: int, calibrated: bool
) -> None:
    scheme = LabelScheme.of("single", "abc")
    train, val = clouds(3, 20, seed=1), clouds(3, each, seed=2)
    assert (len(val[1]) >= ENOUGH) is calibrated
    plain, after = {}, {}
    for c in STRENGTHS:
        scaler, model = regression(train, c)
        logits = model.decision_function(scaler.transform(val[0]))
        plain[c] = log_loss(scheme, logits, val[1])
        after[c] = min(log_loss(scheme, logits / t, val[1]) for t in np.geomspace(0.14, 7, 99))
    best, other = (min(losses, key=losses.__getitem__) for losses in (plain, after))
    assert best != other, "data on which the two rules are one would tell nothing"
    found = fit_head(scheme, train, val, balanced=False).c
    assert found == (other if calibrated else best)


def test_without_validation_a_fixed_strength_is_taken() -> None:
    train = clouds(3, 8, seed=1)
    fit = fit_head(LabelScheme.of("single", "abc"), train, empty(train), balanced=False)
    assert fit.c == WITHOUT_VALIDATION


def test_a_multi_label_head_answers_without_validation_too() -> None:
    """Two texts a label, of as many features as the default base has."""
    scheme, random = LabelScheme.of("multi", "abc"), np.random.default_rng(0)
    centres = random.normal(size=(3, 384))

    def texts(each: int) -> Part:
        wanted = np.repeat(np.eye(3, dtype=int), each, axis=0)
        return wanted @ centres + random.normal(size=(3 * each, 384)), wanted

    train, (features, wanted) = texts(2), texts(50)
    fit = fit_head(scheme, train, empty(train), balanced=False)
    given = scheme.probabilities(fit.logits(features)) >= 0.5
    assert (given == wanted).all(axis=1).mean() > 0.9


def test_two_classes_have_a_logit_each_and_sklearns_probabilities() -> None:
    scheme = LabelScheme.of("single", "ab")
    train, val = clouds(2, 20, seed=1), clouds(2, 10, seed=2)
    fit = fit_head(scheme, train, val, balanced=False)
    scaler, model = regression(train, fit.c)
    assert fit.weight.shape == (2, 6)
    expected = model.predict_proba(scaler.transform(val[0]))
    np.testing.assert_allclose(softmax(fit.logits(val[0])), expected, atol=1e-3)


def test_a_multi_label_head_is_one_regression_a_label() -> None:
    scheme = LabelScheme.of("multi", "ab")
    (features, classes), val = clouds(4, 15, seed=1), clouds(4, 10, seed=2)

    def both(wanted: Any) -> Any:
        return np.stack([wanted % 2, wanted // 2], axis=1)

    fit = fit_head(scheme, (features, both(classes)), (val[0], both(val[1])), balanced=False)
    for k in range(2):
        scaler, model = regression((features, both(classes)[:, k]), fit.c)
        expected = model.decision_function(scaler.transform(val[0]))
        np.testing.assert_allclose(fit.logits(val[0])[:, k], expected, atol=1e-3)


def test_a_label_that_every_text_has_is_always_answered() -> None:
    scheme = LabelScheme.of("multi", ["always", "sometimes"])
    features, classes = clouds(2, 10, seed=1)
    wanted = np.stack([np.ones_like(classes), classes], axis=1)
    fit = fit_head(scheme, (features, wanted), (features, wanted), balanced=False)
    p = scheme.probabilities(fit.logits(features))
    assert (p[:, 0] > 0.9).all()
    assert ((p[:, 1] > 0.5) == classes).mean() > 0.9


def test_balanced_weights_let_a_rare_class_be_answered() -> None:
    scheme = LabelScheme.of("single", "ab")
    random = np.random.default_rng(0)
    features = np.concatenate([random.normal(size=(200, 2)), random.normal(1.0, size=(8, 2))])
    wanted = np.array([0] * 200 + [1] * 8)
    none = (features[:0], wanted[:0])
    plain = fit_head(scheme, (features, wanted), none, balanced=False)
    fair = fit_head(scheme, (features, wanted), none, balanced=True)
    rare = features[-8:]
    assert (plain.logits(rare).argmax(1) == 1).sum() < (fair.logits(rare).argmax(1) == 1).sum()


def test_log_loss_is_the_mean_negative_log_likelihood_a_text() -> None:
    single = LabelScheme.of("single", "abc")
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]))
    expected = -(np.log(0.7) + np.log(0.25)) / 2
    assert log_loss(single, logits, np.array([0, 1])) == pytest.approx(expected)
    multi = LabelScheme.of("multi", "ab")
    odds = np.log(np.array([[0.8, 0.4]]) / np.array([[0.2, 0.6]]))
    expected = -(np.log(0.8) + np.log(0.6))
    assert log_loss(multi, odds, np.array([[1, 0]])) == pytest.approx(expected)


def test_log_loss_of_a_sure_mistake_is_large_and_finite() -> None:
    scheme = LabelScheme.of("single", "ab")
    loss = log_loss(scheme, np.array([[1e6, -1e6]]), np.array([1]))
    assert np.isfinite(loss)
    assert loss > 20


def test_targets_are_in_the_order_of_the_logits() -> None:
    scheme = LabelScheme.of("hierarchical", ["b/y", "a", "b/x"])
    examples = [Example("", (name,)) for name in ("b/x", "b/y", "a")]
    assert targets(examples, scheme).tolist() == [2, 0, 1]
    multi = LabelScheme.of("multi", ["b", "a", "c"])
    rows = [Example("", names) for names in (("b", "c"), (), ("a",))]
    assert targets(rows, multi).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("train", "texts"),
    [
        (["where is my parcel", "parcel is late", "money back now", "give my money back"],
         ["parcel lost", "some money"]),
        (["数据清洗怎么做", "清洗数据的流程", "今天天气很好", "天气怎么样"],
         ["清洗步骤", "天气预报"]),
    ],
    ids=["english", "chinese"],
)  # fmt: skip
def test_tfidf_tells_topics_apart_by_their_words(
    train: Sequence[str], texts: Sequence[str]
) -> None:
    scheme = LabelScheme.of("single", "ab")
    wanted = np.array([0, 0, 1, 1])
    (logits,) = tfidf_logits(scheme, (train, wanted), ([], wanted[:0]), [texts], balanced=False)
    assert logits.argmax(axis=1).tolist() == [0, 1]


def test_tfidf_gives_no_rows_for_no_texts() -> None:
    scheme = LabelScheme.of("single", "abc")
    train = (["aa aa", "bb bb", "cc cc"], np.array([0, 1, 2]))
    some, none = tfidf_logits(scheme, train, ([], np.array([])), [["aa"], []], balanced=False)
    assert (some.shape, none.shape) == ((1, 3), (0, 3))


def test_tfidf_takes_texts_of_nothing_but_signs() -> None:
    scheme = LabelScheme.of("single", "ab")
    train = ([":) :)", "🙂", ":(", "🙁 :("], np.array([0, 0, 1, 1]))
    (logits,) = tfidf_logits(scheme, train, ([], train[1][:0]), [["🙂 :)"]], balanced=False)
    assert logits.argmax() == 0
