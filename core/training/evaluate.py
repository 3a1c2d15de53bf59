"""How good predictions are: figures a domain expert knows, how sure they are, by class and by
slice, what is taken for what, whether confidence can be believed, and the worst mistakes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np
from sklearn.metrics import confusion_matrix

from ..examples import place
from . import bootstrap
from .coverage import Coverage, Curve, summarise
from .proportions import wilson
from .reliability import Reliability, reliability, squared_errors
from .slices import slices
from .verdicts import Tally, Verdicts, all_once, metrics, top

if TYPE_CHECKING:
    from ..examples import Example
    from ..labels import LabelScheme
    from .verdicts import Figures, Floats

MISTAKES = 20


class Confused(TypedDict):
    """How many texts of one label were given another, or the same. Cells without texts are none."""

    expected: str
    given: str
    n: int


class Evaluation(TypedDict):
    """Plain data; every figure is a fraction of 1, but for ``aurc`` and ``brier``.

    Attributes:
        n: how many texts.
        primary: the metric that decides.
        intervals: 95 % intervals of the metrics, and of ``brier``, ``aurc`` and
            ``coverage_at_limit``: Wilson's of accuracy and coarse accuracy, by the bootstrap of
            all others.
        slices: metrics by column and value, and by text length and script.
        mistakes: the most confident first.
        confusion: cells of the confusion matrix, in scheme order; not for multi-label.
        coarse_confusion: the same for the top level of a hierarchy.
    """

    n: int
    primary: str
    metrics: dict[str, float]
    intervals: dict[str, list[float]]
    per_class: list[dict[str, Any]]
    slices: dict[str, dict[str, dict[str, float]]]
    calibration: Reliability
    coverage: Coverage
    mistakes: list[dict[str, Any]]
    confusion: NotRequired[list[Confused]]
    coarse_confusion: NotRequired[list[Confused]]


def evaluate(
    probabilities: Any,
    examples: Sequence[Example],
    scheme: LabelScheme,
    thresholds: Mapping[str, float] | None = None,
) -> Evaluation:
    """Judges class probabilities ``(texts, classes)`` against the examples' labels."""
    verdicts = Verdicts.of(probabilities, examples, scheme, thresholds)
    found: Evaluation = {
        "n": len(examples),
        "primary": scheme.primary_metric,
        "metrics": plain_metrics(verdicts),
        "intervals": _intervals(verdicts),
        "per_class": _per_class(verdicts),
        "slices": _slices(verdicts, examples),
        "calibration": reliability(verdicts),
        "coverage": summarise(Curve.of(verdicts, all_once(verdicts))),
        "mistakes": _mistakes(verdicts, examples),
    }
    if scheme.kind != "multi":
        classes = scheme.classes
        expected, given = (
            [classes[k] for k in side.argmax(axis=1)] for side in (verdicts.wanted, verdicts.given)
        )
        found["confusion"] = confused(expected, given, classes)
        if scheme.kind == "hierarchical":
            tops = list(dict.fromkeys(map(top, classes)))
            found["coarse_confusion"] = confused(map(top, expected), map(top, given), tops)
    return found


def _intervals(verdicts: Verdicts) -> dict[str, list[float]]:
    """Of each figure of `headline`, in its order.

    The bootstrap's has no width where all texts are right; F1 and the like have no other.
    """
    found = bootstrap.intervals(lambda w: headline(verdicts, w), len(verdicts))
    shares = {"accuracy": verdicts.right, "coarse_accuracy": verdicts.right_above}
    plain = {
        name: wilson(int(right.sum()), len(right))
        for name, right in shares.items()
        if right is not None
    }
    return found | plain


def plain_metrics(verdicts: Verdicts) -> dict[str, float]:
    """The metrics of the texts as they are."""
    return {name: float(row[0]) for name, row in metrics(verdicts, all_once(verdicts)).items()}


def headline(verdicts: Verdicts, weights: Floats) -> Figures:
    """Every figure that sums an evaluation up, ``(rows,)``, for weights ``(rows, texts)``.

    The calibration error is not among them: resampling adds noise to each bin and so to every
    distance, and an interval from it would lie above the figure. The bins have intervals instead.
    """
    curve = Curve.of(verdicts, weights)
    return {
        **metrics(verdicts, weights),
        "brier": weights @ squared_errors(verdicts) / weights.sum(axis=1),
        "aurc": curve.aurc(),
        "coverage_at_limit": curve.at_limit(),
    }


def confused(
    expected: Iterable[str], given: Iterable[str], labels: Sequence[str]
) -> list[Confused]:
    """The cells of the confusion matrix that hold texts, row by row in the order of `labels`."""
    counts = confusion_matrix(list(expected), list(given), labels=list(labels))
    return [
        {"expected": labels[i], "given": labels[k], "n": int(counts[i, k])}
        for i, k in np.argwhere(counts)
    ]


def _per_class(verdicts: Verdicts) -> list[dict[str, Any]]:
    tally = Tally.of(verdicts.wanted, verdicts.given, np.ones(len(verdicts)))
    hits, f1 = tally.hits, tally.f1
    return [
        {
            "label": name,
            "precision": float(hits[k] / max(1, tally.given[k])),
            "recall": float(hits[k] / max(1, tally.wanted[k])),
            "f1": float(f1[k]),
            "support": int(tally.wanted[k]),
        }
        for k, name in enumerate(verdicts.scheme.classes)
    ]


def _slices(
    verdicts: Verdicts, examples: Sequence[Example]
) -> dict[str, dict[str, dict[str, float]]]:
    found = {}
    for name, groups in slices(examples).items():
        masks = np.zeros((len(groups), len(verdicts)))
        for mask, rows in zip(masks, groups.values(), strict=True):
            mask[rows] = 1
        figures = metrics(verdicts, masks)
        found[name] = {
            value: {"n": len(rows), **{metric: float(row[k]) for metric, row in figures.items()}}
            for k, (value, rows) in enumerate(groups.items())
        }
    return found


def _mistakes(verdicts: Verdicts, examples: Sequence[Example]) -> list[dict[str, Any]]:
    wrong = np.flatnonzero(~verdicts.right)
    rows = wrong[np.argsort(-verdicts.confidence[wrong], kind="stable")][:MISTAKES]
    return [
        {
            "text": examples[i].text,
            "where": place(examples[i].where),
            "expected": list(examples[i].labels),
            "given": verdicts.given_names(i),
            "confidence": float(verdicts.confidence[i]),
        }
        for i in rows
    ]
