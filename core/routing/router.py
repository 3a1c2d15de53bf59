"""Finds the adapter for a text: the profiles of all candidates, base by base, and the judgement
whether the nearest is near enough.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING

from ..asked import Asked, Candidates, Open
from ..bases import check_base
from ..errors import AdapterCorrupt, BaseMismatch, BaseUnavailable, UsageError
from ..predictions import EMPTY, Notice, Prediction, Routing
from ..tokens import unreadable
from .profile import HOW_TO_PROFILE, POOLING, TOKENS, Profile, has_profile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..bases import Base
    from ..engine.pool import BasePool
    from ..store.source import AdapterSource
    from ..tokens import Encoded
    from .index import Index
    from .profile import Digest

log = logging.getLogger(__name__)

INDEXES = 4  # sets of candidates that are ready to be asked
PROFILES = 32  # kept for sets to come
SHOWN = 6  # names in a warning


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for a text.

    Attributes:
        source: the adapter that it belongs to; None: to none.
        notices: where it belongs to none, why.
    """

    text: str
    source: AdapterSource | None
    routing: Routing
    base: str
    engine: str
    notices: tuple[Notice, ...] = ()

    def refusal(self) -> Prediction:
        """The answer to a text that belongs to no adapter."""
        return Prediction(
            text=self.text,
            label=None,
            labels=(),
            confidence=0.0,
            probabilities={},
            adapter=None,
            version=None,
            base=self.base,
            engine=self.engine,
            abstained=True,
            warnings=self.notices,
            routing=self.routing,
        )


@dataclass(frozen=True, slots=True)
class Routed:
    """A batch in which every text that has an adapter knows it.

    Attributes:
        asked: the texts that an adapter answers, in their order.
        found: for each text of the batch what was found for it; None: its adapter was named.
    """

    asked: list[Asked]
    found: list[Found | None]

    def complete(self, answers: Iterable[Prediction]) -> list[Prediction]:
        """The whole batch's predictions, from those of `asked` in their order."""
        remaining = iter(answers)
        return [_completed(found, remaining) for found in self.found]


def _completed(found: Found | None, answers: Iterator[Prediction]) -> Prediction:
    if found is None:
        return next(answers)
    if found.source is None:
        return found.refusal()
    return replace(next(answers), routing=found.routing)


@dataclass(frozen=True, slots=True)
class _Part:
    """The candidates of one base."""

    base: Base
    sources: list[AdapterSource]
    index: Index


class Router:
    """Finds adapters by text among candidates. Thread-safe; a fork may go on using it.

    Args:
        reject: the share of training texts that are too far from the others of their adapter to
            be taken for its own, the adapter's own and all adapters' counting half each; a text
            as far belongs to no adapter. 0: every text belongs to the nearest.
    """

    def __init__(self, pool: BasePool, reject: float) -> None:
        self._pool = pool
        self._reject = reject
        # Plain dicts: two threads may read the same profile twice, which only costs time.
        self._digests: dict[str, Digest] = {}
        self._profiles: dict[str, Profile] = {}
        self._indexes: dict[tuple[str, ...], Index] = {}
        self._told: set[str] = set()

    def route(self, asked: Sequence[Asked | Open], location: str | None, engine: str) -> Routed:
        """Finds the adapters that are not named.

        Args:
            location: where the adapters' own base lies, if not where its id says.
            engine: who runs the base: ``auto``, ``packed``, ``numpy`` or ``peft``.

        Raises:
            UsageError: no candidate can be chosen by text.
            PlatformError: a base cannot be run.
        """
        found: list[Found | None] = [None] * len(asked)
        fields: dict[Candidates, list[int]] = {}
        for i, item in enumerate(asked):
            if isinstance(item, Open):
                fields.setdefault(item.candidates, []).append(i)
        for candidates, places in fields.items():
            texts = [asked[i].text for i in places]
            parts = self._parts(candidates, location)
            for i, one in zip(places, self._find(texts, parts, engine), strict=True):
                found[i] = one
        answered = []
        for item, of_text in zip(asked, found, strict=True):
            if isinstance(item, Asked):
                answered.append(item)
            elif of_text is not None and of_text.source is not None:
                answered.append(Asked(item.text, of_text.source))
        return Routed(answered, found)

    def _find(self, texts: Sequence[str], parts: Sequence[_Part], engine: str) -> list[Found]:
        """The adapter of each text: on each base the nearest, of those the least strange."""
        by_base = [self._on_base(texts, part, engine) for part in parts]
        return [max(of_text, key=itemgetter(0))[1] for of_text in zip(*by_base, strict=True)]

    def _on_base(self, texts: Sequence[str], part: _Part, engine: str) -> list[tuple[float, Found]]:
        """For each text the nearest adapter of one base, and how well it stands with it."""
        with self._pool.lend(part.base) as running:
            encoded = running.tokenizer.encode(texts, TOKENS)
            rows = [one.ids for one in encoded]
            features, ran = running.engines.features(rows, POOLING, engine)
        nearest = part.index.nearest(features)
        found = []
        for i, (text, one) in enumerate(zip(texts, encoded, strict=True)):
            source = part.sources[nearest.first[i]]
            second = nearest.second[i]
            routing = Routing(
                nearest=source.manifest.name,
                similarity=float(nearest.similarities[i, 0]),
                typicality=float(nearest.typicality[i]),
                runner_up=part.sources[second].manifest.name if second >= 0 else None,
                runner_up_similarity=float(nearest.similarities[i, 1]) if second >= 0 else None,
            )
            belongs = bool(text.strip()) and routing.typicality >= self._reject
            found.append(
                (
                    float(nearest.standing[i]),
                    Found(
                        text=text,
                        source=source if belongs else None,
                        routing=routing,
                        base=part.base.id,
                        engine=ran,
                        notices=() if belongs else _reasons(text, one, part.base, routing),
                    ),
                )
            )
        return found

    def _parts(self, candidates: Candidates, location: str | None) -> list[_Part]:
        """The candidates that can be chosen by text, by base; a warning names the others.

        Raises:
            UsageError: there are none.
        """
        parts: dict[str, tuple[Base, list[AdapterSource]]] = {}
        bases: dict[str, Base] = {}
        for source in candidates.sources:
            manifest = source.manifest
            if not has_profile(manifest):
                continue
            base_id = location or manifest.base.id
            try:
                if base_id not in bases:
                    bases[base_id] = self._pool.locate(manifest, location)
                base = bases[base_id]
                check_base(manifest, base)
                if source.content_hash not in self._digests:
                    self._digests[source.content_hash] = self._profile(source).digest()
            except (BaseUnavailable, BaseMismatch, AdapterCorrupt) as error:
                self._warn(f"auto leaves {manifest.reference} out: {error.message}")
                continue
            parts.setdefault(base.fingerprint, (base, []))[1].append(source)
        if not parts:
            raise UsageError(
                f"{candidates.reference!r} has no adapter to choose: none can be used here"
            )
        without = [s.manifest.name for s in candidates.sources if not has_profile(s.manifest)]
        if without:
            shown = ", ".join(without[:SHOWN]) + (", ..." if len(without) > SHOWN else "")
            self._warn(f"auto leaves out {shown}: no routing profile ({HOW_TO_PROFILE})")
        return [_Part(base, of, self._index(of)) for base, of in parts.values()]

    def _index(self, sources: Sequence[AdapterSource]) -> Index:
        from .index import Index

        key = tuple(source.content_hash for source in sources)
        index = self._indexes.get(key)
        if index is None:
            digests = [self._digests[content_hash] for content_hash in key]
            index = Index(digests, lambda number: self._profile(sources[number]))
            if len(self._indexes) >= INDEXES:
                self._indexes.clear()
            self._indexes[key] = index
        return index

    def _profile(self, source: AdapterSource) -> Profile:
        profile = self._profiles.get(source.content_hash)
        if profile is None:
            profile = Profile.load(source)
            if len(self._profiles) >= PROFILES:
                self._profiles.clear()
            self._profiles[source.content_hash] = profile
        return profile

    def _warn(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            log.warning("%s", sentence)


def _reasons(text: str, encoded: Encoded, base: Base, routing: Routing) -> tuple[Notice, ...]:
    """Why a text belongs to no adapter."""
    nobody = Notice(
        "no_adapter",
        f"the text is unlike those that any adapter was trained on; nearest is {routing.nearest!r}",
    )
    if not text.strip():
        return EMPTY, nobody
    return *unreadable(text, encoded, base, 0.0), nobody
