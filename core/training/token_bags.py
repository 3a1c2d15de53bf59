"""Fits a token bag beside a head that is there, and says how much of each is to be heard."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from ..token_bag import TokenBag
from .judged import Judged, Scores
from .linear import ENOUGH, fit_temperature, fit_tfidf, log_losses
from .recipe import MANY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .prepare import Prepared
    from .recipe import Recipe

    Rows = Sequence[tuple[int, ...]]

TEXTS = 2  # a token stands in at least so many training texts
SHARES = tuple(round(0.1 * k, 1) for k in range(1, 9))
HALF = 0.5  # where validation cannot tell
SURE = 1.0  # standard errors by which validation's log loss has to fall


def with_token_bag(judged: Judged, prepared: Prepared, recipe: Recipe) -> Judged:
    """The same, or with a bag and a head that make room for each other.

    ``auto`` fits one where a class has `MANY` training texts and there are `ENOUGH` validation
    texts, and keeps it where the log loss on them falls by more than `SURE` of its standard errors;
    ``always`` keeps it anyway, with the share that validation likes best.
    """
    texts, classes = len(prepared.rows["train"]), len(prepared.scheme.classes)
    enough = len(prepared.rows["val"]) >= ENOUGH
    if recipe.token_bag == "never":
        return judged
    if recipe.token_bag == "auto" and not (enough and texts >= MANY * classes):
        return judged
    tokens, idf = known_tokens(prepared.rows["train"])
    if not len(tokens):
        return judged
    bag = TokenBag(tokens, idf, np.zeros((len(tokens), classes), np.float32))
    fit = fit_tfidf(
        prepared.scheme,
        (vectors(bag, prepared.rows["train"]), prepared.wanted["train"]),
        (vectors(bag, prepared.rows["val"]), prepared.wanted["val"]),
        balanced=prepared.balanced,
    )
    bag = replace(bag, weight=np.ascontiguousarray(fit.weight.T, np.float32))
    bias = fit.bias.astype(np.float32)
    if not enough:
        return _mixed(judged, bag, bias, (1 - HALF, HALF), prepared)

    val = prepared.wanted["val"]
    ours, own = judged.scores.logits["val"], bag.logits(prepared.rows["val"]) + bias
    scales = [1 / fit_temperature(prepared.scheme, logits, val) for logits in (ours, own)]

    def losses(share: float) -> NDArray[np.float64]:
        logits = (1 - share) * scales[0] * ours + share * scales[1] * own
        return log_losses(
            prepared.scheme, logits / fit_temperature(prepared.scheme, logits, val), val
        )

    by_share = {share: losses(share) for share in SHARES}
    best = min(SHARES, key=lambda share: by_share[share].mean())
    fall = losses(0.0) - by_share[best]
    if recipe.token_bag == "auto" and fall.mean() <= SURE * fall.std() / np.sqrt(len(fall)):
        return judged
    return _mixed(judged, bag, bias, ((1 - best) * scales[0], best * scales[1]), prepared)


def known_tokens(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Ids, ascending, and inverse document frequencies of tokens that may tell texts apart.

    Those in every text, the special ones among them, tell nothing. ``idf = ln((1 + n) / (1 + df)) +
    1``, as scikit-learn smooths it.
    """
    ids, found = np.unique(np.concatenate([np.unique(row) for row in rows]), return_counts=True)
    told = (found >= TEXTS) & (found < len(rows))
    idf = np.log((1 + len(rows)) / (1 + found[told])) + 1
    return ids[told].astype(np.int64), idf.astype(np.float32)


def vectors(bag: TokenBag, rows: Rows) -> csr_array:
    """``(texts, known)``: a row's `TokenBag.vector`."""
    pairs = [bag.vector(row) for row in rows]
    ends = np.cumsum([0, *(len(places) for places, _ in pairs)])
    none: list[NDArray[np.intp]] = [np.empty(0, np.intp)]
    places = np.concatenate(none + [places for places, _ in pairs])
    values = np.concatenate([np.empty(0, np.float32), *(values for _, values in pairs)])
    return csr_array((values.astype(np.float64), places, ends), shape=(len(rows), len(bag.tokens)))


def _mixed(
    judged: Judged,
    bag: TokenBag,
    bias: NDArray[np.float32],
    scales: tuple[float, float],
    prepared: Prepared,
) -> Judged:
    """The head and the bag, each times its scale."""
    head, ours, own = judged.head, np.float32(scales[0]), np.float32(scales[1])
    head = replace(head, weight=head.weight * ours, bias=head.bias * ours + bias * own)
    bag = replace(bag, weight=bag.weight * own)
    logits = {
        split: rows * ours + bias * own + bag.logits(prepared.rows[split])
        for split, rows in judged.scores.logits.items()
    }
    return Judged(head, Scores.of(logits, prepared), bag)
