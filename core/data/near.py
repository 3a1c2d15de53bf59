"""Near-duplicate texts: those that would make a test easy if they stood in training as well."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.unsignedinteger[Any]]

THRESHOLD = 0.8
HEAD = 1000
"""Characters that are compared; no adapter reads much further, and a text may be megabytes."""
BANDS, ROWS = 20, 6
"""A pair of Jaccard index s is found with probability 1 - (1 - s**ROWS)**BANDS: 0.998 at 0.8."""
NEIGHBOURS = 8
"""Texts of one bucket that are compared with each: bounds the work where all fill one template."""


def normalise(text: str) -> str:
    """The text without what a reader overlooks: case, width, spacing, marks at the end.

    Marks inside and a text of nothing but marks stay: ``C++`` is not ``C#``, ``:)`` not ``:(``.
    """
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.rstrip(" .?!。,;~") or folded


def near_duplicates(texts: Sequence[str], threshold: float = THRESHOLD) -> list[int]:
    """A group number for each text; texts of one number are near-duplicates, chained if need be.

    Two texts are near-duplicates where they normalise to the same text, or where the sets of their
    character trigrams have a Jaccard index of at least `threshold`. Pairs are proposed by MinHash
    in bands (Leskovec, Rajaraman & Ullman, "Mining of Massive Datasets", section 3.4) with fixed
    hash functions, and each is then checked exactly: none is false, few near the threshold are
    missed, and the same texts always give the same groups.
    """
    keys = [normalise(text) for text in texts]
    distinct = list(dict.fromkeys(keys))
    leaders = list(range(len(distinct)))
    # Shorter texts have no trigram: only equality makes them duplicates.
    long = [i for i, key in enumerate(distinct) if len(key) >= 3]
    heads = [distinct[i][:HEAD] for i in long]

    @lru_cache(maxsize=50_000)
    def trigrams(i: int) -> frozenset[str]:
        head = heads[i]
        return frozenset(head[at : at + 3] for at in range(len(head) - 2))

    for i, j in _proposed(heads, threshold) if len(heads) > 1 else ():
        one, other = _leader(leaders, long[i]), _leader(leaders, long[j])
        if one != other:
            shared = len(trigrams(i) & trigrams(j))
            either = len(trigrams(i)) + len(trigrams(j)) - shared
            if shared >= threshold * either - 1e-9:
                leaders[max(one, other)] = min(one, other)
    number = {key: _leader(leaders, i) for i, key in enumerate(distinct)}
    return [number[key] for key in keys]


def _leader(leaders: list[int], i: int) -> int:
    """The one that stands for `i`'s group, shortening the way to it."""
    while leaders[i] != i:
        leaders[i] = leaders[leaders[i]]
        i = leaders[i]
    return i


def _proposed(texts: Sequence[str], threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs of positions that agree in a band and whose signatures agree about often enough."""
    import numpy as np

    signatures = np.concatenate(
        [_signatures(texts[at : at + 1000]) for at in range(0, len(texts), 1000)]
    )
    count = len(texts)
    weights = _odd_numbers(ROWS)
    found = []
    for band in range(BANDS):
        rows = signatures[:, band * ROWS : (band + 1) * ROWS]
        buckets = (rows.astype(np.uint64) * weights).sum(axis=1, dtype=np.uint64)
        # Within a bucket, the next hash brings together those that have still more in common.
        order = np.lexsort((signatures[:, (band + 1) * ROWS % (BANDS * ROWS)], buckets))
        for step in range(1, min(NEIGHBOURS, count - 1) + 1):
            one, other = order[:-step], order[step:]
            same = buckets[one] == buckets[other]
            one, other = one[same], other[same]
            found.append(np.minimum(one, other) * count + np.maximum(one, other))
    pairs = np.unique(np.concatenate(found))
    # Four standard deviations below the threshold, so that the estimate costs no recall.
    least = threshold - 4 * (threshold * (1 - threshold) / (BANDS * ROWS)) ** 0.5
    for at in range(0, len(pairs), 20_000):
        one, other = np.divmod(pairs[at : at + 20_000], count)
        near = (signatures[one] == signatures[other]).mean(axis=1) >= least
        yield from zip(one[near].tolist(), other[near].tolist(), strict=True)


def _signatures(texts: Sequence[str]) -> Integers:
    """MinHash signatures ``(texts, BANDS * ROWS)`` uint32; each text has three characters."""
    import numpy as np

    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    lengths = np.array([len(text) for text in texts])
    inside = np.ones(len(codes), bool)
    ends = np.cumsum(lengths)
    inside[ends - 1] = inside[ends - 2] = False
    wide = codes.astype(np.uint64)
    grams = (wide[:-2] << np.uint64(42) | wide[1:-1] << np.uint64(21) | wide[2:])[inside[:-2]]
    # Mixed once (the finaliser of SplitMix64), since multiplication alone leaves patterns.
    grams = (grams ^ grams >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    grams = (grams ^ grams >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    grams ^= grams >> np.uint64(31)
    starts = np.concatenate([[0], np.cumsum(lengths - 2)[:-1]])
    columns = [
        np.minimum.reduceat((grams * factor >> np.uint64(32)).astype(np.uint32), starts)
        for factor in _odd_numbers(BANDS * ROWS)
    ]
    return np.stack(columns, axis=1)


def _odd_numbers(count: int) -> Integers:
    """Odd 64-bit factors, always the same ones."""
    import numpy as np

    return np.random.default_rng(0).integers(0, 2**64, count, dtype=np.uint64) | np.uint64(1)
