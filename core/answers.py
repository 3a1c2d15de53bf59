"""What is asked in, predictions out: run base by base, read by its scheme, changed by its steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from .asked import Asked, check_texts, parts
from .bases import Base, check_base
from .engine.protocol import Answer, Row
from .engine.resident import Residents
from .postprocess import Chain, build_chain
from .predictions import EMPTY, TRUNCATED, Notice, Prediction
from .scope import Scope, has_scope, read_scope
from .tokens import Encoded, unreadable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .asked import Open
    from .engine.pool import BasePool
    from .registry import Listener, Registry
    from .routing.router import Routed, Router
    from .store.manifest import Manifest
    from .store.source import AdapterSource

    FloatArray = NDArray[np.float32]

CHUNK = 1024  # texts in memory at once, with their tokens and logits
SCOPES = 4  # of the room for adapters their scopes get one in so many; they are smaller
CHAINS = 1024  # post-processing chains kept
AHEAD = 1  # batches of a stream that are ready for the engine while it runs another


@dataclass(frozen=True, slots=True)
class Ready:
    """An adapter with its base, and a sentence if the base has changed."""

    source: AdapterSource
    base: Base
    warning: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What is asked together, as an engine takes it.

    Attributes:
        adapters: each once, those of one base together.
        places: by content hash, which of `asked` an adapter answers.
        encoded: the texts' tokens, in the order of `asked`.
        routed: what was found for texts whose adapter was not named; None: all were.
    """

    asked: Sequence[Asked]
    adapters: list[list[Ready]]
    places: dict[str, list[int]]
    encoded: list[Encoded]
    routed: Routed | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What the engines made of a batch.

    Attributes:
        answers: one for each text, in the batch's order.
        engines: by content hash, which engine ran an adapter.
    """

    batch: Batch
    answers: list[Answer]
    engines: dict[str, str]


@dataclass(frozen=True, slots=True)
class Said:
    """What an adapter says of a text.

    Attributes:
        logits: ``(classes,)`` before calibration.
        plain: the prediction before any step; `answer` after all of them.
    """

    logits: FloatArray
    plain: Prediction
    answer: Prediction


class Answering:
    """Answers batches that may mix adapters and bases. Thread-safe.

    Args:
        router: finds the adapters of texts that name none.
        registry: has the steps that adapters name.
        listener: hears of each batch, on the caller's thread.
        room: bytes of adapters that an engine holds.
    """

    def __init__(
        self, pool: BasePool, router: Router, registry: Registry, listener: Listener, room: int
    ) -> None:
        self._pool = pool
        self._router = router
        self._registry = registry
        self._listener = listener
        self._chains: dict[str, Chain] = {}
        self._scopes = Residents(read_scope, room // SCOPES, "scope")

    def predictions(
        self, asked: Sequence[Asked | Open], location: str | None, engine: str
    ) -> list[Prediction]:
        """Predictions in the order of what is asked; each chunk is told to the listener once.

        Args:
            location: where the adapters' own base lies, if not where its id says.
            engine: ``auto``, ``packed``, ``numpy`` or ``peft``.

        Raises:
            PlatformError: an adapter, its base or its steps cannot be used.
        """
        return [
            prediction
            for part in parts(asked, CHUNK)
            for prediction in self._read(self._run(self._prepare(part, location, engine), engine))
        ]

    def stream(
        self, asked: Iterable[Sequence[Asked | Open]], location: str | None, engine: str
    ) -> Generator[list[Prediction]]:
        """Each part's predictions, in order; a part is a batch, told to the listener once.

        An empty part has an empty list in its place, and nobody is told.

        While the engine runs one part, the next are read and tokenised and the one before is put
        into predictions, all on the caller's thread. Whatever fails is raised in its place, after
        the predictions before it.

        Raises:
            as `predictions`.
        """
        running: deque[Future[Answered]] = deque()
        with ThreadPoolExecutor(1, "stream") as runner:
            try:
                failure: Exception | None = None
                remaining = iter(asked)
                while True:
                    try:
                        batch = self._prepare(next(remaining), location, engine)
                    except StopIteration:
                        break
                    except Exception as error:  # noqa: BLE001 - raised once its turn has come
                        failure = error
                        break
                    running.append(runner.submit(self._run, batch, engine))
                    if len(running) > AHEAD:
                        yield self._read(running.popleft().result())
                while running:
                    yield self._read(running.popleft().result())
                if failure is not None:
                    raise failure
            finally:
                for future in running:
                    future.cancel()

    def logits(
        self, source: AdapterSource, texts: Sequence[str], location: str | None, engine: str
    ) -> FloatArray:
        """``(texts, classes)`` float32: an adapter's logits before calibration.

        Raises:
            UsageError: what is no text is among them.
            as `predictions`.
        """
        import numpy as np

        rows = [answer.logits for answer in self._answers(source, texts, location, engine)]
        return np.array(rows, np.float32).reshape(-1, len(source.manifest.scheme.classes))

    def pooled(
        self, source: AdapterSource, texts: Sequence[str], location: str | None, engine: str
    ) -> FloatArray:
        """``(texts, hidden)`` float32: the states that its head reads. Raises as `logits`."""
        import numpy as np

        rows = [answer.pooled for answer in self._answers(source, texts, location, engine)]
        return np.array(rows, np.float32).reshape(-1, source.manifest.base.hidden_size)

    def _answers(
        self, source: AdapterSource, texts: Sequence[str], location: str | None, engine: str
    ) -> list[Answer]:
        asked = [Asked(text, source) for text in check_texts(texts)]
        return [
            answer
            for part in parts(asked, CHUNK)
            for answer in self._run(self._encode(part, location), engine).answers
        ]

    def said(
        self, texts: Sequence[str], source: AdapterSource, location: str | None, engine: str
    ) -> list[Said]:
        """What an adapter says of each text, in their order, before and after its steps.

        The listener does not hear of it.

        Raises:
            as `predictions`.
        """
        chain = self._chain(source)
        found: list[Said] = []
        for part in parts([Asked(text, source) for text in check_texts(texts)], CHUNK):
            answered = self._run(self._encode(part, location), engine)
            ((ready,),) = answered.batch.adapters
            read = read_answers(ready, self._scope(source), answered, range(len(part)))
            found += [
                Said(answer.logits, plain, chain(plain))
                for answer, plain in zip(answered.answers, read, strict=True)
            ]
        return found

    def _prepare(self, asked: Sequence[Asked | Open], location: str | None, engine: str) -> Batch:
        """The batch, once it is known who answers what, and that the predictions can be made."""
        routed = self._router.route(asked, location, engine)
        for source in {item.source.content_hash: item.source for item in routed.asked}.values():
            self._chain(source)
            self._scope(source)
        return replace(self._encode(routed.asked, location), routed=routed)

    def _encode(self, asked: Sequence[Asked], location: str | None) -> Batch:
        places: dict[str, list[int]] = {}
        for index, item in enumerate(asked):
            places.setdefault(item.source.content_hash, []).append(index)
        adapters = self._by_base(asked, location)
        encoded: dict[int, Encoded] = {}
        for of_base in adapters:
            with self._pool.lend(of_base[0].base) as running:
                for ready in of_base:
                    at = places[ready.source.content_hash]
                    manifest = ready.source.manifest
                    texts = [asked[i].text for i in at]
                    limit, stride = manifest.max_length, manifest.window_stride
                    encoded |= zip(at, running.tokenizer.encode(texts, limit, stride), strict=True)
        return Batch(asked, adapters, places, [encoded[i] for i in range(len(asked))])

    def _run(self, batch: Batch, engine: str) -> Answered:
        """One call an engine of a base, for all windows on all texts."""
        answers: dict[int, Answer] = {}
        engines: dict[str, str] = {}
        for of_base in batch.adapters:
            at = [i for ready in of_base for i in batch.places[ready.source.content_hash]]
            windows = [(batch.encoded[i].ids, *batch.encoded[i].further) for i in at]
            rows = [
                Row(ids, batch.asked[i].source)
                for i, of_text in zip(at, windows, strict=True)
                for ids in of_text
            ]
            with self._pool.lend(of_base[0].base) as running:
                found = iter(running.engines.answers(rows, engine))
                for i, of_text in zip(at, windows, strict=True):
                    judged = list(islice(found, len(of_text)))
                    answers[i] = mean_answer([answer for answer, _ in judged], of_text)
                    engines[batch.asked[i].source.content_hash] = judged[0][1]
        return Answered(batch, [answers[i] for i in range(len(batch.asked))], engines)

    def _read(self, answered: Answered) -> list[Prediction]:
        batch = answered.batch
        found: dict[int, Prediction] = {}
        for ready in (ready for of_base in batch.adapters for ready in of_base):
            chain = self._chain(ready.source)
            at = batch.places[ready.source.content_hash]
            read = read_answers(ready, self._scope(ready.source), answered, at)
            found |= {i: chain(prediction) for i, prediction in zip(at, read, strict=True)}
        ordered = [found[index] for index in range(len(batch.asked))]
        if batch.routed is not None:
            ordered = batch.routed.complete(ordered)
        if ordered:
            self._listener.on_predictions(ordered)
        return ordered

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

    def _scope(self, source: AdapterSource) -> Scope | None:
        return self._scopes.get(source)[0] if has_scope(source.manifest) else None


def one_by_one(batches: Generator[list[Prediction]]) -> Iterator[Prediction]:
    """A stream's predictions; whoever leaves them ends the stream too."""
    with closing(batches):
        for batch in batches:
            yield from batch


def mean_answer(answers: Sequence[Answer], windows: Sequence[tuple[int, ...]]) -> Answer:
    """The answer for a text from those of its windows, each counted by its tokens.

    A head is linear, so where it pools by the mean this is, to the rounding, the head on the mean
    over all tokens of all windows; for the other poolings it is the mean judgement. The
    temperature of the calibration divides it as it would divide each.
    """
    if len(answers) == 1:
        return answers[0]
    import numpy as np

    weights = [len(ids) for ids in windows]

    def mean(rows: Sequence[FloatArray]) -> FloatArray:
        return np.average(np.stack(rows), axis=0, weights=weights).astype(np.float32)

    return Answer(mean([a.logits for a in answers]), mean([a.pooled for a in answers]))


def read_answers(
    ready: Ready, scope: Scope | None, answered: Answered, places: Sequence[int]
) -> list[Prediction]:
    """One adapter's answers, calibrated and read by its label scheme, before any step.

    Args:
        places: of the batch's texts, those that it answers.
    """
    import numpy as np

    manifest, batch = ready.source.manifest, answered.batch
    logits = np.stack([answered.answers[i].logits for i in places])
    rows = manifest.scheme.probabilities(logits, manifest.calibration.temperature).tolist()
    shares: list[float] | list[None] = [None] * len(places)
    if scope is not None:
        pooled = np.stack([answered.answers[i].pooled for i in places])
        energies = manifest.scheme.energies(logits, manifest.calibration.temperature)
        shares = scope.shares(pooled, energies).tolist()
    engine = answered.engines[ready.source.content_hash]
    predictions = []
    for i, row, share in zip(places, rows, shares, strict=True):
        text, encoded = batch.asked[i].text, batch.encoded[i]
        predictions.append(
            replace(
                read_row(manifest, text, row, share),
                base=ready.base.id,
                engine=engine,
                truncated=encoded.truncated,
                windows=1 + len(encoded.further),
                warnings=_notices(ready, text, encoded),
            )
        )
    return predictions


def read_row(
    manifest: Manifest, text: str, probabilities: Sequence[float], scope: float | None
) -> Prediction:
    """What an adapter says of a text by itself, whoever ran it, before any step.

    Args:
        probabilities: ``(classes,)``, calibrated.
    """
    decision = manifest.scheme.decide(probabilities, manifest.calibration.thresholds)
    return Prediction(
        text=text,
        label=decision.label,
        labels=decision.labels,
        confidence=decision.confidence,
        probabilities=dict(zip(manifest.scheme.classes, probabilities, strict=True)),
        adapter=manifest.name,
        version=manifest.version,
        base=manifest.base.id,
        engine="",
        path=decision.path,
        scope=scope,
    )


def _notices(ready: Ready, text: str, encoded: Encoded) -> tuple[Notice, ...]:
    changed = (Notice("base_changed", ready.warning),) if ready.warning else ()
    if not text.strip():
        return (*changed, EMPTY)
    cut = (TRUNCATED,) if encoded.truncated else ()
    density = ready.source.manifest.tokens_per_character
    return (*changed, *cut, *unreadable(text, encoded, ready.base, density))
