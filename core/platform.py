"""The platform in Python: texts and adapters' names in, predictions out.

Importing this imports no torch; training does, and classification once there is much to classify.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from .answers import Answering, Said, one_by_one
from .asked import Candidates, Names, check_text, check_texts, pair, parts
from .bases import Bases
from .engine.choice import ColdStart, Engines, check_engine
from .engine.pool import BasePool
from .errors import UsageError
from .registry import Listener, NullListener, Registry
from .routing.router import Router
from .store.starters import packaged_starters
from .store.store import Store

if TYPE_CHECKING:
    from typing import Unpack

    import numpy as np
    from numpy.typing import NDArray

    from .care.label_errors import LabelErrors
    from .care.suggest import Suggestions
    from .data.example import Dataset
    from .labels import Kind
    from .predictions import Prediction
    from .settings import Settings
    from .store.manifest import Manifest
    from .store.source import AdapterSource
    from .training.compare import Comparison
    from .training.judge import Ask
    from .training.requests import Data, TrainingOptions, TrainingRequest
    from .training.run import Outcome, Plan
    from .training.tuning import Search
    from .training.workshop import Progress, Workshop

    FloatArray = NDArray[np.float32]


class Platform:
    """Classifies texts with the adapters of a store. Thread-safe; a fork may go on using it.

    Args:
        registry: what plugins brought.
        listener: hears of loads and predictions, on the caller's thread; see `classify_stream`.
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
        self._start = ColdStart(settings.numpy_tokens)
        engines = partial(Engines, settings=settings, listener=self.listener, start=self._start)
        self._pool = BasePool(self.bases, engines, settings.resident_bases)
        router = Router(self._pool, settings.route_reject)
        room = settings.adapter_megabytes * 1_000_000
        self._answering = Answering(self._pool, router, registry, self.listener, room)

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
            UsageError: no adapter is named and none can be taken, or ``auto`` is.
            AdapterNotFound: no adapter has this name; the hint is the nearest.
        """
        return self._names().source(adapter)

    def meaning(self, adapter: str | None = None) -> AdapterSource | Candidates:
        """As `resolve`; for ``auto`` the adapters that it would choose among.

        Raises:
            as `resolve`, but not for ``auto``.
        """
        return self._names().meaning(adapter)

    # Answering

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
            adapter: ``NAME`` or ``NAME@VERSION`` for all texts, or one for each; ``auto``: that
                which a text belongs to, or none; ``auto:NAME,NAME``: the same among these; None:
                the only adapter there is, else the default of the settings.
            base: where the adapters' own base lies, if not where its id says.
            engine: ``auto``, ``packed``, ``numpy`` or ``peft``; None: as the settings say.

        Raises:
            UsageError: no adapter is named and none can be taken, or texts and names do not fit.
            AdapterNotFound: no adapter has this name; the hint is the nearest.
            PlatformError: an adapter, its base or its steps cannot be used.
        """
        wanted = check_engine(engine or self.settings.engine)
        if isinstance(texts, str):
            if adapter is not None and not isinstance(adapter, str):
                raise UsageError("one text takes one adapter", "give the texts as a list too")
            asked = self._names().asked(texts, adapter)
            return self._answering.predictions([asked], base, wanted)[0]
        return self._answering.predictions(pair(texts, adapter, self._names()), base, wanted)

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

        While a chunk is classified, the next is read and tokenised, on the caller's thread; the
        engine runs, and tells the listener what it loads, on a thread of the stream's own.

        Args:
            chunk: pairs that are answered together; at most two chunks are read ahead of the
                predictions.

        Raises:
            as `classify`, when the answer is due.
        """
        wanted = check_engine(engine or self.settings.engine)
        if chunk < 1:
            raise UsageError(f"a chunk cannot hold {chunk} texts")
        names = self._names()
        asked = (names.asked(check_text(text), name) for text, name in pairs)
        return one_by_one(self._answering.stream(parts(asked, chunk), base, wanted))

    def classify_batches(
        self,
        batches: Iterable[Sequence[tuple[str, str | None]]],
        *,
        base: str | None = None,
        engine: str | None = None,
    ) -> Iterator[list[Prediction]]:
        """`classify_stream` where the caller says which pairs are answered together.

        Args:
            batches: each may be of any size; an empty one gets an empty list in its place. At most
                two are read ahead of the predictions.

        Raises:
            as `classify_stream`.
        """
        wanted = check_engine(engine or self.settings.engine)
        names = self._names()
        asked = ([names.asked(check_text(text), name) for text, name in batch] for batch in batches)
        return self._answering.stream(asked, base, wanted)

    def end_cold_start(self) -> None:
        """From here on NumPy answers only where it is named as the engine.

        For answers that are to be equal to the last digit, however a process is first asked.
        """
        self._start.end()

    def logits(
        self, texts: Sequence[str], adapter: str | None = None, *, base: str | None = None
    ) -> FloatArray:
        """``(texts, classes)`` float32: the head's logits before calibration.

        Raises:
            as `classify`.
        """
        return self._ask(base)(self.resolve(adapter), texts)

    def pooled(
        self, texts: Sequence[str], adapter: str | None = None, *, base: str | None = None
    ) -> FloatArray:
        """``(texts, hidden)`` float32: the states that the head reads.

        Raises:
            as `classify`.
        """
        engine = self.settings.engine
        return self._answering.pooled(self.resolve(adapter), texts, base, engine)

    def _ask(self, base: str | None) -> Ask:
        """Logits as judging and suggesting ask for them."""
        return partial(self._answering.logits, location=base, engine=self.settings.engine)

    def _said(self, source: AdapterSource, texts: Sequence[str], base: str | None) -> list[Said]:
        return self._answering.said(texts, source, base, self.settings.engine)

    def _names(self) -> Names:
        return Names(self.store, self.settings.default_adapter)

    # Making adapters

    def train(
        self,
        name: str,
        data: Data | None = None,
        *,
        progress: Progress | None = None,
        **options: Unpack[TrainingOptions],
    ) -> Outcome:
        """Trains an adapter and publishes it; a stopped training goes on when called the same way.

        Args:
            data: a data URI or file, or one for each split; None: those of the domain `name`.
            options: ``settings={"epochs": 5}``, ``columns={"text": "question"}`` and whatever else
                `training.requests.TrainingOptions` lists.

        Raises:
            PlatformError: something is not fit for it; nothing was published.
        """
        from .training.run import train

        return train(self._request(name, data, options), self._workshop(), _told(progress))

    def plan_training(
        self, name: str, data: Data | None = None, **options: Unpack[TrainingOptions]
    ) -> Plan:
        """What `train` would do with the same arguments, checked, and how long it would take."""
        from .training.run import plan

        return plan(self._request(name, data, options), self._workshop())

    def tune(
        self,
        name: str,
        data: Data | None = None,
        *,
        trials: int = 20,
        timeout: float | None = None,
        space: str | Path | None = None,
        restart: bool = False,
        progress: Progress | None = None,
        **options: Unpack[TrainingOptions],
    ) -> Search:
        """Searches recipe settings by trainings that validation judges; publishes nothing.

        Trials are kept in the cache, so a search that was stopped goes on when called the same way.

        Args:
            data: as in `train`.
            trials: how many there are to be in the end, those of earlier calls included.
            timeout: seconds after which no further trial begins.
            space: a TOML file of what to try (`training.space.read_space`); None: what fits the
                amount of data.
            restart: forget the trials of earlier calls.
            options: as in `train`; the search is around the recipe that they make.

        Raises:
            PlatformError: something is not fit for it, Optuna is missing, or no trial was trained.
        """
        from .training.tuning import tune

        return tune(
            self._request(name, data, options),
            self._workshop(),
            _told(progress),
            trials=trials,
            timeout=timeout,
            space=None if space is None else Path(space),
            restart=restart,
        )

    def add_profile(
        self,
        adapter: str,
        data: Data | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        base: str | None = None,
        progress: Progress | None = None,
    ) -> Manifest:
        """Publishes an adapter's next version, the same but for what ``auto`` finds it by.

        Trainings do so by themselves; this is for adapters from before, and from elsewhere.

        Args:
            data: labelled texts of the adapter's kind, of which those for training count; None:
                those of the domain under the adapter's name.
            base: where the adapter's own base lies, if not where its id says.

        Returns:
            the new version's manifest; the adapter's own where it has this very profile already.

        Raises:
            DataError: there are no texts.
            PlatformError: the adapter is damaged, or its base is not here.
        """
        from .training.judge import PROFILING, split_texts
        from .training.profiling import add_profile

        source = self.resolve(adapter)
        texts = split_texts(
            source, self.registry, data=data, columns=columns, split="train", purpose=PROFILING
        )
        return add_profile(source, texts.examples, base, self._workshop(), _told(progress))

    def evaluate(
        self,
        adapter: str,
        data: Data | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        split: str = "test",
        base: str | None = None,
    ) -> dict[str, Any]:
        """How good an adapter's answers are, before its post-processing steps and after them.

        Args:
            data: labelled texts; None: those of the domain under the adapter's name.
            split: which of them; data without splits is judged whole. Texts that the adapter was
                trained on or chosen by are left out, unless they are asked for.
            base: where the adapter's own base lies, if not where its id says.

        Returns:
            what `training.evaluate.evaluate` gives of the answers before any step; where the
            adapter has steps that may withhold or change answers, ``after_steps``
            (`training.after_steps.AfterSteps`); on the very data that the adapter was made from,
            and none left out, ``baselines`` too, from its report; ``split``, ``seen`` and
            ``unknown`` as `training.judge.Judging` has them.

        Raises:
            DataError: there are no texts to judge by, or the adapter has seen them all.
        """
        from .training.judge import judge

        source, ask = self.resolve(adapter), self._ask(base)
        hear = partial(self._said, base=base)
        return judge(source, self.registry, ask, hear, data=data, columns=columns, split=split)

    def compare(
        self,
        a: str,
        b: str,
        data: Data | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        split: str = "test",
        base: str | None = None,
    ) -> Comparison:
        """Two adapters with the same labels, before post-processing, on texts that are new to both.

        Args:
            data, columns, split: as `evaluate` reads them for `a`.
            base: where the adapters' own base lies, if not where its id says.

        Raises:
            UsageError: they are one, or have different labels.
            DataError: there are no texts to judge by, or one or the other has seen each.
        """
        from .training.compare import compare_by_data

        one, other, ask = self.resolve(a), self.resolve(b), self._ask(base)
        return compare_by_data(
            one, other, self.registry, ask, data=data, columns=columns, split=split
        )

    def import_adapter(
        self,
        directory: str | Path,
        name: str | None = None,
        base: str | None = None,
        *,
        labels: Sequence[str] | None = None,
        kind: Kind | None = None,
        promote: bool = True,
        allow_worse: bool = False,
    ) -> Manifest:
        """Publishes an exported adapter, or a stock PEFT sequence classifier.

        Args:
            name: None: its own, or the directory's.
            base: the base that it was trained on; None: as it says itself.
            labels: a stock classifier's label names in the order of its logits, where its folder
                names none.
            promote: make it the current version.
            allow_worse: make an exported adapter current even where it was worse than the probe.

        Raises:
            PlatformError: it cannot be taken with its logits kept; the store is unchanged.
        """
        from .exchange.importing import import_adapter

        return import_adapter(
            Path(directory),
            name=name,
            base=base,
            labels=labels,
            kind=kind,
            promote=promote,
            allow_worse=allow_worse,
            workshop=self._workshop(),
        )

    def import_legacy(
        self,
        directory: str | Path,
        base: str,
        name: str | None = None,
        *,
        labels: Sequence[str] | None = None,
        promote: bool = True,
    ) -> Manifest:
        """Publishes a checkpoint of the hand-written LoRALayer, a folder with `lora_weights.pth`.

        Args:
            base: the base that it was trained on.
            name: None: the directory's.
            labels: its label names in the order of its logits; None: from its `label_map.json`.
            promote: make it the current version.

        Raises:
            PlatformError: it cannot be taken with its logits kept; the store is unchanged.
        """
        from .exchange.importing import import_legacy

        return import_legacy(
            Path(directory),
            base,
            name=name,
            labels=labels,
            promote=promote,
            workshop=self._workshop(),
        )

    def export_adapter(
        self,
        adapter: str,
        directory: str | Path,
        format: str = "platform",
        *,
        base: str | None = None,
    ) -> Path:
        """Writes an adapter into a new directory.

        Args:
            format: ``platform`` for what `import_adapter` takes again; ``stock`` for a classifier
                that transformers and PEFT load alone (pooler heads only).
            base: where the adapter's own base lies, if not where its id says; a stock export is
                proved on it.

        Raises:
            PlatformError: the format cannot hold it, or the directory is not free.
        """
        from .exchange.exporting import export_adapter

        source = self.resolve(adapter)
        return export_adapter(
            source, Path(directory), format=format, bases=self.bases, location=base
        )

    # Looking after data

    def find_label_errors(
        self,
        dataset: Dataset,
        base: str | None = None,
        *,
        max_length: int | None = None,
        progress: Progress | None = None,
    ) -> LabelErrors:
        """Labels that the other texts of the data set contradict, as a base reads them.

        Args:
            base: None: the settings'.
            max_length: tokens that are read of a text; None: the recipe's default.

        Raises:
            DataError: there are too few texts to judge by.
            BaseUnavailable: the base is not here.
        """
        from .care.label_errors import find_label_errors

        judge = self.bases.resolve(base or self.settings.base)
        return find_label_errors(dataset, judge, max_length, self._workshop(), _told(progress))

    def suggest(
        self,
        texts: Sequence[str],
        count: int = 50,
        adapter: str | None = None,
        *,
        base: str | None = None,
        labelled: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> Suggestions:
        """The texts that are most worth labelling next, each of another sort.

        With an adapter, those that it is unsure about; without one, those that are typical of what
        is not labelled yet.

        Args:
            base: where the adapter's own base lies, if not where its id says; without an adapter,
                the base that compares the texts, or None for the settings'.
            labelled: texts that have their labels; None: those of the installed domain under the
                adapter's name, if there is one.

        Raises:
            UsageError: `count` is below 1.
            DataError: no text is left to choose from.
            PlatformError: the adapter or its base cannot be used.
        """
        from .care.suggest import suggest_by_adapter, suggest_typical

        if count < 1:
            raise UsageError(f"{count} texts cannot be suggested")
        asked, told = check_texts(texts), _told(progress)
        if adapter is None:
            return suggest_typical(
                asked,
                labelled or (),
                count,
                base=self.bases.resolve(base or self.settings.base),
                workshop=self._workshop(),
                progress=told,
            )
        return suggest_by_adapter(
            asked,
            labelled,
            count,
            source=self.resolve(adapter),
            ask=self._ask(base),
            location=base,
            workshop=self._workshop(),
            progress=told,
        )

    def _request(self, name: str, data: Data | None, options: TrainingOptions) -> TrainingRequest:
        from .training.requests import make_request

        base, trackers = self.settings.base, self.settings.trackers
        return make_request(name, data, self.registry, base, trackers, **options)

    def _workshop(self) -> Workshop:
        from .training.workshop import open_workshop

        return open_workshop(self.settings, self.store, self.bases, self.registry, self.listener)


def _told(progress: Progress | None) -> Progress:
    from .training.workshop import Quiet

    return progress or Quiet()
