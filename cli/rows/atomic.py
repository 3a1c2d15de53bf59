"""A file that appears whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from adapter_platform.core.errors import DataError


@contextmanager
def replacing(path: Path) -> Iterator[IO[str]]:
    """A text file for writing; it takes the place of `path` when the block has ended well.

    Written to a temporary sibling, which is gone if the block fails. What is no plain file
    (``/dev/stdout``, a named pipe) is written to directly.

    Raises:
        DataError: the file cannot be written there.
    """
    check_place(path)
    try:
        if is_device(path):
            with path.open("w", encoding="utf-8", newline="", errors="backslashreplace") as file:
                yield file
            return
        with _sibling(path.resolve()) as file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


def check_place(path: Path) -> None:
    """Raises `DataError` where no file of this name can be."""
    try:
        is_directory, has_parent = path.is_dir(), path.parent.is_dir()
    except OSError as error:  # too long a name, for one
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    if is_directory:
        raise DataError(f"{path} is a directory, so no file can be written there")
    if not has_parent:
        raise DataError(f"{path} cannot be written: there is no directory {path.parent}")


def is_device(path: Path) -> bool:
    """Whether it is there and no plain file: a device or a named pipe."""
    return path.exists() and not path.is_file()


@contextmanager
def _sibling(path: Path) -> Iterator[IO[str]]:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    temporary = Path(name)
    try:
        # A lone surrogate from a JSON text is written as JSON would escape it.
        with open(handle, "w", encoding="utf-8", newline="", errors="backslashreplace") as file:  # noqa: PTH123 - an open handle, no path
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(file_mode(path))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def file_mode(path: Path) -> int:
    """The mode of the file that is replaced, or what a new file gets; mkstemp's is private."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
