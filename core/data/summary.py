"""What a data set holds, as plain data that the command prints."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .example import SPLITS, Dataset, Example, place
from .near import near_duplicates, normalise

SHOWN = 60  # characters of a text in a note
PLACES = 3  # of one text with one label in a note
UNSPLIT = "unsplit"
"""Stands for the split of examples that the data puts nowhere."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A text that stands more than once, letter for letter, and where."""

    text: str
    wheres: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A text that stands with different labels, up to case, spacing and marks at the end.

    Attributes:
        places: (where, labels) of each.
    """

    text: str
    places: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Characters or tokens a text: the shortest, the median, the 95th percentile, the longest."""

    shortest: int
    median: int
    percentile_95: int
    longest: int

    @classmethod
    def of(cls, lengths: Iterable[int]) -> Lengths:
        """Those of one text at least."""
        ranked = sorted(lengths)
        count = len(ranked)
        return cls(
            ranked[0], ranked[count // 2], ranked[min(count - 1, count * 95 // 100)], ranked[-1]
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """What a data set holds.

    Attributes:
        examples: how many texts can be used.
        problems: how many rows cannot.
        splits: examples by split; ``unsplit`` for those that the data puts nowhere.
        counts: examples by split and label, in scheme order; a text with two labels counts twice.
        unlabelled: examples without a label, which only multi-label schemes have.
        near_duplicate_groups: groups of texts that are all but the same, equal ones included.
    """

    examples: int
    problems: int
    splits: Mapping[str, int]
    counts: Mapping[str, Mapping[str, int]]
    unlabelled: int
    duplicates: tuple[Duplicate, ...]
    conflicts: tuple[Conflict, ...]
    near_duplicate_groups: int
    lengths: Lengths


def conflicts(examples: Sequence[Example]) -> tuple[Conflict, ...]:
    """The texts that stand with different labels, in the order in which they are first met."""
    alike: defaultdict[str, list[Example]] = defaultdict(list)
    for example in examples:
        alike[normalise(example.text)].append(example)
    return tuple(
        Conflict(group[0].text, tuple((example.where, example.labels) for example in group))
        for group in alike.values()
        if len({frozenset(example.labels) for example in group}) > 1
    )


def conflict_notes(examples: Sequence[Example]) -> list[str]:
    """How many texts stand with different labels, and where the first of them does."""
    found = conflicts(examples)
    if not found:
        return []
    first = found[0]
    places: dict[str, list[str]] = {}
    for where, labels in first.places:
        places.setdefault("|".join(labels) or "no label", []).append(place(where))
    listed = ", ".join(
        f"{labels} at {', '.join(wheres[:PLACES])}"
        + (f" and {len(wheres) - PLACES:,} more" if len(wheres) > PLACES else "")
        for labels, wheres in places.items()
    )
    text = first.text if len(first.text) <= SHOWN else f"{first.text[: SHOWN - 3]}..."
    stand = "text stands" if len(found) == 1 else "texts stand"
    start = "" if len(found) == 1 else "the first of them "
    return [
        f"{len(found):,} {stand} with different labels, {start}{text!r}: {listed}; "
        "platform data check lists them all"
    ]


def summarise(dataset: Dataset) -> Summary:
    """Counts, repetitions, contradictions and lengths."""
    examples = dataset.examples
    names = [name for name in (*SPLITS, None) if any(e.split == name for e in examples)]
    counts: dict[str, dict[str, int]] = {}
    for name in names:
        tally = Counter(label for e in examples if e.split == name for label in e.labels)
        counts[name or UNSPLIT] = {label: tally[label] for label in dataset.scheme.classes}
    same: defaultdict[str, list[str]] = defaultdict(list)
    for example in examples:
        same[example.text].append(example.where)
    groups = Counter(near_duplicates([e.text for e in examples]))
    return Summary(
        examples=len(examples),
        problems=len(dataset.problems),
        splits={name or UNSPLIT: sum(e.split == name for e in examples) for name in names},
        counts=counts,
        unlabelled=sum(not e.labels for e in examples),
        duplicates=tuple(Duplicate(t, tuple(w)) for t, w in same.items() if len(w) > 1),
        conflicts=conflicts(examples),
        near_duplicate_groups=sum(size > 1 for size in groups.values()),
        lengths=Lengths.of(len(e.text) for e in examples),
    )
