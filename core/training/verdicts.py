"""Each text's wanted and given labels side by side, and the figures of any weighing of the texts.

One arithmetic serves the whole, a slice (weights of 0 and 1) and a resample (how often each text
was drawn).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array

from ..labels import SEPARATOR
from .linear import targets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..examples import Example
    from ..labels import Decision, LabelScheme

    Floats = NDArray[np.float64]
    Figures = dict[str, Floats]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What was said of texts and what should have been.

    Attributes:
        probabilities: ``(texts, classes)``.
        wanted, given: 0/1 ``(texts, classes)``.
        confidence: ``(texts,)``; each answer's, as predictions carry it.
        right: ``(texts,)``; the answer as a whole, in multi-label the very set of labels.
        right_above: ``(texts,)``; the answer's top level; None unless hierarchical.
    """

    scheme: LabelScheme
    probabilities: Floats
    wanted: NDArray[np.int64]
    given: NDArray[np.int64]
    confidence: Floats
    right: NDArray[np.bool_]
    right_above: NDArray[np.bool_] | None = None

    @classmethod
    def of(
        cls,
        probabilities: Any,
        examples: Sequence[Example],
        scheme: LabelScheme,
        thresholds: Mapping[str, float] | None = None,
    ) -> Verdicts:
        """Class probabilities ``(texts, classes)`` read as answers, beside the examples' labels."""
        decisions = [scheme.decide(row, thresholds) for row in probabilities]
        wanted, given = _wanted(examples, scheme), _given(decisions, scheme)
        right_above = None
        if scheme.kind == "hierarchical":
            said = [top(decision.label or "") for decision in decisions]
            right_above = np.array([top(e.labels[0]) for e in examples]) == np.array(said)
        return cls(
            scheme,
            np.asarray(probabilities, dtype=np.float64),
            wanted,
            given,
            np.array([decision.confidence for decision in decisions]),
            (wanted == given).all(axis=1),
            right_above,
        )

    def __len__(self) -> int:
        return len(self.right)

    def given_names(self, row: int) -> list[str]:
        """The labels that a text was given, in scheme order."""
        return [name for k, name in enumerate(self.scheme.classes) if self.given[row, k]]


@dataclass(frozen=True, slots=True)
class Tally:
    """How often each class was rightly given, wanted, and given, ``(..., classes)``."""

    hits: Floats
    wanted: Floats
    given: Floats

    @classmethod
    def of(cls, wanted: NDArray[np.int64], given: NDArray[np.int64], weights: Floats) -> Tally:
        """From 0/1 ``(texts, classes)`` and weights ``(..., texts)``."""
        parts = (wanted & given, wanted, given)
        return cls(*(weights @ csr_array(part.astype(float)) for part in parts))

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether any text has a class or was given it; else it says nothing."""
        return self.wanted + self.given > 0

    @property
    def f1(self) -> Floats:
        """Of each class; 0 where it is not present."""
        return 2 * self.hits / np.maximum(1, self.wanted + self.given)

    @property
    def macro_f1(self) -> Floats:
        """``(...)``: the mean over the classes that are present; 1 where none is: all is right."""
        classes = self.present.sum(axis=-1)
        mean: Floats = np.where(classes, self.f1.sum(axis=-1) / np.maximum(1, classes), 1.0)
        return mean


def top(label: str) -> str:
    """A path's first part."""
    return label.split(SEPARATOR)[0]


def metrics(verdicts: Verdicts, weights: Floats) -> Figures:
    """Accuracy and F1 by name, each ``(rows,)``, for rows of weights ``(rows, texts)``."""
    tally = Tally.of(verdicts.wanted, verdicts.given, weights)
    wanted, given = tally.wanted, tally.given
    nothing = ~tally.present.any(axis=1)
    found = {"accuracy": _mean(weights, verdicts.right)}
    if verdicts.scheme.kind == "multi":
        micro = 2 * tally.hits.sum(axis=1) / np.maximum(1, (wanted + given).sum(axis=1))
        found["micro_f1"] = np.where(nothing, 1.0, micro)
    found["macro_f1"] = tally.macro_f1
    weighted = (tally.f1 * wanted).sum(axis=1) / np.maximum(1, wanted.sum(axis=1))
    found["weighted_f1"] = np.where(nothing, 1.0, weighted)
    if verdicts.right_above is not None:
        found["coarse_accuracy"] = _mean(weights, verdicts.right_above)
    return found


def all_once(verdicts: Verdicts) -> Floats:
    """Weights ``(1, texts)`` of the texts as they are."""
    return np.ones((1, len(verdicts)))


def _mean(weights: Floats, values: NDArray[Any]) -> Floats:
    mean: Floats = weights @ values.astype(float) / weights.sum(axis=1)
    return mean


def _wanted(examples: Sequence[Example], scheme: LabelScheme) -> NDArray[np.int64]:
    wanted = targets(examples, scheme)
    if scheme.kind == "multi":
        return wanted
    return np.eye(len(scheme.classes), dtype=np.int64)[wanted]


def _given(decisions: Sequence[Decision], scheme: LabelScheme) -> NDArray[np.int64]:
    given = np.zeros((len(decisions), len(scheme.classes)), dtype=np.int64)
    for i, decision in enumerate(decisions):
        names = [n for n, _ in decision.labels] if scheme.kind == "multi" else [decision.label]
        given[i, scheme.indices([n for n in names if n is not None])] = 1
    return given
