"""What is gained by answering only where confidence is high: accuracy by the share answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np

if TYPE_CHECKING:
    from .verdicts import Floats, Verdicts

LIMIT = 0.05  # of the answered texts, the share that may be wrong
POINTS = 50  # on the curve


class Point(TypedDict):
    """Answering only from a confidence on.

    Attributes:
        coverage: the share of texts that are answered.
        accuracy: the share of those that are right.
    """

    confidence: float
    coverage: float
    accuracy: float


class Coverage(TypedDict):
    """Accuracy against the share of texts answered.

    Attributes:
        aurc: area under the risk-coverage curve: the error among the most confident texts, averaged
            over how many are answered (Geifman, Uziel & El-Yaniv 2019, section 2); less is better.
        at_limit: the most texts that can be answered with at most 5 % wrong among them, chosen with
            these very texts in view; None where no share will do.
        curve: from the most confident texts to all of them, at most `POINTS` points.
    """

    aurc: float
    at_limit: Point | None
    curve: list[Point]


@dataclass(frozen=True, slots=True)
class Curve:
    """Coverage and error at every confidence that an answer may be held to, the highest first.

    Texts of one confidence are answered together, for no threshold parts them.

    Attributes:
        confidence: ``(thresholds,)``.
        coverage, error: ``(rows, thresholds)``; an error where nothing is answered is 0.
    """

    confidence: Floats
    coverage: Floats
    error: Floats

    @classmethod
    def of(cls, verdicts: Verdicts, weights: Floats) -> Curve:
        """For rows of weights ``(rows, texts)``."""
        order = np.argsort(-verdicts.confidence, kind="stable")
        confidence = verdicts.confidence[order]
        last = np.append(np.diff(confidence) != 0, True)
        weighed = weights[:, order]
        answered = np.cumsum(weighed, axis=1)[:, last]
        wrong = np.cumsum(weighed * ~verdicts.right[order], axis=1)[:, last]
        coverage = answered / answered[:, -1:]
        return cls(confidence[last], coverage, wrong / np.maximum(1, answered))

    def aurc(self) -> Floats:
        """``(rows,)``."""
        area: Floats = (np.diff(self.coverage, axis=1, prepend=0) * self.error).sum(axis=1)
        return area

    def at_limit(self) -> Floats:
        """The largest coverage with at most `LIMIT` wrong among the answered ``(rows,)``."""
        largest: Floats = np.where(self.error <= LIMIT, self.coverage, 0.0).max(axis=1)
        return largest

    def point(self, at: int) -> Point:
        """One threshold of the first row."""
        return {
            "confidence": float(self.confidence[at]),
            "coverage": float(self.coverage[0, at]),
            "accuracy": float(1 - self.error[0, at]),
        }


def summarise(curve: Curve) -> Coverage:
    """A curve of one row as plain data."""
    within = np.flatnonzero(curve.error[0] <= LIMIT)
    wanted = np.linspace(1 / POINTS, 1, POINTS) - 1e-9
    shown = np.unique(np.searchsorted(curve.coverage[0], wanted))
    return {
        "aurc": float(curve.aurc()[0]),
        "at_limit": curve.point(within[-1]) if len(within) else None,
        "curve": [curve.point(at) for at in shown],
    }
