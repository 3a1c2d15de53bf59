"""Where a training keeps its checkpoints until its adapter is published, and its logs for good."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError, TrainingError

if TYPE_CHECKING:
    from .prepare import Prepared
    from .requests import TrainingRequest

LIBRARIES = ("torch", "transformers", "peft", "numpy", "scikit-learn", "tokenizers")
ROOM = "training"
LOGS = "logs"
LOCK = ".lock"
STALE_DAYS = 7


def library_versions() -> dict[str, str]:
    """The versions that a training's outcome depends on, and what its checkpoints are made of."""
    return {name: version(name) for name in LIBRARIES}


@contextmanager
def checkpoints(cache: Path, request: TrainingRequest, prepared: Prepared) -> Iterator[Path]:
    """This very training's directory, for this run alone; removed if the block ends well.

    It is made by who writes the first checkpoint, and stays when the block is left by an error, so
    that the same training goes on from it.

    Raises:
        TrainingError: another run holds it, or its place cannot be written.
    """
    directory = cache / ROOM / f"{request.name}-{training_key(request, prepared)}"
    with alone(_lock(directory), f"training of {request.name!r}", "checkpoints"):
        yield directory
        shutil.rmtree(directory, ignore_errors=True)  # what stays is left to `collect`


@contextmanager
def alone(path: Path, work: str, kept: str) -> Iterator[None]:
    """Holds the lock file, so that no other process does the same work meanwhile.

    Args:
        work, kept: what is done, and what of it is kept beside the lock, as errors say it.

    Raises:
        TrainingError: another process holds it, or its place cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise TrainingError(
            f"the very same {work} is running already",
            "wait for its end; with another recipe or other data it may run beside it",
        ) from error
    except OSError as error:
        raise TrainingError(
            f"{kept} cannot be written to {path.parent}: {error.strerror or error}",
            "name another place with PLATFORM_CACHE",
        ) from error
    try:
        yield
    finally:
        # While it is held, so that nobody locks a file that is about to go.
        with suppress(OSError):  # one that stays is in nobody's way
            path.unlink()
        lock.release()


def log_directory(cache: Path, name: str) -> Path:
    """Where the experiment trackers of an adapter's trainings write; nobody deletes it.

    Raises:
        TrainingError: it cannot be made.
    """
    directory = cache / LOGS / name
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(
            f"logs cannot be written to {directory}: {error.strerror or error}",
            "name another place with PLATFORM_CACHE, or leave report_to out",
        ) from error
    return directory


def collect(cache: Path) -> list[Path]:
    """Deletes the directories of stopped trainings that nobody went on with; returns them.

    One stays while a training runs in it, and for `STALE_DAYS` after that.

    Raises:
        StoreError: one cannot be deleted.
    """
    from filelock import FileLock, Timeout

    removed = []
    found = [path for path in (cache / ROOM).glob("*") if path.is_dir() or path.suffix == LOCK]
    for directory in sorted({path.with_name(path.name.removesuffix(LOCK)) for path in found}):
        lock = _lock(directory)
        try:
            if _idle_days(directory, lock) < STALE_DAYS:
                continue
            with FileLock(lock, timeout=0):
                if directory.exists():
                    shutil.rmtree(directory)
                lock.unlink()
        except (Timeout, FileNotFoundError):
            continue  # a training runs in it, or has ended since
        except OSError as error:
            raise StoreError(f"{directory} cannot be deleted: {error.strerror or error}") from error
        removed.append(directory)
    return removed


def training_key(request: TrainingRequest, prepared: Prepared, **more: Any) -> str:
    """Differs where anything does that a training depends on: what is found by it always fits.

    Args:
        more: what the work depends on besides, as JSON has it.
    """
    parts = {
        "recipe": request.recipe.model_dump(mode="json"),
        "scheme": prepared.scheme.to_dict(),
        "data": prepared.dataset.fingerprint(),
        "base": prepared.base.fingerprint,
        "platform": version("adapter-platform"),
        **library_versions(),
        **more,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _lock(directory: Path) -> Path:
    return directory.with_name(directory.name + LOCK)


def _idle_days(*paths: Path) -> float:
    """Days since the paths that are there last changed."""
    now = time.time()
    return (now - max((p.stat().st_mtime for p in paths if p.exists()), default=now)) / 86400
