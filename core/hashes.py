"""SHA-256 of files: of one, of a base's (remembered while size, mtime and inode stay), and pins."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import BaseUnavailable

log = logging.getLogger(__name__)


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered_hashes(
    directory: Path, names: Sequence[str], cache: Path, *, rehash: bool = False
) -> dict[str, str]:
    """SHA-256 by name of files in a directory.

    Hashing 470 MB takes 0.7 s, so what was hashed once is kept below `cache`; a cache that cannot
    be written only costs hashing again.

    Args:
        rehash: read every file, whatever is remembered.
    """
    key = hashlib.sha256(str(directory).encode()).hexdigest()[:32]
    memory = cache / "fingerprints" / f"{key}.json"
    known = _read(memory)
    entries: dict[str, Any] = {}
    for name in names:
        stamp, entry = _stamp(directory / name), known.get(name)
        fresh = isinstance(entry, dict) and entry.get("stamp") == stamp and not rehash
        digest = entry["sha256"] if entry and fresh else sha256(directory / name)
        entries[name] = {"stamp": stamp, "sha256": digest}
    if known | entries != known:
        _write(memory, known | entries)
    return {name: entry["sha256"] for name, entry in entries.items()}


def check_pins(
    directory: Path, pins: Mapping[str, str], what: str, hint: str, cache: Path | None = None
) -> None:
    """Refuses a directory whose files are not those that a base is pinned to.

    Args:
        pins: SHA-256 by name of file.
        what: what each file should be, as the end of a sentence.
        cache: where hashes are remembered; None: every file is read.

    Raises:
        BaseUnavailable: a file has another SHA-256.
    """
    if cache is None:
        found = {name: sha256(directory / name) for name in pins}
    else:
        found = remembered_hashes(directory, list(pins), cache)
    for name, pin in pins.items():
        if found[name] != pin:
            raise BaseUnavailable(f"{directory / name} is not {what} (its SHA-256 differs)", hint)


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _write(path: Path, entries: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump(entries, file)
        Path(file.name).replace(path)
    except OSError as error:
        log.info("hashes are not remembered in %s: %s", path.parent, error)
