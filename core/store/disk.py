"""The store's dealings with the disk: durable writes, and the sentences for a disk that refuses."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ..errors import AdapterCorrupt, StoreError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
DENIED = frozenset({errno.EACCES, errno.EPERM})
NO_DIRECTORY = frozenset({errno.ENOTDIR, errno.EEXIST})
ELSEWHERE = "name another store with --store or PLATFORM_STORE"

Doing = Literal["read", "written"]


@contextmanager
def disk_errors(root: Path, doing: Doing) -> Iterator[None]:
    """Turns an OSError inside into the `StoreError` that explains it."""
    try:
        yield
    except OSError as error:
        raise _explained(error, root, doing) from error


@contextmanager
def staging_errors(root: Path, directory: Path) -> Iterator[None]:
    """Turns only those errors inside that come of writing to `directory` into `StoreError`.

    A full disk counts however it is reported: a write names no file, and safetensors wraps the
    operating system's error in its own.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL or (
            error.filename is not None
            and Path(os.fsdecode(error.filename)).is_relative_to(directory)
        ):
            raise _explained(error, root, "written") from error
        raise
    except Exception as error:
        number = _wrapped_errno(error)
        if number is None:
            raise
        raise _explained(OSError(number, os.strerror(number)), root, "written") from error


def read_number(path: Path, repair: str) -> int | None:
    """The number that a pointer file holds, or None where there is no such file.

    Args:
        repair: the hint that tells how to put the file right.

    Raises:
        AdapterCorrupt: the file holds something else.
    """
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not re.fullmatch(rb"[1-9][0-9]{0,8}\s*", text):
        raise AdapterCorrupt(f"{path} does not hold a version number", repair)
    return int(text)


def write_number(path: Path, number: int, *, replaces: Path | None = None) -> None:
    """Writes a new pointer file and waits until it is on the disk.

    Args:
        replaces: the pointer that the file will be moved over. Readers tell the two apart by their
            times, so the new one is always the later, on the coarsest clock and after a clock
            that was set back.
    """
    with path.open("x", encoding="ascii") as file:
        file.write(f"{number}\n")
        file.flush()
        os.fsync(file.fileno())
    moment = time.time_ns()
    if replaces is not None and replaces.exists():
        moment = max(moment, replaces.stat().st_mtime_ns + 1)
    os.utime(path, ns=(moment, moment))


def share_modes(directory: Path, like: Path) -> None:
    """Gives all files below the mode of one that was written with the user's umask.

    safetensors writes files that only their owner may read, umask or not, so a store that a team
    shares would not be readable by the service that runs it.
    """
    mode = stat.S_IMODE(like.stat().st_mode)
    for path in directory.rglob("*"):
        if path.is_file():
            path.chmod(mode)


def sync_tree(directory: Path) -> None:
    """Waits until every file and directory below, and the directory itself, is on the disk."""
    for parent, _, files in os.walk(directory, topdown=False):
        for name in files:
            with Path(parent, name).open("rb") as file:
                os.fsync(file.fileno())
        sync_directory(Path(parent))


def sync_directory(directory: Path) -> None:
    """Waits until the directory's entries are on the disk."""
    if os.name == "nt":  # Windows opens no directories, and orders their changes itself
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _wrapped_errno(error: Exception) -> int | None:
    """28 from safetensors' ``Error while serializing: I/O error: ... (os error 28)``."""
    if type(error).__name__ != "SafetensorError":
        return None
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found.group(1)) if found else None


def _explained(error: OSError, root: Path, doing: Doing) -> StoreError:
    place = error.filename if error.filename is not None else root
    if isinstance(place, bytes):
        place = os.fsdecode(place)
    if error.errno in FULL:
        return StoreError(
            f"there is no space left for the store {root}; nothing in it was changed",
            f"free some space, or {ELSEWHERE}",
        )
    if error.errno == errno.EROFS:
        return StoreError(f"the store {root} lies on a read-only disk", ELSEWHERE)
    if error.errno in DENIED:
        return StoreError(
            f"the store {root} cannot be {doing}: {place} is not permitted", ELSEWHERE
        )
    if error.errno in NO_DIRECTORY:
        return StoreError(
            f"the store {root} cannot be {doing}: {place} is not a directory", ELSEWHERE
        )
    reason = error.strerror or str(error)
    return StoreError(f"the store {root} cannot be {doing}: {reason} ({place})")
