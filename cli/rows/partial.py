"""A result file on its way: kept beside its target until it is whole, with a journal of how far it
is safe on the disk, so that a run that was stopped can go on.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from adapter_platform.core.errors import DataError
from adapter_platform.core.store.disk import sync_directory

from .atomic import check_place, file_mode

SECONDS = 2.0  # of work, at most, that a power cut may cost
FORMAT = 1
LONG = 200  # bytes of a name that leave room for ours


class Partial:
    """The rows that a target is to hold, beside it as ``.NAME.partial``.

    Attributes:
        file: takes the rows; opened by `start_over` or `go_on`.
        journal: what an earlier run said of the rows that it left, as handed to `mark`; None where
            it left none.
    """

    file: IO[str]

    def __init__(self, target: Path) -> None:
        self.path = _beside(target, "")
        self._journal_path = self.path.with_name(self.path.name + ".json")
        self._target = target
        self._binary: io.BufferedRandom | None = None
        self._size, self.journal = self._left()
        self._marked: tuple[int, Mapping[str, Any]] | None = None
        self._written = time.monotonic()

    def start_over(self) -> None:
        """Drops what an earlier run left."""
        self._journal_path.unlink(missing_ok=True)
        self._open(0)

    def go_on(self) -> None:
        """Takes up the rows of `journal`, and drops what came after it was last marked."""
        assert self.journal is not None, "there is nothing to go on from"
        self._open(self._size)
        self._marked = self._size, self.journal

    def mark(self, journal: Mapping[str, Any]) -> None:
        """The rows so far are whole, and `journal` says so, as JSON can hold it.

        Every few seconds that is made safe on the disk.
        """
        assert self._binary is not None
        self.file.flush()
        self._marked = self._binary.tell(), journal
        if time.monotonic() - self._written >= SECONDS:
            self._save()

    def publish(self) -> None:
        """The rows take the target's place."""
        assert self._binary is not None
        self.file.flush()
        os.fsync(self._binary.fileno())
        self.file.close()
        self.path.chmod(file_mode(self._target))
        self.path.replace(self._target)
        # A crash here leaves a journal without rows, which is none.
        self._journal_path.unlink(missing_ok=True)

    def leave(self) -> bool:
        """Ends before the target is whole; False where nothing is kept that one could go on from.

        What was written after the last mark counts as not written.
        """
        if self._binary is None:
            return self.journal is not None
        # A full disk may refuse the journal too; then the one before it counts.
        with suppress(OSError):
            if self._marked is not None:
                self._save()
        with suppress(OSError):
            self.file.close()
        if self._journal_path.exists():
            return True
        self.path.unlink(missing_ok=True)
        return False

    def _open(self, size: int) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        self._binary = os.fdopen(descriptor, "r+b")
        self._binary.truncate(size)
        self._binary.seek(size)
        # A lone surrogate from a JSON text is written as JSON would escape it.
        self.file = io.TextIOWrapper(
            self._binary, encoding="utf-8", newline="", errors="backslashreplace"
        )
        sync_directory(self.path.parent)

    def _left(self) -> tuple[int, dict[str, Any] | None]:
        """Bytes of whole rows, and the journal over them."""
        try:
            data = json.loads(self._journal_path.read_text(encoding="utf-8"))
            if data["format"] == FORMAT and data["size"] <= self.path.stat().st_size:
                return int(data["size"]), dict(data["journal"])
        except (OSError, ValueError, TypeError, KeyError):
            pass  # none, or not one of ours: the rows are begun anew, which is always right
        return 0, None

    def _save(self) -> None:
        assert self._binary is not None
        assert self._marked is not None
        size, journal = self._marked
        os.fsync(self._binary.fileno())
        fresh = self._journal_path.with_name(self._journal_path.name + ".new")
        try:
            with fresh.open("w", encoding="utf-8") as file:
                json.dump({"format": FORMAT, "size": size, "journal": journal}, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._journal_path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        self._written = time.monotonic()


@contextmanager
def partial_file(path: Path) -> Iterator[Partial]:
    """The rows on their way to `path`, for one run at a time; the block begins and publishes them.

    Raises:
        DataError: the file cannot be written there, or another run is writing it.
    """
    from filelock import FileLock, Timeout

    check_place(path)
    target = path.resolve()
    lock_path = _beside(target, ".lock")
    try:
        lock = FileLock(lock_path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise DataError(
                f"another run is writing {path}", "wait for its end, or give another --output"
            ) from None
        try:
            yield Partial(target)
        finally:
            lock_path.unlink(missing_ok=True)  # held, so that nobody else's is deleted
            lock.release()
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


def _beside(target: Path, suffix: str) -> Path:
    name = target.name
    if len(name.encode()) > LONG:
        name = hashlib.sha256(name.encode()).hexdigest()
    return target.with_name(f".{name}.partial{suffix}")
