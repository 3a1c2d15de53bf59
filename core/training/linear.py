"""Logistic regression on fixed features: the probe on the frozen base, the head's last fit, and the
bag-of-characters baseline that each report shows beside them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_union
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..examples import Example
    from ..labels import LabelScheme

    Floats = NDArray[np.floating[Any]]

# On standardised features; validation takes the one with the least log loss.
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
TFIDF_STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
WORD = r"(?u)\b\w+\b"
WITHOUT_VALIDATION = 1.0  # the strength, of either kind, where there is no validation split
ENOUGH = 30  # validation texts below which a fitted figure would be noise


@dataclass(frozen=True, slots=True)
class LinearFit:
    """``logits = weight x + bias`` with weight ``(classes, features)``.

    Attributes:
        c: inverse regularisation strength that validation chose.
    """

    weight: Floats
    bias: Floats
    c: float

    def logits(self, features: Any) -> Floats:
        """``(texts, classes)``."""
        return cast("Floats", np.asarray(features @ self.weight.T + self.bias))


def targets(examples: Sequence[Example], scheme: LabelScheme) -> NDArray[np.int64]:
    """Class indices ``(texts,)``, or for `multi` a 0/1 matrix ``(texts, classes)``."""
    if scheme.kind != "multi":
        return np.array(scheme.indices([e.labels[0] for e in examples]), dtype=np.int64)
    matrix = np.zeros((len(examples), len(scheme.classes)), dtype=np.int64)
    for i, example in enumerate(examples):
        matrix[i, scheme.indices(example.labels)] = 1
    return matrix


def log_losses(
    scheme: LabelScheme, logits: Floats, wanted: NDArray[np.int64]
) -> NDArray[np.float64]:
    """``(texts,)``: negative log-likelihoods of the wanted labels, in nats."""
    p = np.clip(scheme.probabilities(logits), 1e-12, 1 - 1e-12)
    if scheme.kind == "multi":
        return np.asarray(-(wanted * np.log(p) + (1 - wanted) * np.log(1 - p)).sum(axis=1))
    return np.asarray(-np.log(p[np.arange(len(wanted)), wanted]))


def log_loss(scheme: LabelScheme, logits: Floats, wanted: NDArray[np.int64]) -> float:
    """The mean of `log_losses`."""
    return float(log_losses(scheme, logits, wanted).mean())


def fit_temperature(scheme: LabelScheme, logits: Floats, wanted: NDArray[np.int64]) -> float:
    """The temperature with the least log loss (Guo et al. 2017, section 4.2)."""
    found = minimize_scalar(
        lambda t: log_loss(scheme, logits / np.exp(t), wanted), bounds=(-2.0, 2.0), method="bounded"
    )
    return float(np.exp(found.x))


def fit_head(
    scheme: LabelScheme,
    train: tuple[Floats, NDArray[np.int64]],
    val: tuple[Floats, NDArray[np.int64]],
    *,
    balanced: bool,
    strengths: Sequence[float] = STRENGTHS,
) -> LinearFit:
    """Logistic regression on pooled features ``(texts, hidden)``, the strength by validation.

    Features are standardised for the fit and the scaling is folded into the result, so that it
    applies to features as they are.

    Args:
        strengths: those that validation chooses from.
    """
    scaler = StandardScaler().fit(train[0])
    scaled_val = scaler.transform(val[0]) if len(val[0]) else val[0]
    best = _best_fit(
        scheme, (scaler.transform(train[0]), train[1]), (scaled_val, val[1]), strengths, balanced
    )
    weight = best.weight / scaler.scale_
    bias = best.bias - weight @ scaler.mean_
    return LinearFit(weight.astype(np.float32), bias.astype(np.float32), best.c)


def fit_tfidf(
    scheme: LabelScheme,
    train: tuple[Any, NDArray[np.int64]],
    val: tuple[Any, NDArray[np.int64]],
    *,
    balanced: bool,
) -> LinearFit:
    """Logistic regression on TF-IDF vectors ``(texts, terms)``, the strength by validation."""
    return _best_fit(scheme, train, val, TFIDF_STRENGTHS, balanced)


def tfidf_logits(
    scheme: LabelScheme,
    train: tuple[Sequence[str], NDArray[np.int64]],
    val: tuple[Sequence[str], NDArray[np.int64]],
    others: Sequence[Sequence[str]],
    *,
    balanced: bool,
) -> list[Floats]:
    """The baseline without any model: TF-IDF of words and character n-grams, logistic regression.

    Returns:
        logits ``(texts, classes)`` for each sequence of texts in `others`.
    """
    parts = [TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True)]
    if any(re.search(WORD, text) for text in train[0]):  # else all texts are signs, ":)"
        parts.append(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=WORD))
    union = make_union(*parts)
    train_x = union.fit_transform(train[0])
    val_x = union.transform(val[0]) if val[0] else np.zeros((0, train_x.shape[1]))
    best = fit_tfidf(scheme, (train_x, train[1]), (val_x, val[1]), balanced=balanced)
    return [best.logits(union.transform(texts)) if texts else _none(scheme) for texts in others]


def _none(scheme: LabelScheme) -> Floats:
    return np.zeros((0, len(scheme.classes)))


def _best_fit(
    scheme: LabelScheme,
    train: tuple[Any, NDArray[np.int64]],
    val: tuple[Any, NDArray[np.int64]],
    strengths: Sequence[float],
    balanced: bool,
) -> LinearFit:
    if not len(val[1]):
        return _fit(scheme, *train, WITHOUT_VALIDATION, balanced)
    fits = [_fit(scheme, *train, c, balanced) for c in strengths]

    def loss(fit: LinearFit) -> float:
        logits = fit.logits(val[0])
        if len(val[1]) >= ENOUGH:
            # Confidence is set right afterwards, so a fit that is only too sure of itself may win.
            logits = logits / fit_temperature(scheme, logits, val[1])
        return log_loss(scheme, logits, val[1])

    return min(fits, key=loss)


def _fit(
    scheme: LabelScheme, features: Any, wanted: NDArray[np.int64], c: float, balanced: bool
) -> LinearFit:
    if scheme.kind == "multi":
        rows = [_regress(features, wanted[:, k], c, balanced) for k in range(wanted.shape[1])]
        return LinearFit(
            np.concatenate([w for w, _ in rows]), np.concatenate([b for _, b in rows]), c
        )
    weight, bias = _regress(features, wanted, c, balanced)
    if len(weight) == 1:
        # Two classes share one row; half of it on either side gives the same softmax.
        weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return LinearFit(weight, bias, c)


def _regress(
    features: Any, wanted: NDArray[np.int64], c: float, balanced: bool
) -> tuple[Floats, Floats]:
    if wanted.min() == wanted.max():  # a label that every text has, or none
        odds = np.log(len(wanted) + 1.0)
        return np.zeros((1, features.shape[1])), np.array([odds if wanted[0] else -odds])
    model = LogisticRegression(
        C=c, max_iter=500, class_weight="balanced" if balanced else None, random_state=0
    )
    with warnings.catch_warnings():
        # A fit cut off at 500 rounds is near enough for choosing and as good as validation says.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, wanted)
    return model.coef_, model.intercept_
