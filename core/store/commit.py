"""The moves that change what readers see, each one rename, in the order that survives a crash.

What is moved is on the disk before it is moved, and the pointer moves last. Callers hold the
writers' lock; an OSError leaves what readers see as it was.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import AdapterCorrupt
from .disk import sync_directory, sync_tree, write_number
from .layers import CURRENT, HIGHEST, STARTER, Layer
from .manifest import FILE, Manifest
from .staging import Staging
from .verify import damage


def add_version(
    layer: Layer, staging: Staging, staged: Path, manifest: Manifest, *, promote: bool
) -> None:
    """Moves a synced directory in beside the other versions of its name, then the pointer."""
    target = layer.directory(manifest.name, manifest.version)
    current, pointer = layer.pointer(manifest.name), staging.new_path()
    try:
        if promote:  # written first: a disk that is full refuses before anything has moved
            write_number(pointer, manifest.version, replaces=current)
        staged.rename(target)
        try:
            sync_directory(target.parent)
            if promote:
                pointer.replace(current)
        except OSError:
            target.rename(staged)
            raise
    finally:
        pointer.unlink(missing_ok=True)
    sync_directory(target.parent)


def found_name(
    layer: Layer,
    staging: Staging,
    staged: Path,
    manifest: Manifest,
    *,
    promote: bool,
    starter: Path | None,
) -> None:
    """Moves a new name in whole: its version, its pointer, and the starter that it continues.

    Args:
        starter: the directory of the starter's version ``manifest.parent``, or None.

    Raises:
        AdapterCorrupt: the starter is damaged.
    """
    new = staging.new_path()
    target = new / str(manifest.version)
    try:
        new.mkdir()
        if starter is not None and manifest.parent is not None:
            _copy_version(starter, new / str(manifest.parent))
            write_number(new / STARTER, manifest.parent)
        current = manifest.version if promote else manifest.parent
        if current is not None:
            write_number(new / CURRENT, current)
        sync_tree(new)
        staged.rename(target)
        sync_directory(new)
        new.rename(layer.root / manifest.name)
    except (OSError, AdapterCorrupt):
        if target.exists():
            target.rename(staged)
        shutil.rmtree(new, ignore_errors=True)
        raise
    sync_directory(layer.root)


def point_at(layer: Layer, staging: Staging, name: str, version: int) -> None:
    """Makes a version current."""
    current, pointer = layer.pointer(name), staging.new_path()
    try:
        write_number(pointer, version, replaces=current)
        pointer.replace(current)
    finally:
        pointer.unlink(missing_ok=True)
    sync_directory(current.parent)


def bury(staging: Staging, doomed: Path) -> None:
    """Removes a directory; it is out of sight at once, and deleted after."""
    grave = staging.new_path()
    doomed.rename(grave)
    sync_directory(doomed.parent)
    shutil.rmtree(grave, ignore_errors=True)  # what cannot be deleted now is left to `gc`


def retire_number(layer: Layer, staging: Staging, name: str, version: int) -> None:
    """Notes a version that is about to go, if its number would otherwise be given again."""
    if version + 1 < layer.next_version(name):
        return
    note = staging.new_path()
    try:
        write_number(note, version)
        note.replace(layer.root / name / HIGHEST)
    finally:
        note.unlink(missing_ok=True)


def _copy_version(source: Path, target: Path) -> None:
    """Copies a version's own files, without the modes of a read-only installation."""
    manifest = Manifest.read(source)
    found = damage(source, manifest)
    if found:
        raise AdapterCorrupt(
            f"the starter {manifest.reference} is damaged: {found[0]}", "install the package again"
        )
    for file in [*manifest.files, FILE]:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file, target / file)
