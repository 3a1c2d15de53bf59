"""Whether probabilities are worth the name: how often answers of each confidence are right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

import numpy as np

from .proportions import wilson

if TYPE_CHECKING:
    from .verdicts import Floats, Verdicts

BINS = 15


class Bin(TypedDict):
    """Answers of about one confidence.

    Attributes:
        above, to: the confidences that belong here: over the one, and up to the other.
        confidence, accuracy: means; the share that was right should be the share that was claimed.
        interval: of the accuracy, 95 % (Wilson's).
    """

    above: float
    to: float
    n: int
    confidence: float
    accuracy: float
    interval: list[float]


class Reliability(TypedDict):
    """How far confidence may be believed.

    Attributes:
        over: what is counted: answers, or for multi-label each label of each text with its own
            probability.
        ece: expected calibration error.
        brier: mean squared error of the probabilities.
        bins: those that hold any, by confidence.
    """

    over: Literal["answers", "labels"]
    ece: float
    brier: float
    bins: list[Bin]


def reliability(verdicts: Verdicts) -> Reliability:
    """Reliability bins and what sums them up.

    The expected calibration error is the mean distance of claimed from true accuracy over 15 bins
    of equal width, weighted by what they hold (Guo et al. 2017, section 2, equation 3).
    """
    multi = verdicts.scheme.kind == "multi"
    confidence = verdicts.probabilities.ravel() if multi else verdicts.confidence
    right = (verdicts.wanted.ravel() if multi else verdicts.right).astype(float)
    edges = np.linspace(0, 1, BINS + 1)
    place = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, BINS - 1)
    bins: list[Bin] = []
    distance = 0.0
    for k in range(BINS):
        inside = place == k
        n = int(inside.sum())
        if not n:
            continue
        claimed, hits = float(confidence[inside].sum()), int(right[inside].sum())
        distance += abs(claimed - hits)
        bins.append(
            {
                "above": round(float(edges[k]), 4),
                "to": round(float(edges[k + 1]), 4),
                "n": n,
                "confidence": claimed / n,
                "accuracy": hits / n,
                "interval": wilson(hits, n),
            }
        )
    return {
        "over": "labels" if multi else "answers",
        "ece": distance / len(confidence),
        "brier": float(squared_errors(verdicts).mean()),
        "bins": bins,
    }


def squared_errors(verdicts: Verdicts) -> Floats:
    """Each text's Brier score ``(texts,)`` (Brier 1950): summed over classes, of which one is true;
    for multi-label the mean over labels.
    """
    errors = (verdicts.probabilities - verdicts.wanted) ** 2
    multi = verdicts.scheme.kind == "multi"
    scores: Floats = errors.mean(axis=1) if multi else errors.sum(axis=1)
    return scores
