"""The bases in memory, each with its tokenizer and engines; the least recently used one goes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .forks import renew_in_child
from .owner import closed

if TYPE_CHECKING:
    from pathlib import Path

    from ..bases import Base, Bases
    from ..store.manifest import Manifest
    from ..tokens import TextEncoder
    from .choice import Engines


class Running:
    """A base in memory. `tokenizer` and `engines` are made at their first use, once."""

    def __init__(self, base: Base, cache: Path, make_engines: Callable[[Base], Engines]) -> None:
        self.base = base
        self._cache = cache
        self.names = {base.id: base}
        self.users = 0
        self._make_engines = make_engines
        self._lock = threading.Lock()
        self._tokenizer: TextEncoder | None = None
        self._engines: Engines | None = None
        self._closed = False

    @property
    def tokenizer(self) -> TextEncoder:
        with self._lock:
            if self._tokenizer is None:
                from ..tokens import TextEncoder

                self._tokenizer = TextEncoder(self.base, self._cache)
            return self._tokenizer

    @property
    def engines(self) -> Engines:
        """Raises `UsageError` after the end."""
        with self._lock:
            if self._closed:
                raise closed()
            if self._engines is None:
                self._engines = self._make_engines(self.base)
            return self._engines

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._engines is not None:
                self._engines.close()

    def after_fork(self) -> None:
        """No other thread lives here, so none holds the lock or uses the base."""
        self._lock = threading.Lock()
        self.users = 0


class BasePool:
    """Lends bases by fingerprint, so that two names of one base share it. Thread-safe.

    Args:
        make_engines: called outside every lock but the base's own.
        limit: bases held; more only while calls still run on one that has been evicted.
    """

    def __init__(self, bases: Bases, make_engines: Callable[[Base], Engines], limit: int) -> None:
        self._bases = bases
        self._make_engines = make_engines
        self._limit = limit
        self._lock = threading.Lock()
        self._running: OrderedDict[str, Running] = OrderedDict()
        self._closed = False
        renew_in_child(self, BasePool._after_fork)

    def locate(self, manifest: Manifest, location: str | None) -> Base:
        """An adapter's base: the one in memory where there is one, whatever became of its files.

        Args:
            location: where the adapter's own base lies, if not where its id says.

        Raises:
            BaseUnavailable: it is not on this machine.
            BaseMismatch: what is there is another model.
        """
        base_id = location or manifest.base.id
        with self._lock:
            for running in self._running.values():
                if base_id in running.names:
                    return running.names[base_id]
        return self._bases.for_adapter(manifest, location)[0]

    @contextmanager
    def lend(self, base: Base) -> Iterator[Running]:
        """The base for the length of the block; it is not closed before the block ends.

        Raises:
            UsageError: the pool is closed.
        """
        with self._lock:
            if self._closed:
                raise closed()
            running = self._running.get(base.fingerprint)
            if running is None:
                running = Running(base, self._bases.cache, self._make_engines)
                self._running[base.fingerprint] = running
            running.names[base.id] = base
            running.users += 1
            self._running.move_to_end(base.fingerprint)
            evicted = []
            while len(self._running) > self._limit:
                evicted.append(self._running.popitem(last=False)[1])
            idle = [old for old in evicted if old.users == 0]
        try:
            for old in idle:
                old.close()
            yield running
        finally:
            with self._lock:
                running.users -= 1
                evicted_now = self._running.get(running.base.fingerprint) is not running
                last = evicted_now and running.users == 0
            if last:
                running.close()

    def close(self) -> None:
        """Ends every engine once the calls that wait have their answers. Later loans raise."""
        with self._lock:
            self._closed = True
            doomed = list(self._running.values())
            self._running.clear()
        for running in doomed:
            running.close()

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        for running in self._running.values():
            running.after_fork()
