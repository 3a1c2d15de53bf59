"""The engine for every PEFT method, and the reference for the others: adapters in `PeftModel`s over
one base, switched by one owner thread.

PEFT's active adapter is state of the whole model, so a single thread does every load, switch and
forward; callers hand it rows and wait. Whatever has come in meanwhile is answered together.
"""

from __future__ import annotations

import logging
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..bases import Base
from ..errors import AdapterUnsupported, PlatformError
from ..heads import Head, Pooling
from ..registry import Listener
from ..store.manifest import Manifest
from ..store.source import AdapterSource
from ..store.verify import verify_files
from .encoder import length_batches, load_encoder, pad, pooled
from .forks import renew_in_child
from .memory import memory_for
from .owner import Owner
from .peft_groups import Group, Place, check_supported, place
from .protocol import Answer, Engine, Row
from .published import check_files, read_config, read_head

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

log = logging.getLogger(__name__)

COPIES = 2  # whole copies of the base, for methods that may change it
REMEMBERED = 256  # adapters that have failed
PASSING = (OSError, MemoryError, torch.OutOfMemoryError)  # causes that may be gone next time


@dataclass(eq=False, slots=True)
class _Call:
    """One caller's rows on their way, and what has come of them so far."""

    rows: Sequence[Row]
    future: Future[list[Answer]] = field(default_factory=Future)
    answers: dict[int, Answer] = field(default_factory=dict)
    loaded: list[Manifest] = field(default_factory=list)

    def answer(self, index: int, answer: Answer) -> None:
        self.answers[index] = answer
        if len(self.answers) == len(self.rows):
            self.future.set_result([self.answers[i] for i in range(len(self.rows))])

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Held:
    """An adapter in memory: its head on the device, and the group that has the rest of it."""

    source: AdapterSource
    place: Place
    group: Group
    head: Head
    weight: torch.Tensor
    bias: torch.Tensor


@dataclass(frozen=True, slots=True)
class _Reading:
    """Rows for the bare base."""

    rows: Sequence[tuple[int, ...]]
    pooling: Pooling
    states: Future[FloatArray]


class PeftEngine(Engine):
    """One base and the PEFT adapters on it. Safe to call from any thread, and after a fork.

    The base is loaded by the first call. `after_adapter_loaded` is told on the thread of the caller
    whose rows made the adapter load, when its answer is there, so a listener may itself classify.

    Args:
        base: every adapter is taken to be trained on it; callers check that.
        resident: adapters that one `PeftModel` holds before the least recently used goes.
        batch_tokens: padded tokens in one forward pass, at most.
        threads: torch's threads for a forward pass; 0 leaves torch's own choice.
    """

    name = "peft"

    def __init__(
        self,
        base: Base,
        device: torch.device,
        listener: Listener,
        resident: int,
        batch_tokens: int,
        threads: int,
    ) -> None:
        self._base = base
        self._device = device
        self._listener = listener
        self._resident = resident
        self._batch_tokens = batch_tokens
        self._threads = threads
        self._encoder: torch.nn.Module | None = None
        # PEFT asks transformers for it by its old name, and says so on every user's terminal.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        # Adapters leave the pooler out whether the base has one or not.
        warnings.filterwarnings("ignore", "You have passed exclude_modules", UserWarning)
        self._begin()
        renew_in_child(self, PeftEngine._begin)
        self._owner: Owner[_Call | _Reading] = Owner(f"peft {base.id}", self._work)

    def answers(self, rows: Sequence[Row]) -> list[Answer]:
        """One for each row, in the rows' order. Loads adapters as needed.

        Raises:
            AdapterCorrupt: an adapter's files are not what its manifest says, or do not fit.
            AdapterUnsupported: PEFT cannot run an adapter, or would change the base for it.
            BaseUnavailable: the base cannot be loaded.
            PlatformError: the device has not the memory for the base, an adapter or a batch.
            UsageError: the engine is closed.
        """
        if not rows:
            return []
        call = _Call(rows)
        self._owner.submit(call)
        try:
            return call.future.result()
        finally:
            for manifest in call.loaded:
                self._listener.after_adapter_loaded(manifest, self.name)

    def features(self, rows: Sequence[tuple[int, ...]], pooling: Pooling) -> FloatArray:
        """``(texts, hidden)`` float32: what the bare base makes of rows of tokens, pooled.

        Raises:
            BaseUnavailable, PlatformError, UsageError: as `answers`.
            RecipeError: the base has not the pooler that the pooling is by.
        """
        states: Future[FloatArray] = Future()
        self._owner.submit(_Reading(rows, pooling, states))
        return states.result()

    def close(self) -> None:
        """Answers the calls that wait, ends the thread and frees the base. Later calls raise."""
        self._owner.close()
        self._groups.clear()
        self._held.clear()
        self._encoder = None

    # On the owner's thread

    def _begin(self) -> None:
        """No adapters: in a forked child the groups may have been half changed. The base's tensors
        are whole.
        """
        self._groups: dict[str, Group] = {}
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._failed: dict[str, PlatformError] = {}

    def _work(self, items: Sequence[_Call | _Reading]) -> None:
        if self._threads:
            torch.set_num_threads(self._threads)
        self._answer([item for item in items if isinstance(item, _Call)])
        for item in items:
            if isinstance(item, _Reading):
                self._read(item)

    def _answer(self, calls: Sequence[_Call]) -> None:
        """Answers all rows, adapter by adapter; an error ends the calls that asked for it alone."""
        wanted: dict[str, list[tuple[_Call, int]]] = {}
        for call in calls:
            for index, row in enumerate(call.rows):
                wanted.setdefault(row.adapter.content_hash, []).append((call, index))
        # Those in memory first: what the others push out has then been used.
        for content_hash in sorted(wanted, key=lambda key: key not in self._held):
            places = [(c, i) for c, i in wanted[content_hash] if not c.future.done()]
            if not places:
                continue
            try:
                self._forward(self._hold(places), places)
            # Whatever it is, it belongs to the callers, and the thread must live on.
            except Exception as error:  # noqa: BLE001 - raised again by each caller's future
                for call, _ in places:
                    call.fail(error)

    def _forward(self, held: _Held, places: Sequence[tuple[_Call, int]]) -> None:
        model = self._switched(held)
        tokens = [call.rows[index].tokens for call, index in places]
        for picks in length_batches([len(ids) for ids in tokens], self._batch_tokens):
            padded = [tokens[i] for i in picks]
            with memory_for(_batch(padded)), torch.inference_mode():
                ids, mask = pad(padded, self._base.pad_id, self._device)
                states = pooled(model, ids, mask, held.head.pooling).float()
                logits = torch.nn.functional.linear(states, held.weight, held.bias)
            answers = map(Answer, logits.cpu().numpy(), states.cpu().numpy())
            for pick, answer in zip(picks, answers, strict=True):
                call, index = places[pick]
                call.answer(index, answer)

    def _read(self, reading: _Reading) -> None:
        """Runs rows on the base's own modules, which no group shares."""
        rows = reading.rows
        states = np.empty((len(rows), self._base.hidden_size), np.float32)
        try:
            encoder = self._loaded_encoder()
            for picks in length_batches([len(row) for row in rows], self._batch_tokens):
                padded = [rows[i] for i in picks]
                with memory_for(_batch(padded)), torch.inference_mode():
                    ids, mask = pad(padded, self._base.pad_id, self._device)
                    found = pooled(encoder, ids, mask, reading.pooling).float()
                states[picks] = found.cpu().numpy()
        # Whatever it is, it belongs to the caller, and the thread must live on.
        except Exception as error:  # noqa: BLE001 - raised again by the caller's future
            reading.states.set_exception(error)
        else:
            reading.states.set_result(states)

    def _switched(self, held: _Held) -> Any:
        if held.group.active == held.source.content_hash:
            return held.group.activate(held.source.content_hash)
        began = perf_counter()
        model = held.group.activate(held.source.content_hash)
        who = held.source.manifest.reference
        log.info("switched to %s in %.1f ms", who, 1000 * (perf_counter() - began))
        return model

    # Adapters in memory

    def _hold(self, places: Iterable[tuple[_Call, int]]) -> _Held:
        call, index = next(iter(places))
        source = call.rows[index].adapter
        held = self._held.get(source.content_hash)
        if held is None:
            held = self._load(source)
            call.loaded.append(source.manifest)
        self._held.move_to_end(source.content_hash)
        return held

    def _load(self, source: AdapterSource) -> _Held:
        began = perf_counter()
        failed = self._failed.get(source.content_hash)
        if failed is not None:
            raise type(failed)(failed.message, failed.hint)
        verify_files(source)
        check_files(source)
        config = read_config(source)
        check_supported(source, config)
        encoder = self._loaded_encoder()
        head = self._checked_head(source, encoder)
        where = place(source, config)
        what = f"the adapter {source.manifest.reference}"
        with memory_for(what):
            weight, bias = (torch.from_numpy(x).to(self._device) for x in (head.weight, head.bias))
            group = self._groups.get(where.group) or Group(where.group, encoder, where.copies)
        try:
            with memory_for(what):
                group.add(source)
        except PlatformError as error:
            # The files are as published, so it will fail again, and must not cost the others of
            # the group their place each time; unless it was memory or the disk that failed.
            if not isinstance(error.__cause__, PASSING):
                if len(self._failed) >= REMEMBERED:
                    self._failed.clear()
                self._failed[source.content_hash] = error
            self._abandon(group)
            raise
        self._groups[group.key] = group
        held = _Held(source, where, group, head, weight.float(), bias.float())
        self._held[source.content_hash] = held
        milliseconds = 1000 * (perf_counter() - began)
        log.info("loaded %s (%s) in %.1f ms", source.manifest.reference, group.key, milliseconds)
        self._make_room(where)
        return held

    def _checked_head(self, source: AdapterSource, encoder: torch.nn.Module) -> Head:
        head = read_head(source, self._base.hidden_size)
        if head.pooling == "pooler" and getattr(encoder, "pooler", None) is None:
            raise AdapterUnsupported(
                f"{source.manifest.reference} pools with the base's pooler, "
                f"and {self._base.id!r} has none"
            )
        return head

    def _loaded_encoder(self) -> torch.nn.Module:
        if self._encoder is None:
            began = perf_counter()
            with memory_for(f"the base {self._base.id!r}"):
                self._encoder = load_encoder(self._base, self._device)
            log.info(
                "loaded the base %s in %.0f ms", self._base.id, 1000 * (perf_counter() - began)
            )
        return self._encoder

    def _make_room(self, where: Place) -> None:
        """Deletes the least recently used of a family that has grown too large."""
        room = COPIES if where.copies == "all" else self._resident
        family = [key for key, held in self._held.items() if held.place.family == where.family]
        for content_hash in family[: max(0, len(family) - room)]:
            self._evict(content_hash)

    def _evict(self, content_hash: str) -> None:
        held = self._held.pop(content_hash)
        began = perf_counter()
        if held.group.members == {content_hash}:
            # PEFT keeps its wrappers when the last adapter goes, so the whole model goes with it.
            self._groups.pop(held.group.key)
        else:
            self._drop(held)
        milliseconds = 1000 * (perf_counter() - began)
        log.info("evicted %s in %.1f ms", held.source.manifest.reference, milliseconds)

    def _drop(self, held: _Held) -> None:
        try:
            held.group.drop(held.source.content_hash)
        # PEFT's tuners may raise anything here, and nobody who waits has asked for this adapter.
        except Exception:
            log.exception("PEFT could not delete %s", held.source.manifest.reference)
            self._abandon(held.group)

    def _abandon(self, group: Group) -> None:
        """Lets a spoiled group go; its adapters are loaded again when they are asked for."""
        self._groups.pop(group.key, None)
        for content_hash in group.members:
            self._held.pop(content_hash, None)


def _batch(rows: Sequence[Sequence[int]]) -> str:
    return f"a batch of {len(rows)} texts of up to {max(map(len, rows))} tokens"
