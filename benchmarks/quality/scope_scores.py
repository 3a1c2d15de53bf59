"""Ways to tell texts in scope from others by an adapter's pooled states, to choose among."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from adapter_platform.core.training.scope import fit_scope

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adapter_platform.core.heads import Head
    from adapter_platform.core.labels import LabelScheme
    from adapter_platform.core.scope import Scope

    Floats = NDArray[np.floating[Any]]
    Score = Callable[[Floats], Floats]

NEIGHBOURS = 5


@dataclass(frozen=True, slots=True)
class Known:
    """What a score may learn from.

    Attributes:
        train, val: pooled states ``(texts, hidden)``.
        wanted: of the training texts, as `linear.targets` gives it.
        temperature: of the adapter's calibration.
    """

    scheme: LabelScheme
    train: Floats
    wanted: NDArray[np.int64]
    val: Floats
    head: Head
    temperature: float

    @property
    def scope(self) -> Scope:
        return self.scope_of(lambda states: states)

    def scope_of(self, view: Callable[[Floats], Floats]) -> Scope:
        """What training would fit, were states as the view shows them."""
        train, val = (view(states).astype(np.float32) for states in (self.train, self.val))
        energies = self.energies(self.val)
        found = fit_scope(self.scheme, (train, self.wanted), (val, energies))
        if found is None:
            raise ValueError("there are too few validation texts")
        return found

    def energies(self, pooled: Floats) -> NDArray[np.float64]:
        return self.scheme.energies(self.logits(pooled))

    def logits(self, pooled: Floats) -> Floats:
        return self.head.logits(pooled.astype(np.float32)) / self.temperature


def _confidence(known: Known) -> Score:
    return lambda x: known.scheme.probabilities(known.logits(x)).max(axis=1)


def _energy(known: Known) -> Score:
    """Liu et al. 2020, "Energy-based out-of-distribution detection", section 3."""
    return lambda x: -known.energies(x)


def _largest_logit(known: Known) -> Score:
    return lambda x: known.logits(x).max(axis=1)


def _mahalanobis(known: Known) -> Score:
    scope = known.scope
    return lambda x: -scope.distances(x)


def _mahalanobis_of_units(known: Known) -> Score:
    scope = known.scope_of(_units)
    return lambda x: -scope.distances(_units(x))


def _neighbours(known: Known) -> Score:
    """Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbors"."""
    mean = known.train.mean(axis=0)
    train = _units(known.train - mean)
    return lambda x: np.sort(_units(x - mean) @ train.T, axis=1)[:, -NEIGHBOURS:].mean(axis=1)


def _centroids(known: Known) -> Score:
    mean = known.train.mean(axis=0)
    train = known.train - mean
    members = np.eye(len(known.scheme.classes))[known.wanted]
    centroids = _units(members.T @ train / members.sum(axis=0)[:, None])
    return lambda x: (_units(x - mean) @ centroids.T).max(axis=1)


def _sum(*parts: Callable[[Known], Score]) -> Callable[[Known], Score]:
    """Each in units of its own spread on validation."""

    def fitted(known: Known) -> Score:
        scores = [part(known) for part in parts]
        spread = [(score(known.val).mean(), score(known.val).std()) for score in scores]
        return lambda x: np.sum(
            [(score(x) - m) / s for score, (m, s) in zip(scores, spread, strict=True)], axis=0
        )

    return fitted


def _units(x: Floats) -> Floats:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


SCORES: Mapping[str, Callable[[Known], Score]] = {
    "maximum probability": _confidence,
    "energy": _energy,
    "largest logit": _largest_logit,
    "Mahalanobis": _mahalanobis,
    "Mahalanobis of unit states": _mahalanobis_of_units,
    "5 nearest neighbours": _neighbours,
    "class centroids": _centroids,
    "Mahalanobis + energy": _sum(_mahalanobis, _energy),
    "neighbours + energy": _sum(_neighbours, _energy),
    "Mahalanobis + neighbours": _sum(_mahalanobis, _neighbours),
    "Mahalanobis + neighbours + energy": _sum(_mahalanobis, _neighbours, _energy),
}
