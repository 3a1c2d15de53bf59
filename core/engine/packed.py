"""The packed engine: LoRA adapters of a BERT base, mixed freely in one batch at about the cost of
one.

Callers load their adapters themselves; one thread runs the forward passes, and answers together
what has come in meanwhile.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..heads import Pooling
from ..registry import Listener
from ..store.manifest import Manifest
from ..store.source import AdapterSource
from .forward import Buffers, GatheredLora, SegmentedLora, apply_heads, encode
from .lora import LoraReader
from .memory import memory_for, no_memory, out_of_memory
from .owner import Owner
from .packing import cut, lay_out, numbered
from .protocol import Answer, Engine, Row
from .resident import Residents
from .torch_weights import TorchBert, TorchLora

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

log = logging.getLogger(__name__)

# Adapters in a batch above which their products are gathered into few large ones; on a CPU never,
# where beginning a small product costs less than the copies do.
GATHER_ABOVE = {"cpu": math.inf, "cuda": 8}


@dataclass(eq=False, slots=True)
class _Text:
    """One row on its way, and what comes of it."""

    tokens: tuple[int, ...]
    adapter: TorchLora
    answer: Answer | None = None


@dataclass(eq=False, slots=True)
class _Call:
    """What one caller waits for."""

    texts: list[_Text]
    done: Future[None] = field(default_factory=Future)


class PackedEngine(Engine):
    """One base and the LoRA adapters on it. Safe to call from any thread, and after a fork.

    The base is read by the first call. `after_adapter_loaded` is told on the thread of the caller
    whose rows made the adapter load, when its answer is there, so a listener may itself classify.

    Args:
        reader: of the base; every adapter is taken to be trained on it, and callers check that.
        room: bytes of adapters that are held before the least recently used goes.
        batch_tokens: tokens in one forward pass, at most.
        threads: torch's threads for a forward pass; 0 leaves torch's own choice.
        gather_above: adapters in a batch above which their products are gathered into few large
            ones; None: what the device likes.
    """

    name = "packed"

    def __init__(
        self,
        reader: LoraReader,
        device: torch.device,
        listener: Listener,
        room: int,
        batch_tokens: int,
        threads: int,
        gather_above: float | None = None,
    ) -> None:
        self._reader = reader
        self._device = device
        self._listener = listener
        self._batch_tokens = batch_tokens
        self._threads = threads
        self._gather_above = GATHER_ABOVE[device.type] if gather_above is None else gather_above
        self._torch_bert: TorchBert | None = None
        self._buffers: Buffers | None = None
        self._residents = Residents(self._load, room)
        self._owner: Owner[_Call] = Owner(f"packed {reader.base.id}", self._answer)

    def answers(self, rows: Sequence[Row]) -> list[Answer]:
        """One for each row, in the rows' order. Loads adapters as needed.

        Raises:
            AdapterCorrupt: an adapter's files are not what its manifest says, or do not fit.
            AdapterUnsupported: `LoraReader.refuses` says why.
            BaseUnavailable: the base cannot be loaded.
            PlatformError: the device has not the memory for the base, an adapter or a single text.
            UsageError: the engine is closed.
        """
        self._owner.check_open()
        answers: dict[int, Answer] = {}
        loaded: list[Manifest] = []
        numbers = numbered(row.adapter.content_hash for row in rows)
        lengths = [len(row.tokens) for row in rows]
        try:
            for picks in cut(numbers, lengths, self._batch_tokens):
                call = _Call([self._text(rows[pick], loaded) for pick in picks])
                self._owner.submit(call)
                call.done.result()
                answers |= {p: _answered(text) for p, text in zip(picks, call.texts, strict=True)}
        finally:
            for manifest in loaded:
                self._listener.after_adapter_loaded(manifest, self.name)
        return [answers[i] for i in range(len(rows))]

    def features(self, rows: Sequence[tuple[int, ...]], pooling: Pooling) -> FloatArray:
        """``(texts, hidden)`` float32: what the bare base makes of rows of tokens, pooled.

        Raises:
            BaseUnavailable, PlatformError, UsageError: as `answers`.
            AdapterUnsupported: the base is none that is run here.
            RecipeError: the base has not the pooler that the pooling is by.
        """
        self._owner.check_open()
        bare = self._reader.bare(pooling)
        states = np.empty((len(rows), self._reader.base.hidden_size), np.float32)
        with memory_for(f"the base {self._reader.base.id!r}"):
            on_device = TorchLora.of(bare, self._device)
        for picks in cut([0] * len(rows), [len(row) for row in rows], self._batch_tokens):
            call = _Call([_Text(rows[pick], on_device) for pick in picks])
            self._owner.submit(call)
            call.done.result()
            for pick, text in zip(picks, call.texts, strict=True):
                states[pick] = _answered(text).pooled
        return states

    def close(self) -> None:
        """Answers what waits, ends the thread and frees the base. Later calls raise."""
        self._owner.close()
        self._residents.clear()
        self._torch_bert = self._buffers = None

    # On the callers' threads

    def _text(self, row: Row, loaded: list[Manifest]) -> _Text:
        adapter, fresh = self._residents.get(row.adapter)
        if fresh:
            loaded.append(row.adapter.manifest)
        return _Text(row.tokens, adapter)

    def _load(self, source: AdapterSource) -> TorchLora:
        lora = self._reader.read(source)
        with memory_for(f"the adapter {source.manifest.reference}"):
            return TorchLora.of(lora, self._device)

    # On the owner's thread

    def _answer(self, calls: list[_Call]) -> None:
        if self._threads:
            torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode():
                self._run([text for call in calls for text in call.texts])
        # Whatever it is, it belongs to a caller, and the thread must live on.
        except Exception as error:  # noqa: BLE001 - raised again by the caller's future
            if len(calls) > 1:  # each gets an answer, or an error, of its own
                for call in calls:
                    self._answer([call])
                return
            calls[0].done.set_exception(error)
        else:
            for call in calls:
                call.done.set_result(None)

    def _run(self, texts: Sequence[_Text]) -> None:
        """Answers texts in batches, which are smaller from then on where memory has run out."""
        bert = self._loaded()
        numbers = numbered(id(text.adapter) for text in texts)
        lengths = [len(text.tokens) for text in texts]
        for picks in cut(numbers, lengths, self._batch_tokens):
            batch = [texts[pick] for pick in picks]
            try:
                self._forward(bert, batch)
                continue
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                # once the error is gone, so are the tensors in the frames that it keeps
            self._buffers = None
            torch.cuda.empty_cache()
            if len(batch) > 1:
                half = sum(lengths[pick] for pick in picks) // 2
                self._batch_tokens = min(self._batch_tokens, max(1, half))
                log.warning("out of memory: now at most %d tokens at once", self._batch_tokens)
                self._run(batch)

    def _forward(self, bert: TorchBert, batch: Sequence[_Text]) -> None:
        tokens = sum(len(text.tokens) for text in batch)
        if self._buffers is None or self._buffers.size < tokens:
            self._buffers = Buffers(bert, tokens)
        buffers = self._buffers
        layout = lay_out([id(text.adapter) for text in batch], [len(t.tokens) for t in batch])
        adapters = [batch[segment.rows.start].adapter for segment in layout.segments]
        kind = GatheredLora if len(adapters) > self._gather_above else SegmentedLora
        lora = kind(layout, adapters, buffers)
        ids = torch.tensor([token for text in batch for token in text.tokens])
        positions = torch.cat([torch.arange(len(text.tokens)) for text in batch])
        states = encode(bert, layout, ids.to(bert.device), positions.to(bert.device), buffers, lora)
        pairs = apply_heads(bert, layout, states, adapters)
        found = [tensor for pair in pairs for tensor in pair]
        flat = torch.cat([tensor.flatten() for tensor in found]).cpu()  # one transfer for all
        parts = flat.split_with_sizes([tensor.numel() for tensor in found])
        for segment, *pair in zip(layout.segments, parts[::2], parts[1::2], strict=True):
            logits, pooled = (part.view(segment.count, -1).numpy() for part in pair)
            for text, *answer in zip(batch[segment.rows], logits, pooled, strict=True):
                text.answer = Answer(*answer)

    def _loaded(self) -> TorchBert:
        if self._torch_bert is None:
            began = perf_counter()
            bert = self._reader.bert
            with memory_for(f"the base {self._reader.base.id!r}"):
                self._torch_bert = TorchBert(bert, self._device)
            milliseconds = 1000 * (perf_counter() - began)
            log.info("loaded the base %s in %.0f ms", self._reader.base.id, milliseconds)
        return self._torch_bert


def _answered(text: _Text) -> Answer:
    if text.answer is None:
        raise no_memory(f"a text of {len(text.tokens)} tokens")
    return text.answer
