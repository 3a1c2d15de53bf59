"""Fits the scope of an adapter: where its training texts lie, and how strange its validation texts
are beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.covariance import LedoitWolf

from ..scope import Scope
from .linear import ENOUGH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..labels import LabelScheme

    FloatArray = NDArray[np.float32]


def fit_scope(
    scheme: LabelScheme,
    train: tuple[FloatArray, NDArray[np.int64]],
    val: tuple[FloatArray, NDArray[np.float64]],
) -> Scope | None:
    """The scope by the adapted states ``(texts, hidden)`` of training and validation texts.

    The covariance is that within classes, shared by all and shrunk (Ledoit and Wolf 2004), as
    states may be wider than there are texts. A multi-label text is taken to lie midway between its
    labels' means, and those without a label make a class of their own. Distance and energy count
    in units of their spreads over validation texts.

    Args:
        train: with what `linear.targets` gives for them.
        val: with `LabelScheme.energies` of their calibrated logits.

    Returns:
        None where there are too few validation texts to say how strange is strange.
    """
    pooled, energies = val
    if len(pooled) < ENOUGH:
        return None
    states, membership = train[0].astype(np.float64), _membership(scheme, train[1])
    centroids = (membership.T @ states) / membership.sum(axis=0)[:, None]
    residuals = states - membership @ centroids
    covariance = LedoitWolf(assume_centered=True).fit(residuals).covariance_
    variances, directions = np.linalg.eigh(covariance)
    least = np.finfo(np.float32).eps * max(variances[-1], np.finfo(np.float32).tiny)
    whitening = (directions / np.sqrt(np.maximum(variances, least))).astype(np.float32)
    whitened = (centroids @ whitening).astype(np.float32)
    scope = Scope(whitening, whitened, np.ones(2, np.float32), np.zeros(1, np.float32))
    spreads = [_spread(part) for part in (scope.distances(pooled), energies)]
    scope = replace(scope, weights=np.array([1 / spread for spread in spreads], np.float32))
    known = np.sort(scope.strangeness(pooled, energies)).astype(np.float32)
    return replace(scope, known=known)


def _spread(values: NDArray[np.floating[Any]]) -> float:
    """The standard deviation; where all values are one, something small beside it."""
    least = 1e-3 * float(np.abs(values).mean())
    return max(float(values.std()), least, float(np.finfo(np.float32).eps))


def _membership(scheme: LabelScheme, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    """``(texts, classes)``, each row's sum 1."""
    if scheme.kind != "multi":
        return np.eye(len(scheme.classes))[wanted]
    none = wanted.sum(axis=1) == 0
    rows = np.column_stack([wanted, none]) if none.any() else wanted
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))
