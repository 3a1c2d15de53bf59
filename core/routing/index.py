"""Whose training texts a text is nearest to, among the adapters of one base.

A text's similarity to an adapter is the mean of two: its mean cosine to the five nearest of that
adapter's texts, and its cosine to the nearest of the means of each label's texts. All are centred
by the mean over adapters, which takes away what every text of the base has in common. How near is
near enough, texts of adapters say: each is compared with the others of its own adapter in the same
way. An adapter more or less is a row of means.

Where two adapters are almost as near as each other, a classifier between their texts has a say: a
regularised least-squares classification with a Gaussian kernel (Rifkin, Yeo and Poggio 2003), whose
solution is a set of linear equations. It is made when a text first stands between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .profile import Digest, Profile, unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]
    Integers = NDArray[np.intp]

NEIGHBOURS = 5
EXACT = 32  # adapters up to which each text is compared with all texts of all of them
SHORTLIST = 16  # adapters that are compared in full where there are more, by their digests
BLOCK = 256  # texts compared at once
OWN = 512  # texts of an adapter that say how near is near enough
EVERYONES = 16  # adapters whose texts say so for all
DOUBT = 0.15  # a lead in similarity below which the classifier between the two has a say
WEIGHT = 0.4  # of its say beside the lead
SHARPNESS = 2  # of its kernel
RIDGE = 0.1  # its regularisation
LEARNT = 1536  # texts of each of the two that it learns from
BETWEEN = 64  # such classifiers that are held


@dataclass(frozen=True, slots=True)
class Nearest:
    """The adapters nearest to some texts, by their numbers in the index.

    Attributes:
        first, second: ``(texts,)`` the adapter that each text belongs to if to any, and the next;
            -1 where there is no other.
        similarities: ``(texts, 2)`` to the two of them. The first may be the lower one where the
            classifier between them has turned the order round.
        typicality: ``(texts,)`` the share of texts, half of them the adapter's own and half of all
            adapters', that are farther from the others of their adapter than the text is from the
            first, 0 to 1.
        standing: ``(texts,)`` the similarity to the nearest, in standard deviations above what that
            adapter's own texts have on average; comparable between bases.
    """

    first: Integers
    second: Integers
    similarities: FloatArray
    typicality: FloatArray
    standing: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Texts:
    """An adapter's texts, centred and of length 1.

    Attributes:
        rows: ``(texts, hidden)``.
        labels: ``(texts,)`` the label of each.
        sums: ``(labels, hidden)`` of the rows of each label; `means` the same at length 1.
        counts: ``(labels,)`` texts.
    """

    rows: FloatArray
    labels: NDArray[np.intp]
    sums: FloatArray
    means: FloatArray
    counts: NDArray[np.intp]

    @classmethod
    def of(cls, rows: FloatArray, labels: NDArray[np.integer[Any]]) -> _Texts:
        _, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
        sums = np.zeros((len(counts), rows.shape[1]), np.float32)
        np.add.at(sums, numbers, rows)
        return cls(rows, numbers, sums, unit(sums), counts)

    def similarities(self, x: FloatArray) -> FloatArray:
        """``(texts,)`` of other texts, centred and of length 1."""
        near = _mean_of_best(x @ self.rows.T, len(self.rows))
        to_means: FloatArray = (x @ self.means.T).max(1)
        return (near + to_means) * np.float32(0.5)

    def own(self) -> FloatArray:
        """``(at most OWN,)`` of its own first texts, each as if it were not among them."""
        if len(self.rows) == 1:
            return np.zeros(1, np.float32)
        rows, labels = self.rows[:OWN], self.labels[:OWN]
        cosines = rows @ self.rows.T
        np.fill_diagonal(cosines, -np.inf)
        near = _mean_of_best(cosines, len(self.rows) - 1)
        to_means: FloatArray = rows @ self.means.T
        without = (rows * unit(self.sums[labels] - rows)).sum(1)
        alone = self.counts[labels] == 1
        to_means[np.arange(len(rows)), labels] = np.where(alone, -1, without)
        nearest_mean: FloatArray = to_means.max(1)
        return (near + nearest_mean) * np.float32(0.5)


@dataclass(frozen=True, slots=True, eq=False)
class _Between:
    """Tells the texts of one adapter from those of another.

    Attributes:
        weights: ``(texts of both, 1 + labels of both)`` of the texts' kernels in each answer: first
            whose a text is, +1 or -1, then whether it has a label, 1 or 0.
        offsets: ``(1 + labels of both,)`` added to the answers.
        middle: the column of the other adapter's first label.
    """

    weights: FloatArray
    offsets: FloatArray
    middle: int

    @classmethod
    def of(cls, one: _Texts, other: _Texts) -> _Between:
        parts, middle = (one, other), 1 + len(one.counts)
        labels = np.concatenate(
            [1 + one.labels[:LEARNT], middle + other.labels[:LEARNT]], dtype=np.intp
        )
        wanted = np.zeros((len(labels), middle + len(other.counts)), np.float32)
        wanted[:, 0] = np.where(labels < middle, 1, -1)
        wanted[np.arange(len(labels)), labels] = 1
        offsets: FloatArray = wanted.mean(0)
        rows = np.concatenate([part.rows[:LEARNT] for part in parts])
        kernel = _kernel(rows, rows)
        kernel[np.diag_indices_from(kernel)] += RIDGE
        return cls(np.linalg.solve(kernel, wanted - offsets), offsets, middle)

    def sides(self, x: FloatArray, one: _Texts, other: _Texts) -> FloatArray:
        """``(texts,)`` above 0 where a text is rather the first adapter's: whose it is, and how far
        its likeliest label there is ahead of its likeliest here, each about -1 to 1."""
        rows = np.concatenate([part.rows[:LEARNT] for part in (one, other)])
        found: FloatArray = _kernel(x, rows) @ self.weights + self.offsets
        ahead = found[:, 1 : self.middle].max(1) - found[:, self.middle :].max(1)
        sides: FloatArray = found[:, 0] + ahead
        return sides


class Index:
    """Profiles of adapters on one base. Safe to use from many threads.

    Args:
        digests: of at least one profile.
        read: gives the profile of a number; those of the last used are held.
    """

    def __init__(self, digests: Sequence[Digest], read: Callable[[int], Profile]) -> None:
        self._count = len(digests)
        self._centre: FloatArray = np.mean([d.mean for d in digests], axis=0, dtype=np.float32)
        self._texts = lru_cache(EXACT)(partial(self._read, read))
        self._beginnings: FloatArray | None = None
        if self._count > EXACT:
            beginnings = [digest.beginning for digest in digests]
            self._beginnings = self._centred(np.concatenate(beginnings))
            self._starts = np.cumsum([0, *map(len, beginnings)])[:-1]
        self._own: dict[int, FloatArray] = {}
        self._everyones: FloatArray | None = None
        self._between = lru_cache(BETWEEN)(self._make_between)

    def nearest(self, features: FloatArray) -> Nearest:
        """The adapters nearest to texts, from the base's pooled states ``(texts, hidden)``."""
        x = self._centred(unit(features))
        first, second = np.zeros(len(x), np.intp), np.full(len(x), -1, np.intp)
        similarities = np.full((len(x), 2), -1, np.float32)
        for begin in range(0, len(x), BLOCK):
            part = slice(begin, begin + BLOCK)
            found = self._similarities(x[part])
            order = np.argsort(-found, axis=1, kind="stable")
            rows = np.arange(len(found))
            first[part] = order[:, 0]
            similarities[part, 0] = found[rows, order[:, 0]]
            if self._count > 1:
                second[part] = order[:, 1]
                similarities[part, 1] = found[rows, order[:, 1]]
        self._settle(x, first, second, similarities)
        typicality, standing = np.empty(len(x), np.float32), np.empty(len(x), np.float32)
        for number in np.unique(first):
            at = first == number
            own = self.own(int(number))
            typicality[at] = self._typicality(own, similarities[at, 0])
            standing[at] = (similarities[at, 0] - own.mean()) / max(own.std(), 1e-6)
        return Nearest(first, second, similarities, typicality, standing)

    def own(self, number: int) -> FloatArray:
        """How similar an adapter's texts are each to the others of them, ascending ``(texts,)``."""
        found = self._own.get(number)
        if found is None:
            found = self._own[number] = np.sort(self._texts(number).own())
        return found

    def _typicality(self, own: FloatArray, similarities: FloatArray) -> FloatArray:
        if self._everyones is None:
            some = np.unique(np.linspace(0, self._count - 1, EVERYONES).astype(int)).tolist()
            self._everyones = np.sort(np.concatenate([self.own(number) for number in some]))
        shares = [
            np.searchsorted(known, similarities, "right") / len(known)
            for known in (own, self._everyones)
        ]
        typicality: FloatArray = np.mean(shares, axis=0, dtype=np.float32)
        return typicality

    def _settle(
        self, x: FloatArray, first: Integers, second: Integers, similarities: FloatArray
    ) -> None:
        """Turns first and second round where a small lead is not borne out, in place."""
        lead = similarities[:, 0] - similarities[:, 1]
        doubtful = np.flatnonzero((second >= 0) & (lead < DOUBT))
        pairs = np.sort(np.stack([first[doubtful], second[doubtful]], axis=1), axis=1)
        for low, high in np.unique(pairs, axis=0).tolist():
            at = doubtful[(pairs == (low, high)).all(1)]
            sides = self._between(low, high).sides(x[at], self._texts(low), self._texts(high))
            say = np.where(first[at] == low, sides, -sides)
            turned = at[lead[at] + WEIGHT * say < 0]
            first[turned], second[turned] = second[turned], first[turned]
            similarities[turned] = similarities[turned, ::-1]

    def _make_between(self, low: int, high: int) -> _Between:
        return _Between.of(self._texts(low), self._texts(high))

    def _similarities(self, x: FloatArray) -> FloatArray:
        """``(texts, adapters)`` of centred texts; -inf for adapters off a text's shortlist."""
        found = np.full((len(x), self._count), -np.inf, np.float32)
        if self._beginnings is None:
            for number in range(self._count):
                found[:, number] = self._texts(number).similarities(x)
            return found
        best = np.maximum.reduceat(x @ self._beginnings.T, self._starts, axis=1)
        shortlist = np.argpartition(-best, SHORTLIST - 1, axis=1)[:, :SHORTLIST]
        for number in np.unique(shortlist):
            at = (shortlist == number).any(1)
            found[at, number] = self._texts(int(number)).similarities(x[at])
        return found

    def _read(self, read: Callable[[int], Profile], number: int) -> _Texts:
        profile = read(number)
        return _Texts.of(self._centred(profile.features), profile.labels)

    def _centred(self, features: NDArray[np.floating[Any]]) -> FloatArray:
        return unit(features.astype(np.float32) - self._centre)


def _kernel(x: FloatArray, y: FloatArray) -> FloatArray:
    """``(texts of x, texts of y)``, Gaussian, of rows of length 1."""
    kernel: FloatArray = np.exp(np.float32(SHARPNESS) * (x @ y.T - np.float32(1)))
    return kernel


def _mean_of_best(cosines: FloatArray, count: int) -> FloatArray:
    """``(texts,)`` the mean of each row's `NEIGHBOURS` best, or of all `count` that it has."""
    best = min(NEIGHBOURS, count)
    mean: FloatArray = np.partition(cosines, -best, axis=1)[:, -best:].mean(1, dtype=np.float32)
    return mean
