"""The platform in Python: texts and adapters' names in, predictions out.

Importing this imports no torch; the first classification does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from .answers import Answer, Ready, read_answers
from .bases import Base, Bases, check_base
from .engine.pool import BasePool
from .engine.protocol import AdapterSource, Row
from .errors import AdapterUnsupported, UsageError, unknown
from .postprocess import Chain, build_chain
from .predictions import Prediction
from .registry import Listener, NullListener, Registry
from .store.starters import packaged_starters
from .store.store import Store
from .tokens import Encoded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .engine.protocol import Engine
    from .labels import Kind
    from .settings import Settings
    from .store.manifest import Manifest
    from .training.prepare import Progress, TrainingRequest, Workshop
    from .training.run import Outcome, Plan

    FloatArray = NDArray[np.float32]

CHUNK = 1024  # texts in memory at once, with their tokens and logits
CHAINS = 1024  # post-processing chains kept
ENGINES = ("auto", "packed", "peft")


@dataclass(frozen=True, slots=True)
class _Asked:
    """One text, and the adapter that its name meant when the request came in."""

    text: str
    source: AdapterSource


class Platform:
    """Classifies texts with the adapters of a store. Thread-safe; a fork may go on using it.

    Args:
        registry: what plugins brought.
        listener: hears of loads and predictions, on the caller's thread.
        starters: directory of read-only adapters under the store; None: those in the package.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        listener: Listener | None = None,
        *,
        starters: Path | None = None,
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.listener: Listener = listener or NullListener()
        self.store = Store(settings.store, starters or packaged_starters())
        self.bases = Bases(registry, settings.cache)
        self._pool = BasePool(self.bases, self._make_engine, settings.resident_bases)
        self._chains: dict[str, Chain] = {}

    def __enter__(self) -> Platform:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the bases and adapters in memory once running calls have their answers."""
        self._pool.close()

    def adapters(self) -> list[Manifest]:
        """The current version of each adapter, by name; those that cannot be read are left out."""
        return self.store.manifests()

    def resolve(self, adapter: str | None = None) -> AdapterSource:
        """The adapter that a name means now; None: the one that answers when none is named.

        Raises:
            UsageError: no adapter is named and none can be taken.
            AdapterNotFound: no adapter has this name; the hint is the nearest.
        """
        return self._resolve(adapter, {})

    @overload
    def classify(
        self,
        texts: str,
        adapter: str | None = None,
        *,
        base: str | None = None,
        engine: str | None = None,
    ) -> Prediction: ...

    @overload
    def classify(
        self,
        texts: list[str] | tuple[str, ...],
        adapter: str | Sequence[str] | None = None,
        *,
        base: str | None = None,
        engine: str | None = None,
    ) -> list[Prediction]: ...

    def classify(
        self,
        texts: str | list[str] | tuple[str, ...],
        adapter: str | Sequence[str] | None = None,
        *,
        base: str | None = None,
        engine: str | None = None,
    ) -> Prediction | list[Prediction]:
        """What the adapters say of the texts, in order; a text alone gives a prediction alone.

        Args:
            adapter: ``NAME`` or ``NAME@VERSION`` for all texts, or one for each; None: the only
                adapter there is, else the default of the settings.
            base: where the adapters' own base lies, if not where its id says.
            engine: ``auto``, ``packed`` or ``peft``; None: as the settings say.

        Raises:
            UsageError: no adapter is named and none can be taken, or texts and names do not fit.
            AdapterNotFound: no adapter has this name; the hint is the nearest.
            PlatformError: an adapter, its base or its steps cannot be used.
        """
        self._check_engine(engine)
        if isinstance(texts, str):
            if adapter is not None and not isinstance(adapter, str):
                raise UsageError("one text takes one adapter", "give the texts as a list too")
            return self._predict([_Asked(texts, self._resolve(adapter, {}))], base)[0]
        checked = _texts(texts)
        asked = [
            _Asked(text, source)
            for text, source in zip(checked, self._sources(adapter, len(checked)), strict=True)
        ]
        predictions: list[Prediction] = []
        for start in range(0, len(asked), CHUNK):
            predictions += self._predict(asked[start : start + CHUNK], base)
        return predictions

    def classify_stream(
        self,
        pairs: Iterable[tuple[str, str | None]],
        *,
        chunk: int = 256,
        base: str | None = None,
        engine: str | None = None,
    ) -> Iterator[Prediction]:
        """Predictions for (text, adapter's name or None) pairs as they come, in their order.

        One request: a name means to the end what it meant at its first appearance.

        Args:
            chunk: pairs that are read ahead and answered together.

        Raises:
            as `classify`, when the answer is due.
        """
        self._check_engine(engine)
        if chunk < 1:
            raise UsageError(f"a chunk cannot hold {chunk} texts")
        return self._stream(iter(pairs), chunk, base)

    def logits(
        self, texts: Sequence[str], adapter: str | None = None, *, base: str | None = None
    ) -> FloatArray:
        """``(texts, classes)`` float32: the head's logits before calibration.

        Raises:
            as `classify`.
        """
        import numpy as np

        self._check_engine(None)
        source, texts = self._resolve(adapter, {}), _texts(texts)
        rows = [np.empty((0, len(source.manifest.scheme.classes)), np.float32)]
        for start in range(0, len(texts), CHUNK):
            asked = [_Asked(text, source) for text in texts[start : start + CHUNK]]
            for _, answers in self._run(asked, base):
                rows.append(np.stack([answer.logits for answer in answers]))
        return np.concatenate(rows)

    # Making adapters

    def train(
        self,
        name: str,
        data: str | Mapping[str, str] | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        preset: str | None = None,
        columns: Mapping[str, str] | None = None,
        kind: Kind | None = None,
        promote: bool = True,
        allow_worse: bool = False,
        progress: Progress | None = None,
    ) -> Outcome:
        """Trains an adapter and publishes it; a stopped training goes on when called the same way.

        Args:
            data: a data URI or file, or one for each split; None: those of the domain `name`.
            settings: recipe settings over the domain's, ``{"epochs": 5, "peft": {"r": 4}}``.
            columns: which columns hold what, ``{"text": "question", "label": "topic"}``.
            kind: what labels are, where the data does not make it plain.
            promote: make the new version current.
            allow_worse: even where it is worse than logistic regression on the frozen base.

        Raises:
            PlatformError: something is not fit for it; nothing was published.
        """
        from .training.prepare import Quiet
        from .training.run import train

        request = self._request(
            name, data, settings, preset, columns, kind, promote=promote, allow_worse=allow_worse
        )
        return train(request, self._workshop(), progress or Quiet())

    def plan_training(
        self,
        name: str,
        data: str | Mapping[str, str] | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        preset: str | None = None,
        columns: Mapping[str, str] | None = None,
        kind: Kind | None = None,
        promote: bool = True,
        allow_worse: bool = False,
    ) -> Plan:
        """What `train` would do with the same arguments, checked, and how long it would take."""
        from .training.run import plan

        request = self._request(
            name, data, settings, preset, columns, kind, promote=promote, allow_worse=allow_worse
        )
        return plan(request, self._workshop())

    def evaluate(
        self,
        adapter: str,
        data: str | Mapping[str, str] | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        split: str = "test",
    ) -> dict[str, Any]:
        """How good an adapter's answers are, before its post-processing steps.

        Args:
            data: labelled texts; None: those of the domain under the adapter's name.
            split: which of them; data without splits is judged whole.

        Returns:
            what `training.evaluate.evaluate` gives; on the very data that the adapter was made
            from ``baselines`` too, from its report.

        Raises:
            DataError: there are no texts to judge by.
        """
        from .training.evaluate import evaluate
        from .training.report import read
        from .training.requests import texts_to_judge

        source = self.resolve(adapter)
        manifest = source.manifest
        judging = texts_to_judge(source, self.registry, data=data, columns=columns, split=split)
        examples = judging.examples
        logits = self.logits([example.text for example in examples], manifest.reference)
        probabilities = manifest.scheme.probabilities(logits, manifest.calibration.temperature)
        found = evaluate(probabilities, examples, manifest.scheme, manifest.calibration.thresholds)
        # Baselines of other texts would compare what cannot be compared.
        same = judging.data_fingerprint == manifest.data_fingerprint
        report = read(source.path) if same else None
        if report:
            found["baselines"] = report["baselines"]
        return {"adapter": manifest.reference, **found}

    def import_adapter(
        self,
        directory: Path,
        name: str | None = None,
        base: str | None = None,
        *,
        labels: Sequence[str] | None = None,
        kind: Kind | None = None,
    ) -> Manifest:
        """Publishes an exported adapter, or a stock PEFT sequence classifier.

        Args:
            name: None: its own, or the directory's.
            base: the base that it was trained on; None: as it says itself.
            labels: a stock classifier's label names in the order of its logits, where its folder
                names none.

        Raises:
            PlatformError: it cannot be taken with its logits kept; the store is unchanged.
        """
        from .exchange.importing import import_adapter

        return import_adapter(
            directory, name=name, base=base, labels=labels, kind=kind, workshop=self._workshop()
        )

    def export_adapter(self, adapter: str, directory: Path, format: str = "platform") -> Path:
        """Writes an adapter into a new directory.

        Args:
            format: ``platform`` for what `import_adapter` takes again; ``stock`` for a classifier
                that transformers and PEFT load alone (pooler heads only).

        Raises:
            PlatformError: the format cannot hold it, or the directory is not free.
        """
        from .exchange.exporting import export_adapter

        source = self.resolve(adapter)
        return export_adapter(source, directory, format=format, bases=self.bases)

    def _request(
        self,
        name: str,
        data: str | Mapping[str, str] | None,
        settings: Mapping[str, Any] | None,
        preset: str | None,
        columns: Mapping[str, str] | None,
        kind: Kind | None,
        *,
        promote: bool,
        allow_worse: bool,
    ) -> TrainingRequest:
        from .training.requests import make_request

        return make_request(
            name,
            self.registry,
            self.settings.base,
            data=data,
            settings=settings,
            preset=preset,
            columns=columns,
            kind=kind,
            promote=promote,
            allow_worse=allow_worse,
        )

    def _workshop(self) -> Workshop:
        import torch

        from .engine.encoder import pick_device
        from .training.prepare import Workshop

        if self.settings.threads:
            torch.set_num_threads(self.settings.threads)
        return Workshop(
            self.store,
            self.bases,
            self.registry,
            self.listener,
            pick_device(self.settings.device),
            self.settings.batch_tokens,
            self.settings.cache,
        )

    # Names

    def _sources(self, adapter: str | Sequence[str] | None, texts: int) -> Sequence[AdapterSource]:
        seen: dict[str | None, AdapterSource] = {}
        if adapter is None or isinstance(adapter, str):
            return [self._resolve(adapter, seen)] * texts if texts else []
        if len(adapter) != texts:
            raise UsageError(
                f"there are {texts} texts and {len(adapter)} adapters",
                "give one adapter for all texts, or one for each",
            )
        return [self._resolve(name, seen) for name in adapter]

    def _resolve(self, name: str | None, seen: dict[str | None, AdapterSource]) -> AdapterSource:
        """What a name means, found once a request: `seen` is the request's memory."""
        if name not in seen:
            seen[name] = self.store.resolve(self._default() if name is None else name)
        return seen[name]

    def _default(self) -> str:
        names = self.store.names()
        if len(names) == 1:
            return names[0]
        if self.settings.default_adapter:
            return self.settings.default_adapter
        if not names:
            raise UsageError(
                "there are no adapters yet", "train one: platform adapters train NAME --data FILE"
            )
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        raise UsageError(
            "it is not said which adapter to ask",
            f"choose one with --adapter or PLATFORM_DEFAULT_ADAPTER: {shown}",
        )

    # Answers

    def _stream(
        self, pairs: Iterator[tuple[str, str | None]], chunk: int, base: str | None
    ) -> Iterator[Prediction]:
        seen: dict[str | None, AdapterSource] = {}
        while part := list(islice(pairs, chunk)):
            asked = [_Asked(_text(text), self._resolve(name, seen)) for text, name in part]
            yield from self._predict(asked, base)

    def _predict(self, asked: Sequence[_Asked], location: str | None) -> list[Prediction]:
        """One batch: answered base by base, told to the listener once."""
        chains = {a.source.content_hash: self._chain(a.source) for a in asked}
        predictions: dict[int, Prediction] = {}
        for ready, answers in self._run(asked, location):
            made = read_answers(ready, answers)
            chain = chains[ready.source.content_hash]
            for answer, prediction in zip(answers, made, strict=True):
                predictions[answer.index] = chain(prediction)
        ordered = [predictions[i] for i in range(len(asked))]
        if ordered:
            self.listener.on_predictions(ordered)
        return ordered

    def _run(
        self, asked: Sequence[_Asked], location: str | None
    ) -> Iterator[tuple[Ready, list[Answer]]]:
        """Each adapter's answers, in the order of `asked`; one engine call a base."""
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
                logits = dict(zip(encoded, running.engine.logits(rows), strict=True))
                name = running.engine.name
            for ready in adapters:
                at = places[ready.source.content_hash]
                answers = [Answer(i, asked[i].text, encoded[i], logits[i], name) for i in at]
                yield ready, answers

    def _by_base(self, asked: Sequence[_Asked], location: str | None) -> list[list[Ready]]:
        """The adapters that are asked, each once, with their bases; those of one base together."""
        sources = {item.source.content_hash: item.source for item in asked}
        bases: dict[str, Base] = {}
        groups: dict[str, list[Ready]] = {}
        for source in sources.values():
            base_id = location or source.manifest.base.id
            if base_id not in bases:
                bases[base_id] = self._pool.locate(base_id)
            base = bases[base_id]
            ready = Ready(source, base, check_base(source.manifest, base))
            groups.setdefault(base.fingerprint, []).append(ready)
        return list(groups.values())

    def _chain(self, source: AdapterSource) -> Chain:
        chain = self._chains.get(source.content_hash)
        if chain is None:
            chain = build_chain(source.manifest, self.registry)
            if len(self._chains) >= CHAINS:
                self._chains.clear()
            self._chains[source.content_hash] = chain
        return chain

    def _check_engine(self, engine: str | None) -> None:
        wanted = engine or self.settings.engine
        if wanted not in ENGINES:
            raise unknown("engine", wanted, ENGINES, UsageError)
        if wanted == "packed":
            raise AdapterUnsupported(
                "this version has no packed engine", "use --engine auto or --engine peft"
            )

    def _make_engine(self, base: Base) -> Engine:
        from .engine.encoder import pick_device
        from .engine.peft import PeftEngine

        settings = self.settings
        return PeftEngine(
            base,
            pick_device(settings.device),
            self.listener,
            settings.peft_resident,
            settings.batch_tokens,
            settings.threads,
        )


def _texts(texts: Any) -> list[str]:
    if not isinstance(texts, Sequence) or isinstance(texts, bytes):
        raise UsageError(f"texts must be a string or a list of them, not {type(texts).__name__}")
    return [_text(text) for text in texts]


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise UsageError(f"a text must be a string, not {type(text).__name__}")
    return text
