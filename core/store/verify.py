"""Whether an adapter's files are what its manifest says, and whether they may be published."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ..errors import AdapterCorrupt, AdapterNotFound, StoreError
from ..hashes import sha256
from .manifest import FILE, Manifest

if TYPE_CHECKING:
    from .source import AdapterSource

# Formats whose reading may run code that lies in the file.
PICKLED = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill"})


def verify_files(source: AdapterSource, names: Collection[str] | None = None) -> None:
    """Hashes the adapter's files against its manifest; engines call it at each load from disk.

    Args:
        names: of the manifest's files, those to hash; None: all.

    Raises:
        AdapterNotFound: the version has been removed since it was resolved.
        AdapterCorrupt: a file is missing or has changed; the sentence names it.
    """
    manifest = source.manifest
    if not source.path.is_dir():
        raise AdapterNotFound(f"{manifest.reference} has been removed from the store")
    found = damage(source.path, manifest, names)
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise AdapterCorrupt(
            f"the adapter {manifest.reference} is damaged: {found[0]}{more}",
            f"see `platform adapters verify {manifest.name}`; roll back, or train it again",
        )


def damage(directory: Path, manifest: Manifest, names: Collection[str] | None = None) -> list[str]:
    """A sentence for each file of the manifest, or of `names` of it, that is missing, changed or
    unreadable.
    """
    return [
        problem
        for name, expected in sorted(manifest.files.items())
        if (names is None or name in names) and (problem := _problem(directory, name, expected))
    ]


def strangers(directory: Path, manifest: Manifest) -> list[str]:
    """A sentence for each file that the manifest does not know."""
    known = {*manifest.files, FILE}
    return [
        f"{name} is not in the manifest" for name in _relative_files(directory) if name not in known
    ]


def check_publishable(directory: Path) -> None:
    """Refuses what no adapter may hold: pickles, links and special files.

    Raises:
        StoreError: naming the file.
    """
    if not directory.is_dir():
        raise StoreError(f"{directory} is not a directory, so it cannot be published")
    names = _relative_files(directory)
    if not names:
        raise StoreError(f"{directory} is empty, so it cannot be published")
    for name in names:
        path = directory / name
        if path.is_symlink() or not path.is_file():
            raise StoreError(f"{name} is not a plain file, so it cannot be part of an adapter")
        if _leads_out(name):
            raise StoreError(f"{name} is a path to elsewhere on Windows, so no adapter may hold it")
        if path.suffix.lower() in PICKLED:
            raise StoreError(
                f"{name} is in a format that can carry code, so it cannot be part of an adapter",
                "save its tensors as safetensors",
            )


def _problem(directory: Path, name: str, expected: str) -> str | None:
    if _leads_out(name):
        return f"{name} lies outside the adapter"
    path = directory / name
    if path.is_symlink():
        return f"{name} is a link"
    if any(parent.is_symlink() for parent in path.parents[: len(PurePosixPath(name).parts) - 1]):
        return f"{name} lies behind a link"
    try:
        return None if sha256(path) == expected else f"{name} has changed"
    except (FileNotFoundError, NotADirectoryError):
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read: {error.strerror or error}"


def _leads_out(name: str) -> bool:
    """Whether a relative path means a place elsewhere, on whatever system it is read."""
    inside = PurePosixPath(name)
    return inside.is_absolute() or ".." in inside.parts or "\\" in name or ":" in name


def _relative_files(directory: Path) -> list[str]:
    """Relative paths of everything below that is not a real directory, sorted."""
    found: list[str] = []
    for parent, directories, files in os.walk(directory):
        linked = [name for name in directories if Path(parent, name).is_symlink()]
        found += [Path(parent, name).relative_to(directory).as_posix() for name in files + linked]
    return sorted(found)
