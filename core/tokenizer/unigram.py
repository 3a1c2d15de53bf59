"""The unigram model: the most probable pieces of a word, by Viterbi's algorithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNKNOWN_PENALTY = 10.0


@dataclass(frozen=True, slots=True)
class Unigram:
    """Pieces in arrays, which may lie in a file: a few hundred are looked up, not all of them.

    Attributes:
        pieces: ``(pieces,)`` UTF-8, sorted; of the width of the widest.
        scores: ``(pieces,)`` float64, logarithms of probabilities.
        ids: ``(pieces,)``.
        longest: characters in the longest piece.
        unknown: the id for what no piece covers.
        lowest: the least score.
    """

    pieces: NDArray[np.bytes_]
    scores: NDArray[np.float64]
    ids: NDArray[np.uint32]
    longest: int
    unknown: int
    lowest: float

    def __call__(self, word: str) -> list[int]:
        """Ids of the best path; the earlier piece wins a tie, as in `tokenizers`.

        Sums are float64 from the left, so that ties and near ties fall as they do there.
        """
        size = len(word)
        scores = [0.0] * (size + 1)
        steps: list[tuple[int, int] | None] = [None] * (size + 1)  # where it began, and its id

        def offer(start: int, end: int, score: float, piece: int) -> None:
            total = score + scores[start]
            if steps[end] is None or total > scores[end]:
                scores[end], steps[end] = total, (start, piece)

        for start, found in enumerate(self._matches(word)):
            for end, score, piece in found:
                offer(start, end, score, piece)
            if not found or found[0][0] != start + 1:
                offer(start, start + 1, self.lowest - UNKNOWN_PENALTY, self.unknown)

        ids: list[int] = []
        end = size
        while end:
            step = steps[end]
            assert step is not None
            end, piece = step
            if piece != self.unknown or not ids or ids[-1] != piece:  # a run of them is one token
                ids.append(piece)
        return ids[::-1]

    def _matches(self, word: str) -> list[list[tuple[int, float, int]]]:
        """For each character the pieces that begin there: (end, score, id), shortest first."""
        data = word.encode()
        at = [i for i, byte in enumerate(data) if byte & 0xC0 != 0x80] + [len(data)]
        width = self.pieces.dtype.itemsize
        spans = [
            (start, end)
            for start in range(len(word))
            for end in range(start + 1, min(start + self.longest, len(word)) + 1)
            if at[end] - at[start] <= width
        ]
        keys = np.array([data[at[start] : at[end]] for start, end in spans], self.pieces.dtype)
        places = np.searchsorted(self.pieces, keys)
        places[places == len(self.pieces)] = 0
        hits = np.flatnonzero(self.pieces[places] == keys)
        matches: list[list[tuple[int, float, int]]] = [[] for _ in word]
        places = places[hits]
        values: tuple[list[Any], ...] = tuple(a[places].tolist() for a in (self.scores, self.ids))
        for hit, score, piece in zip(hits.tolist(), *values, strict=True):
            start, end = spans[hit]
            matches[start].append((end, score, piece))
        return matches
