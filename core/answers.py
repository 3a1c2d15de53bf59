"""What is asked in, predictions out: run base by base, read by its scheme, changed by its steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .bases import Base, check_base
from .engine.protocol import Row
from .postprocess import Chain, build_chain
from .predictions import Notice, Prediction
from .tokens import Encoded, unreadable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .asked import Asked
    from .engine.pool import BasePool
    from .registry import Listener, Registry
    from .store.manifest import Manifest
    from .store.source import AdapterSource

    FloatArray = NDArray[np.float32]

CHAINS = 1024  # post-processing chains kept
EMPTY = Notice("empty_text", "the text is empty, so the answer means nothing")


@dataclass(frozen=True, slots=True)
class Ready:
    """An adapter with its base, and a sentence if the base has changed."""

    source: AdapterSource
    base: Base
    warning: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Logits ``(classes,)`` for the text at `index` of the batch."""

    index: int
    text: str
    encoded: Encoded
    logits: FloatArray
    engine: str


class Answering:
    """Answers batches that may mix adapters and bases. Thread-safe.

    Args:
        registry: has the steps that adapters name.
        listener: hears of each batch, on the caller's thread.
    """

    def __init__(self, pool: BasePool, registry: Registry, listener: Listener) -> None:
        self._pool = pool
        self._registry = registry
        self._listener = listener
        self._chains: dict[str, Chain] = {}

    def predictions(
        self, asked: Sequence[Asked], location: str | None, engine: str
    ) -> list[Prediction]:
        """One batch's predictions in its order, told to the listener once.

        Args:
            location: where the adapters' own base lies, if not where its id says.
            engine: ``auto``, ``packed``, ``numpy`` or ``peft``.

        Raises:
            PlatformError: an adapter, its base or its steps cannot be used.
        """
        chains = {a.source.content_hash: self._chain(a.source) for a in asked}
        found: dict[int, Prediction] = {}
        for ready, answers in self._answers(asked, location, engine):
            chain = chains[ready.source.content_hash]
            read = read_answers(ready, answers)
            found |= {a.index: chain(p) for a, p in zip(answers, read, strict=True)}
        ordered = [found[index] for index in range(len(asked))]
        if ordered:
            self._listener.on_predictions(ordered)
        return ordered

    def logits(self, asked: Sequence[Asked], location: str | None, engine: str) -> list[FloatArray]:
        """``(classes,)`` float32 before calibration for each text, in their order.

        Raises:
            as `predictions`.
        """
        answered = self._answers(asked, location, engine)
        found = {a.index: a.logits for _, some in answered for a in some}
        return [found[index] for index in range(len(asked))]

    def _answers(
        self, asked: Sequence[Asked], location: str | None, engine: str
    ) -> Iterator[tuple[Ready, list[Answer]]]:
        """Each adapter's answers, in the order of `asked`; one call an engine of a base."""
        places: dict[str, list[int]] = {}
        for index, item in enumerate(asked):
            places.setdefault(item.source.content_hash, []).append(index)
        for adapters in self._by_base(asked, location):
            with self._pool.lend(adapters[0].base) as running:
                encoded: dict[int, Encoded] = {}
                for ready in adapters:
                    at = places[ready.source.content_hash]
                    limit = ready.source.manifest.max_length
                    ids = running.tokenizer.encode([asked[i].text for i in at], limit)
                    encoded |= dict(zip(at, ids, strict=True))
                rows = [Row(encoded[i].ids, asked[i].source) for i in encoded]
                judged = dict(zip(encoded, running.engines.logits(rows, engine), strict=True))
            for ready in adapters:
                at = places[ready.source.content_hash]
                yield ready, [Answer(i, asked[i].text, encoded[i], *judged[i]) for i in at]

    def _by_base(self, asked: Sequence[Asked], location: str | None) -> list[list[Ready]]:
        """The adapters that are asked, each once, with their bases; those of one base together."""
        sources = {item.source.content_hash: item.source for item in asked}
        bases: dict[str, Base] = {}
        groups: dict[str, list[Ready]] = {}
        for source in sources.values():
            base_id = location or source.manifest.base.id
            if base_id not in bases:
                bases[base_id] = self._pool.locate(source.manifest, location)
            base = bases[base_id]
            ready = Ready(source, base, check_base(source.manifest, base))
            groups.setdefault(base.fingerprint, []).append(ready)
        return list(groups.values())

    def _chain(self, source: AdapterSource) -> Chain:
        chain = self._chains.get(source.content_hash)
        if chain is None:
            chain = build_chain(source.manifest, self._registry)
            if len(self._chains) >= CHAINS:
                self._chains.clear()
            self._chains[source.content_hash] = chain
        return chain


def read_answers(ready: Ready, answers: Sequence[Answer]) -> list[Prediction]:
    """One adapter's answers, calibrated and read by its label scheme, before any step."""
    import numpy as np

    manifest, base = ready.source.manifest, ready.base
    logits = np.stack([answer.logits for answer in answers])
    rows = manifest.scheme.probabilities(logits, manifest.calibration.temperature)
    return [
        _prediction(manifest, base, answer, row.tolist(), _notices(ready, answer))
        for answer, row in zip(answers, rows, strict=True)
    ]


def _prediction(
    manifest: Manifest,
    base: Base,
    answer: Answer,
    row: Sequence[float],
    warnings: tuple[Notice, ...],
) -> Prediction:
    decision = manifest.scheme.decide(row, manifest.calibration.thresholds)
    return Prediction(
        text=answer.text,
        label=decision.label,
        labels=decision.labels,
        confidence=decision.confidence,
        probabilities=dict(zip(manifest.scheme.classes, row, strict=True)),
        adapter=manifest.name,
        version=manifest.version,
        base=base.id,
        engine=answer.engine,
        path=decision.path,
        truncated=answer.encoded.truncated,
        warnings=warnings,
    )


def _notices(ready: Ready, answer: Answer) -> tuple[Notice, ...]:
    changed = (Notice("base_changed", ready.warning),) if ready.warning else ()
    if not answer.text.strip():
        return (*changed, EMPTY)
    density = ready.source.manifest.tokens_per_character
    return (*changed, *unreadable(answer.text, answer.encoded, ready.base, density))
