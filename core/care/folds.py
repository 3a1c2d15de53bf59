"""Logits of each text from a probe that was fitted without it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.near import near_duplicates
from ..training.linear import STRENGTHS, fit_head

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..data.example import Example
    from ..labels import LabelScheme

    Floats = NDArray[np.floating[Any]]

FOLDS = 5


def deal(examples: Sequence[Example]) -> NDArray[np.int64]:
    """The fold ``(texts,)`` of each example: `FOLDS` of them, or fewer where there is little.

    Near-duplicates share a fold, else a wrong label would be vouched for by its own copy. Each
    label's texts are dealt out in turn, a text with several counting as one of its rarest.
    """
    totals = Counter(label for example in examples for label in example.labels)
    groups = near_duplicates([example.text for example in examples])
    first: dict[int, tuple[str, int]] = {}
    for i, (example, group) in enumerate(zip(examples, groups, strict=True)):
        rarest = min(example.labels, key=lambda label: (totals[label], label), default="")
        first.setdefault(group, (rarest, i))
    in_turn = sorted(first, key=first.__getitem__)
    fold = {group: number % FOLDS for number, group in enumerate(in_turn)}
    return np.array([fold[group] for group in groups], dtype=np.int64)


def out_of_fold_logits(
    scheme: LabelScheme,
    features: Floats,
    wanted: NDArray[np.int64],
    folds: NDArray[np.int64],
    tick: Callable[[int, int], None],
) -> Floats:
    """``(texts, classes)``: logistic regression on the other folds' features, for each fold.

    The first fold chooses the strength for all.

    Args:
        wanted: as `linear.targets`; each class stands in two folds at least.
        folds: as `deal`.
    """
    names = np.unique(folds)
    logits = np.zeros((len(features), len(scheme.classes)))
    strengths: Sequence[float] = STRENGTHS
    for done, fold in enumerate(names):
        tick(done, len(names))
        held = folds == fold
        fit = fit_head(
            scheme,
            (features[~held], wanted[~held]),
            (features[held], wanted[held]),
            balanced=False,
            strengths=strengths,
        )
        strengths = (fit.c,)
        logits[held] = fit.logits(features[held])
    tick(len(names), len(names))
    return logits
