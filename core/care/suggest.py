"""The texts that are most worth labelling next: unlike what is labelled, unlike each other, and
such as the adapter is unsure about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.near import near_duplicates, normalise
from ..errors import DataError
from ..examples import load_examples
from ..tokens import TextEncoder
from ..training.recipe import make_recipe
from . import choosing
from .frozen import frozen_features
from .reading import why_unreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..bases import Base
    from ..registry import Registry
    from ..store.source import AdapterSource
    from ..training.judge import Ask
    from ..training.workshop import Progress, Workshop

    Floats = NDArray[np.floating[Any]]

ANSWERING = "asking the adapter"
CHUNK = 512  # texts that are answered together
CANDIDATES = 10  # for each text that is wanted, how many of the most uncertain are compared
COMPARED = 20_000  # texts at most among which near-duplicates and sorts are looked for
KNOWN = 5_000  # labelled texts at most that those are compared with


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One text to label.

    Attributes:
        position: among the texts that were given.
        labels: what the adapter would answer: one label, or in `multi` those that apply; None
            without an adapter, as in the next two.
        confidence: the answer's probability.
        uncertainty: 0 where the adapter is sure, to 1 where it is torn (`choosing.uncertainty`).
        stands_for: how many of the texts that were compared are of its sort, itself included.
    """

    position: int
    stands_for: int
    labels: tuple[str, ...] | None = None
    confidence: float | None = None
    uncertainty: float | None = None


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What to label next.

    Attributes:
        chosen: the most useful first.
        notes: sentences on what was left out and how the rest was compared.
    """

    chosen: tuple[Suggestion, ...]
    notes: tuple[str, ...]


def domain_texts(name: str, registry: Registry) -> tuple[list[str], tuple[str, ...]]:
    """The texts of the domain of this name, and a note where there are some and none can be read.

    No text, and no note, where no domain has this name.
    """
    brought = registry.domains.get(name)
    if brought is None:
        return [], ()
    domain = brought.value
    try:
        dataset = load_examples(domain.data, registry, columns=domain.columns, scheme=domain.scheme)
    except DataError as error:
        return [], (f"the data of the domain {name!r} is not at hand: {error.message}",)
    return [example.text for example in dataset.examples], ()


def suggest_by_adapter(
    texts: Sequence[str],
    labelled: Sequence[str] | None,
    count: int,
    *,
    source: AdapterSource,
    ask: Ask,
    location: str | None,
    workshop: Workshop,
    progress: Progress,
) -> Suggestions:
    """Texts that the adapter is unsure about and that differ (`choosing.uncertain_and_diverse`).

    Args:
        labelled: texts that need no label; None: those of the domain under the adapter's name.
        location: where the adapter's own base lies, if not where its id says.

    Raises:
        DataError: nothing is left to choose from.
        PlatformError: the adapter's base is not here.
    """
    manifest = source.manifest
    base, _ = workshop.bases.for_adapter(manifest, location)
    left = _Left(texts)
    if labelled is None:
        labelled, notes = domain_texts(manifest.name, workshop.registry)
        left.notes += notes
    left.drop_repeated(labelled)
    rows = left.drop_unreadable(base, manifest.max_length)
    probabilities = _probabilities(left.texts(), source, ask, progress)
    unsure = choosing.uncertainty(manifest.scheme, probabilities, manifest.calibration.thresholds)
    answers = dict(zip(left.positions, zip(probabilities, unsure, strict=True), strict=True))

    def uncertainty(position: int) -> float:
        return float(answers[position][1])

    def least_sure(most: int) -> list[int]:
        return sorted(left.positions, key=lambda i: (-uncertainty(i), i))[:most]

    left.keep(least_sure(COMPARED))
    left.drop_alike(labelled)
    if len(left.positions) > CANDIDATES * count:
        left.keep(least_sure(CANDIDATES * count))
        left.notes.append(
            f"the {len(left.positions):,} texts that {manifest.reference} is least sure of were "
            "compared with each other"
        )
    features = frozen_features([rows[i] for i in left.positions], base, workshop, progress)
    weights = np.array([uncertainty(i) for i in left.positions])
    chosen = []
    for index, size in choosing.uncertain_and_diverse(features, weights, count):
        position = left.positions[index]
        row = answers[position][0]
        decision = manifest.scheme.decide(row.tolist(), manifest.calibration.thresholds)
        several = manifest.scheme.kind == "multi"
        names = [name for name, _ in decision.labels] if several else [decision.label]
        chosen.append(
            Suggestion(
                position,
                size,
                tuple(name for name in names if name is not None),
                decision.confidence,
                uncertainty(position),
            )
        )
    return Suggestions(tuple(chosen), tuple(left.notes))


def suggest_typical(
    texts: Sequence[str],
    labelled: Sequence[str],
    count: int,
    *,
    base: Base,
    workshop: Workshop,
    progress: Progress,
) -> Suggestions:
    """Texts that are typical of what is not labelled yet (`choosing.typical`), without an adapter.

    As much is read of each as the recipe's default lets an adapter read.

    Args:
        labelled: texts that have their labels.

    Raises:
        DataError: nothing is left to choose from.
    """
    max_length = make_recipe().max_length
    left = _Left(texts)
    left.drop_repeated(labelled)
    rows = left.drop_unreadable(base, max_length)
    left.sample(COMPARED)
    left.drop_alike(labelled)
    known = list(dict.fromkeys(labelled))
    if len(known) > KNOWN:
        known = [known[i] for i in _drawn(len(known), KNOWN)]
    encoded = TextEncoder(base).encode(known, max_length)
    features = frozen_features(
        [*(rows[i] for i in left.positions), *(e.ids for e in encoded)], base, workshop, progress
    )
    total = len(left.positions)
    found = choosing.typical(features[:total], count, features[total:])
    chosen = [Suggestion(left.positions[index], size) for index, size in found]
    return Suggestions(tuple(chosen), tuple(left.notes))


class _Left:
    """The texts that are still to choose from; where none is, `DataError` says why.

    Attributes:
        positions: among all texts, in order.
        notes: what became of the others.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._all = texts
        self.positions = list(range(len(texts)))
        self.notes: list[str] = []

    def texts(self) -> list[str]:
        return [self._all[i] for i in self.positions]

    def keep(self, positions: Sequence[int]) -> None:
        self.positions = sorted(positions)

    def _check(self, why: str) -> None:
        if not self.positions:
            many = "the one text" if len(self._all) == 1 else f"the {len(self._all):,} texts"
            raise DataError(f"none of {many} is left to be labelled: {why}")

    def drop_repeated(self, labelled: Sequence[str]) -> None:
        """Leaves each text once, and none that is labelled, up to what a reader overlooks."""
        seen = {normalise(text) for text in labelled}
        again, known, kept = 0, 0, []
        fresh: set[str] = set()
        for i in self.positions:
            key = normalise(self._all[i])
            if key in seen:
                known += 1
            elif key in fresh:
                again += 1
            else:
                fresh.add(key)
                kept.append(i)
        self.keep(kept)
        self._note(again, "repeated")
        self._note(known, "labelled already")
        self._check("they all stand in the labelled data")

    def drop_unreadable(self, base: Base, max_length: int) -> dict[int, tuple[int, ...]]:
        """Leaves what the base can read; its token ids by position."""
        encoder, rows = TextEncoder(base), {}
        for start in range(0, len(self.positions), CHUNK):
            part = self.positions[start : start + CHUNK]
            texts = [self._all[i] for i in part]
            for i, encoded in zip(part, encoder.encode(texts, max_length), strict=True):
                if not why_unreadable(self._all[i], encoded, base):
                    rows[i] = encoded.ids
        self._note(len(self.positions) - len(rows), f"the base {base.id!r} cannot read them")
        self.keep(list(rows))
        self._check(f"the base {base.id!r} cannot read them")
        return rows

    def drop_alike(self, labelled: Sequence[str]) -> None:
        """Leaves one of near-duplicate texts, and none that is like a labelled one."""
        total = len(self.positions)
        groups = near_duplicates([*self.texts(), *labelled])
        known = set(groups[total:])
        first: dict[int, int] = {}
        for i, group in zip(self.positions, groups[:total], strict=True):
            if group not in known:
                first.setdefault(group, i)
        like_known = sum(group in known for group in groups[:total])
        self._note(like_known, "all but the same as labelled ones")
        self._note(total - like_known - len(first), "all but the same as others")
        self.keep(list(first.values()))
        self._check("they are all but the same as labelled ones")

    def sample(self, most: int) -> None:
        """Leaves at most so many, drawn evenly and always alike."""
        total = len(self.positions)
        if total > most:
            self.notes.append(f"{most:,} of the {total:,} texts, drawn at random, were compared")
            self.keep([self.positions[i] for i in _drawn(total, most)])

    def _note(self, number: int, why: str) -> None:
        if number:
            self.notes.append(f"{number:,} text{'' if number == 1 else 's'} left out: {why}")


def _drawn(total: int, count: int) -> list[int]:
    picked = np.random.default_rng(0).choice(total, count, replace=False)
    return sorted(int(i) for i in picked)


def _probabilities(
    texts: Sequence[str], source: AdapterSource, ask: Ask, progress: Progress
) -> Floats:
    """Calibrated ``(texts, classes)``."""
    manifest = source.manifest
    progress.advance(0, len(texts), ANSWERING)
    parts = []
    for start in range(0, len(texts), CHUNK):
        parts.append(ask(source, texts[start : start + CHUNK]))
        progress.advance(min(start + CHUNK, len(texts)), len(texts), ANSWERING)
    return manifest.scheme.probabilities(np.concatenate(parts), manifest.calibration.temperature)
