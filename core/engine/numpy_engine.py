"""The NumPy engine: what the packed engine runs, without torch, for a process that is asked little.

Importing torch takes longer than some thousand tokens in NumPy; `choice` knows how many.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import ThreadpoolController

from ..heads import Pooling
from ..registry import Listener
from ..store.manifest import Manifest
from .forks import renew_in_child
from .lora import Lora, LoraReader
from .numpy_forward import NumpyBert, apply_heads, encode
from .owner import closed
from .packing import cut, lay_out, numbered
from .protocol import Answer, Engine, Row
from .resident import Residents

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

log = logging.getLogger(__name__)

_FORWARD = threading.Lock()
if hasattr(os, "register_at_fork"):
    # A child must not begin with the lock held by a thread that it lacks.
    os.register_at_fork(
        before=_FORWARD.acquire,
        after_in_parent=_FORWARD.release,
        after_in_child=_FORWARD.release,
    )


class NumpyEngine(Engine):
    """One base and the LoRA adapters on it, on the CPU. Safe from any thread, and after a fork.

    A forward pass runs on its caller's thread. `after_adapter_loaded` is told there too, when the
    answer is there, so a listener may itself classify.

    Args:
        reader: of the base; every adapter is taken to be trained on it, and callers check that.
        room: bytes of adapters that are held before the least recently used goes.
        batch_tokens: tokens in one forward pass, at most.
    """

    name = "numpy"

    def __init__(
        self, reader: LoraReader, listener: Listener, room: int, batch_tokens: int
    ) -> None:
        self._reader = reader
        self._listener = listener
        self._batch_tokens = batch_tokens
        self._residents = Residents(reader.read, room)
        self._bert: NumpyBert | None = None
        self._closed = False
        self._renew()
        renew_in_child(self, NumpyEngine._renew)

    def answers(self, rows: Sequence[Row]) -> list[Answer]:
        """One for each row, in the rows' order. Loads adapters as needed.

        Raises:
            AdapterCorrupt: an adapter's files are not what its manifest says, or do not fit.
            AdapterUnsupported: `LoraReader.refuses` says why.
            BaseUnavailable: the base cannot be loaded.
            UsageError: the engine is closed.
        """
        self._check_open()
        answers: dict[int, Answer] = {}
        loaded: list[Manifest] = []
        numbers = numbered(row.adapter.content_hash for row in rows)
        lengths = [len(row.tokens) for row in rows]
        try:
            for picks in cut(numbers, lengths, self._batch_tokens):
                batch = [rows[pick] for pick in picks]
                answers |= zip(picks, self._forward(batch, loaded), strict=True)
        finally:
            for manifest in loaded:
                self._listener.after_adapter_loaded(manifest, self.name)
        return [answers[i] for i in range(len(rows))]

    def features(self, rows: Sequence[tuple[int, ...]], pooling: Pooling) -> FloatArray:
        """``(texts, hidden)`` float32: what the bare base makes of rows of tokens, pooled.

        Raises:
            BaseUnavailable, UsageError: as `answers`.
            AdapterUnsupported: the base is none that is run here.
            RecipeError: the base has not the pooler that the pooling is by.
        """
        self._check_open()
        bare, bert = self._reader.bare(pooling), self._loaded()
        states = np.empty((len(rows), self._reader.base.hidden_size), np.float32)
        for picks in cut([0] * len(rows), [len(row) for row in rows], self._batch_tokens):
            batch = [rows[pick] for pick in picks]
            layout = lay_out([0] * len(batch), [len(row) for row in batch])
            ids = np.array([token for row in batch for token in row])
            positions = np.concatenate([np.arange(len(row)) for row in batch])
            with _on_one_thread():
                hidden = encode(bert, layout, ids, positions, [bare])
                ((_, states[picks]),) = apply_heads(bert, layout, hidden, [bare])
        return states

    def close(self) -> None:
        """Lets the base and the adapters go; calls that run end with them. Later calls raise."""
        self._closed = True
        self._residents.clear()
        self._bert = None

    def _forward(self, batch: Sequence[Row], loaded: list[Manifest]) -> list[Answer]:
        """One for each row of one pass, which lie as `cut` orders them."""
        bert = self._loaded()
        hashes = [row.adapter.content_hash for row in batch]
        layout = lay_out(numbered(hashes), [len(row.tokens) for row in batch])
        adapters = [self._lora(batch[span.rows.start], loaded) for span in layout.segments]
        ids = np.array([token for row in batch for token in row.tokens])
        positions = np.concatenate([np.arange(len(row.tokens)) for row in batch])
        with _on_one_thread():
            states = encode(bert, layout, ids, positions, adapters)
            found = apply_heads(bert, layout, states, adapters)
        return [Answer(*row) for segment in found for row in zip(*segment, strict=True)]

    def _lora(self, row: Row, loaded: list[Manifest]) -> Lora:
        adapter, fresh = self._residents.get(row.adapter)
        if fresh:
            loaded.append(row.adapter.manifest)
        return adapter

    def _loaded(self) -> NumpyBert:
        with self._lock:
            if self._bert is None:
                began = perf_counter()
                self._bert = NumpyBert(self._reader.bert)
                milliseconds = 1000 * (perf_counter() - began)
                log.info("mapped the base %s in %.1f ms", self._reader.base.id, milliseconds)
            return self._bert

    def _check_open(self) -> None:
        if self._closed:
            raise closed()

    def _renew(self) -> None:
        self._lock = threading.Lock()  # of the base


@contextmanager
def _on_one_thread() -> Iterator[None]:
    """One forward pass at a time, on one thread of NumPy's BLAS.

    A few tokens gain nothing from a second thread, and where torch or another process wants the
    same cores, BLAS threads that spin for each other make 13 tokens take seconds in place of 25 ms.
    How many there are is a setting of the whole process, so it is set for one pass and put back.
    """
    with _FORWARD, ThreadpoolController().limit(limits=1, user_api="blas"):
        yield
