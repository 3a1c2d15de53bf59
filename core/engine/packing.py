"""Rows of tokens laid end to end, so that no padding is computed and each adapter's tokens, and
texts of equal length, lie together.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring texts of a batch, and where their tokens lie.

    Attributes:
        key: what they share: the adapter of a segment, the length of a run.
        rows, tokens: which texts of the batch, and which of its tokens.
    """

    key: int
    rows: slice
    tokens: slice

    @property
    def count(self) -> int:
        """Texts."""
        return int(self.rows.stop - self.rows.start)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a batch lies in its buffers.

    Attributes:
        starts: where each text's tokens begin.
        size: tokens in all.
        segments: one for each adapter.
        runs: texts of equal length that lie together; a run may reach over segments.
    """

    starts: tuple[int, ...]
    size: int
    segments: tuple[Span, ...]
    runs: tuple[Span, ...]


def numbered(keys: Iterable[Hashable]) -> list[int]:
    """Equal numbers for equal keys, counted in the order that they come."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def cut(adapters: Sequence[int], lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Texts in batches of at most `budget` tokens, ordered by adapter, then by length.

    A single text longer than the budget is a batch of its own.

    Args:
        adapters, lengths: of each text: a number that stands for its adapter, and its tokens.
    """
    picks: list[int] = []
    size = 0
    for pick in sorted(range(len(lengths)), key=lambda i: (adapters[i], lengths[i])):
        if picks and size + lengths[pick] > budget:
            yield picks
            picks, size = [], 0
        picks.append(pick)
        size += lengths[pick]
    if picks:
        yield picks


def lay_out(adapters: Sequence[int], lengths: Sequence[int]) -> Layout:
    """Where the texts of a batch lie that are so ordered."""
    ends = [0, *accumulate(lengths)]
    return Layout(
        starts=tuple(ends[:-1]),
        size=ends[-1],
        segments=_spans(adapters, ends),
        runs=_spans(lengths, ends),
    )


def _spans(keys: Sequence[int], ends: Sequence[int]) -> tuple[Span, ...]:
    """One for each stretch of equal keys. `ends`: token offsets of the rows, and the last's end."""
    spans = []
    row = 0
    for key, equal in groupby(keys):
        stop = row + sum(1 for _ in equal)
        spans.append(Span(key, slice(row, stop), slice(ends[row], ends[stop])))
        row = stop
    return tuple(spans)
