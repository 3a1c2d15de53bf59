"""Where writers prepare: their lock, their temporary paths, and what dead writers left behind.

All of it lies inside the store's root, so that one rename brings a finished directory in.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreError
from .disk import disk_errors, staging_errors

LOCK = ".lock"
DIRECTORY = ".staging"


@dataclass(frozen=True, slots=True)
class Staging:
    """The writers' side of the store under `root`.

    Attributes:
        lock_seconds: how long a writer waits for another.
    """

    root: Path
    lock_seconds: float

    @property
    def directory(self) -> Path:
        return self.root / DIRECTORY

    def new_path(self) -> Path:
        """A path that nothing has, in the store's own file system."""
        return self.directory / secrets.token_hex(8)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One writer's turn: the lock is held, and what the disk refuses is a `StoreError`."""
        from filelock import FileLock, Timeout

        with disk_errors(self.root, "written"):
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / LOCK, timeout=self.lock_seconds)
            try:
                lock.acquire()
            except Timeout as error:
                raise StoreError(
                    f"another process has been writing to the store {self.root} "
                    f"for more than {self.lock_seconds:g} seconds",
                    "try again when it has finished",
                ) from error
            try:
                yield
            finally:
                lock.release()

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """A new empty directory, gone at the end of the block unless it was moved.

        Raises:
            StoreError: the store cannot be written, or the disk became full inside the block.
        """
        from filelock import FileLock

        directory = self.new_path()
        lock = directory.with_suffix(".lock")
        # Held for the whole block, and let go by the system if we die: `collect` goes by it.
        held = FileLock(lock, timeout=0, thread_local=False)
        with self.turn():
            held.acquire()
            try:
                directory.mkdir()
            except OSError:
                held.release()
                lock.unlink(missing_ok=True)
                raise
        try:
            with staging_errors(self.root, directory):
                yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
            held.release()
            with suppress(OSError):  # what cannot be deleted now, `collect` finds later
                lock.unlink(missing_ok=True)

    def collect(self) -> list[Path]:
        """Deletes what writers that died have left; returns the paths."""
        with disk_errors(self.root, "read"):
            if not self.directory.exists():
                return []
        with self.turn():
            leftovers = [path for path in sorted(self.directory.iterdir()) if path.suffix == ""]
            removed = [path for path in leftovers if self._delete(path)]
            for lock in sorted(self.directory.glob("*.lock")):
                # Its directory was published or deleted, and its writer died before the lock file.
                if not lock.with_suffix("").exists() and self._delete(lock):
                    removed.append(lock)
        return removed

    def _delete(self, path: Path) -> bool:
        """Deletes a leftover and its lock file; False if its writer is alive."""
        from filelock import FileLock, Timeout

        lock = path.with_suffix(".lock")
        try:
            with FileLock(lock, timeout=0):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        except Timeout:
            return False
        lock.unlink(missing_ok=True)
        return True
