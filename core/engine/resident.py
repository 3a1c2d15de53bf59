"""The adapters in memory: found at once, read once, and the least recently used gone when they are
too many bytes.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from time import perf_counter
from typing import Generic, Protocol, TypeVar

from ..errors import PlatformError
from ..store.source import AdapterSource
from .forks import renew_in_child

log = logging.getLogger(__name__)


class Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


Held = TypeVar("Held", bound=Sized)


class Residents(Generic[Held]):
    """Adapters by content hash. Thread-safe, and whole after a fork.

    Whoever has been given one keeps it, though it may be evicted meanwhile.

    Args:
        load: called on the thread that asks, outside the lock.
        room: bytes that are held; the one used last stays even if it is larger.
        what: of an adapter is held, for the log; empty: the adapter itself.
    """

    def __init__(self, load: Callable[[AdapterSource], Held], room: int, what: str = "") -> None:
        self._load = load
        self._what = f"the {what} of " if what else ""
        self._room = room
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._begin()
        renew_in_child(self, Residents._begin)

    def get(self, source: AdapterSource) -> tuple[Held, bool]:
        """The adapter, and whether this call has loaded it. Raises what `load` raises."""
        key = source.content_hash
        with self._lock:
            held = self._held.get(key)
            if held is not None:
                self._held.move_to_end(key)
                return held, False
            loading = self._loading.get(key)
            if loading is None:
                ours: Future[Held] = Future()
                self._loading[key] = ours
        if loading is not None:
            return loading.result(), False
        try:
            began = perf_counter()
            held = self._load(source)
            milliseconds = 1000 * (perf_counter() - began)
            who = f"{self._what}{source.manifest.reference}"
            log.info("loaded %s in %.1f ms", who, milliseconds)
        except BaseException as error:
            with self._lock:
                del self._loading[key]
            if not isinstance(error, Exception):  # Ctrl-C and the like are of this thread alone
                who = source.manifest.reference
                ours.set_exception(
                    PlatformError(f"the loading of {who} was interrupted", "ask again")
                )
            else:
                ours.set_exception(error)
            raise
        with self._lock:
            del self._loading[key]
            self._held[key] = held
            self._bytes += held.nbytes
            while self._bytes > self._room and len(self._held) > 1:
                self._drop(next(iter(self._held)), "evicted")
        ours.set_result(held)
        return held, True

    def forget(self, content_hash: str) -> None:
        """Lets an adapter go if it is held."""
        with self._lock:
            if content_hash in self._held:
                self._drop(content_hash, "unloaded")

    def clear(self) -> None:
        with self._lock:
            self._held.clear()
            self._bytes = 0

    def _drop(self, content_hash: str, how: str) -> None:
        self._bytes -= self._held.pop(content_hash).nbytes
        log.info("%s %s%s", how, self._what, content_hash[:12])

    def _begin(self) -> None:
        """After a fork, threads that are no more may hold the lock, or be loading."""
        self._lock = threading.Lock()
        self._loading: dict[str, Future[Held]] = {}
        self._bytes = sum(held.nbytes for held in self._held.values())
