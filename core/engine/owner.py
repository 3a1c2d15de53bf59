"""A thread of one's own for work that only one thread may do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from ..errors import PlatformError, UsageError
from .forks import renew_in_child

Item = TypeVar("Item")


def closed() -> UsageError:
    """The error for whoever asks after the end."""
    return UsageError(
        "the platform has been closed", "open another, or close it after the last call"
    )


class Owner(Generic[Item]):
    """Hands items to `work`, on one thread, all that wait at once.

    The thread starts with the first item. A forked child has no threads but its own, and one that
    torch has used before the fork may hang in it, so there the next item starts another.

    Args:
        work: must not raise.
    """

    _lock: threading.Lock
    _inbox: SimpleQueue[Item | None]
    _thread: threading.Thread | None

    def __init__(self, name: str, work: Callable[[list[Item]], None]) -> None:
        self._name = name
        self._work = work
        self._closed = False
        self._begin()
        renew_in_child(self, Owner._begin)

    def submit(self, item: Item) -> None:
        """Queues an item.

        Raises:
            UsageError: it is after the end.
            PlatformError: the thread cannot be started now.
        """
        with self._lock:
            self.check_open()
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    raise PlatformError(
                        f"no thread can be started for {self._name}: {error}",
                        "there may be a limit on processes or threads (ulimit -u)",
                    ) from error
                self._thread = thread
            self._inbox.put(item)

    def check_open(self) -> None:
        """Raises `UsageError` after the end."""
        if self._closed:
            raise closed()

    def close(self) -> None:
        """Ends the thread once what waits is done."""
        with self._lock:
            self._closed = True
            thread = self._thread
            self._inbox.put(None)
        if thread is not None:
            thread.join()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._inbox = SimpleQueue()
        self._thread = None

    def _run(self) -> None:
        closing = False
        while not closing:
            items = [self._inbox.get()]
            while True:
                try:
                    items.append(self._inbox.get_nowait())
                except Empty:
                    break
            closing = None in items
            self._work([item for item in items if item is not None])
