"""The store: where adapters are published, found, rolled back and removed.

A writable directory over the read-only starters. A reader takes no lock and never sees half an
adapter; writers take turns, and one that dies at any point leaves the old version current.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from ..engine.protocol import AdapterSource
from ..errors import AdapterCorrupt, AdapterNotFound, StoreError, unknown
from .disk import (
    disk_errors,
    locked_out,
    staging_errors,
    sync_directory,
    sync_tree,
    write_number,
)
from .layers import CURRENT, HIGHEST, STARTER, Kind, Layer
from .manifest import FILE, Manifest
from .names import check_name, parse_reference
from .verify import check_publishable, damage, strangers

LOCK = ".lock"
STAGING = ".staging"
LOOKS = 3  # at a name whose pointer and versions change while it is looked up
CACHED = 4096  # pointers and manifests kept in memory

T = TypeVar("T")
Signature = tuple[int, int, int]  # modification time in ns, inode, size


@dataclass(frozen=True, slots=True)
class Listed:
    """One name as `adapters list` shows it.

    Attributes:
        layer: ``store``, or ``starter`` for one that came with the package.
        version: the current version, or None where no version is current.
        versions: all version numbers in order.
        manifest: the current version's, or None where it cannot be read.
        error: why there is no manifest.
        newer_starter: the version of the starter now installed, where it is above the one that
            this name began with.
    """

    name: str
    layer: Kind
    version: int | None
    versions: tuple[int, ...]
    manifest: Manifest | None = None
    error: StoreError | None = None
    newer_starter: int | None = None


class Store:
    """Published adapters under `root`, over the read-only `starters`.

    A name is answered wholly by the first of the two that has it. Safe to use from many threads,
    and from many processes over one directory. Every method may raise `StoreError` where the disk
    refuses; the store is then as it was.

    Args:
        root: made on the first write.
        starters: a directory of the same layout, never written.
        lock_seconds: how long a writer waits for another.
    """

    def __init__(
        self, root: Path, starters: Path | None = None, *, lock_seconds: float = 30.0
    ) -> None:
        self.root = root
        self.starters = starters
        self.lock_seconds = lock_seconds
        self._own = Layer(root, "store")
        self._starters = Layer(starters, "starter") if starters else None
        # Plain dicts, each entry checked against the file at every use: two threads may read the
        # same file twice, but none can see an old entry, and a fork inherits no locked lock.
        self._pointers: dict[Path, tuple[Signature, int]] = {}
        self._sources: dict[Path, tuple[Signature, AdapterSource]] = {}

    # Reading

    def names(self) -> list[str]:
        """All names, sorted."""
        with disk_errors(self.root, "read"):
            return sorted({name for layer in self._layers() for name in layer.names()})

    def listing(self) -> list[Listed]:
        """Every name with its current version; one that cannot be read says why."""
        with disk_errors(self.root, "read"):
            entries = (self._listed(name) for name in self.names())
            return [entry for entry in entries if entry is not None]

    def manifests(self) -> list[Manifest]:
        """The current version of each name that has a readable one; `listing` shows the others."""
        return [entry.manifest for entry in self.listing() if entry.manifest]

    def versions(self, name: str) -> list[int]:
        """The version numbers of a name in order. Raises `AdapterNotFound`."""
        with disk_errors(self.root, "read"):
            name, _ = parse_reference(name)
            return self._layer(name).versions(name)

    def current(self, name: str) -> int:
        """The version that the bare name means.

        Raises:
            AdapterNotFound: no such name.
            StoreError: no version of it is current.
        """
        with disk_errors(self.root, "read"):
            name, _ = parse_reference(name)
            return self._current(self._layer(name), name)

    def path(self, name: str, version: int) -> Path:
        """The directory of one version. Raises `AdapterNotFound`."""
        with disk_errors(self.root, "read"):
            layer = self._layer(name)
            self._check_version(layer, name, version)
            return layer.directory(name, version)

    def resolve(self, reference: str) -> AdapterSource:
        """The adapter that ``NAME`` (its current version) or ``NAME@VERSION`` means now.

        Costs a few `stat` calls; files are read again only when they have changed, so another
        process's publish is seen by the next call.

        Raises:
            AdapterNotFound: no such name or version.
            AdapterCorrupt: its manifest or its name's pointer cannot be read.
            StoreError: no version of the name is current.
        """
        name, version = parse_reference(reference)
        with disk_errors(self.root, "read"):
            for _ in range(LOOKS - 1):
                # A writer may promote another version and remove this one between our two reads.
                with suppress(StoreError):
                    return self._look_up(name, version)
            return self._look_up(name, version)

    def verify(self, name: str, version: int | None = None) -> list[str]:
        """A sentence for each file that is missing, changed or unknown; empty: all is well.

        Args:
            version: None: the current one.

        Raises:
            AdapterNotFound: no such name or version.
        """
        with disk_errors(self.root, "read"):
            if version is None:
                version = self.current(name)
            layer = self._layer(name)
            self._check_version(layer, name, version)
            directory = layer.directory(name, version)
            try:
                manifest = _read_manifest(directory, name, version)
            except AdapterCorrupt as error:
                return [error.message]
            return damage(directory, manifest) + strangers(directory, manifest)

    # Writing

    @contextmanager
    def stage(self, name: str) -> Iterator[Path]:
        """A new empty directory in the store's own file system, to be filled and published.

        It is gone at the end of the block, published or not. A name that cannot be, or a store
        that cannot be written, is refused here, before any work is done.

        Raises:
            UsageError: an adapter cannot have this name.
            StoreError: the store cannot be written, or the disk became full inside the block.
        """
        from filelock import FileLock

        check_name(name)
        directory = self._temporary()
        lock = directory.with_suffix(".lock")
        # Held for the whole block, and let go by the system if we die: `gc` goes by it.
        held = FileLock(lock, timeout=0, thread_local=False)
        with self._writing():
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
            with suppress(OSError):  # what cannot be deleted now, `gc` finds later
                lock.unlink(missing_ok=True)

    def publish(self, staged: Path, manifest: Manifest, *, promote: bool = True) -> Manifest:
        """Makes a staged directory the next version of ``manifest.name``; returns its manifest.

        The store sets name, version, parent, file hashes and, if empty, the time. The first
        publish under a starter's name brings the starter's current version along.

        Args:
            staged: a directory from `stage`; it is moved. After an error it is where it was.
            promote: make the new version current; otherwise what is current stays so.

        Raises:
            UsageError: an adapter cannot have this name.
            StoreError: a file in it may not be published, or the store cannot be written.
        """
        name = check_name(manifest.name)
        if staged.parent != self._staging:
            raise StoreError(
                f"{staged} was not staged in the store {self.root}",
                "fill the directory that Store.stage gives",
            )
        with self._writing():
            check_publishable(staged)
            home = self._own if self._own.has(name) else self._starters or self._own
            complete = replace(
                manifest,
                name=name,
                version=home.next_version(name),
                parent=home.current(name),
                created=manifest.created or datetime.now(UTC).isoformat(timespec="seconds"),
            ).write(staged)
            sync_tree(staged)
            if home.has(name) and home.kind == "store":
                self._add(staged, complete, promote=promote)
            else:
                self._found(staged, complete, promote=promote)
        return complete

    def promote(self, name: str, version: int) -> None:
        """Makes a version current, once its files are seen to be whole.

        Raises:
            AdapterNotFound: no such name or version.
            AdapterCorrupt: the version is damaged; what is current stays so.
        """
        with self._writing():
            name = self._writable(name, "promoted")
            self._check_version(self._own, name, version)
            directory = self._own.directory(name, version)
            found = damage(directory, _read_manifest(directory, name, version))
            if found:
                raise AdapterCorrupt(
                    f"{name}@{version} is damaged and cannot become current: {found[0]}",
                    f"see `platform adapters verify {name}@{version}`",
                )
            pointer = self._temporary()
            write_number(pointer, version, replaces=self._own.pointer(name))
            pointer.replace(self._own.pointer(name))
            sync_directory(self.root / name)

    def rollback(self, name: str) -> int:
        """Makes the current version's parent current; returns its number.

        Raises:
            StoreError: there is no parent, or it has been removed.
            AdapterCorrupt: it is damaged.
        """
        with disk_errors(self.root, "read"):
            name = self._writable(name, "rolled back")
            current = self._current(self._own, name)
            parent = _read_manifest(self._own.directory(name, current), name, current).parent
            versions = self._own.versions(name)
        if parent is None or parent not in versions:
            why = "it was the first" if parent is None else f"version {parent} has been removed"
            raise StoreError(
                f"there is no version before {name}@{current} to roll back to: {why}",
                _choose(name, [v for v in versions if v != current]),
            )
        self.promote(name, parent)
        return parent

    def remove(self, name: str, version: int | None = None) -> None:
        """Removes a version, or the name with all its versions; a starter of the name shows again.

        The number of a removed version is not given again while the name exists.

        Raises:
            AdapterNotFound: no such name or version.
            StoreError: the version is current and has others beside it, or the name is a starter's.
        """
        with self._writing():
            name = self._writable(name, "removed")
            doomed = self.root / name
            if version is not None:
                self._check_version(self._own, name, version)
                others = [v for v in self._own.versions(name) if v != version]
                if others and version == self._own.current(name):
                    raise StoreError(
                        f"{name}@{version} is current and cannot be removed",
                        _choose(name, others),
                    )
                if others:
                    self._remember(name, version)
                    doomed = self._own.directory(name, version)
            # One rename, so that no reader sees a directory that is half deleted.
            grave = self._temporary()
            doomed.rename(grave)
            sync_directory(doomed.parent)
            shutil.rmtree(grave, ignore_errors=True)

    def gc(self) -> list[Path]:
        """Deletes what writers that died have left behind; returns what was deleted."""
        from filelock import FileLock, Timeout

        if not self._staging.exists():
            return []
        removed: list[Path] = []
        with self._writing():
            for entry in sorted(self._staging.iterdir()):
                if entry.suffix == ".lock" and entry.with_suffix("").exists():
                    continue  # goes with its directory
                lock = FileLock(entry.with_suffix(".lock"), timeout=0)
                try:
                    with lock:
                        if entry.is_dir():
                            shutil.rmtree(entry)
                        else:
                            entry.unlink()
                except Timeout:
                    continue  # its writer is alive
                Path(lock.lock_file).unlink(missing_ok=True)
                removed.append(entry)
        return removed

    # Looking up

    def _layers(self) -> list[Layer]:
        return [self._own, self._starters] if self._starters else [self._own]

    def _layer(self, name: str) -> Layer:
        for layer in self._layers():
            if layer.has(name):
                return layer
        raise unknown("adapter", name, self.names(), AdapterNotFound)

    def _check_version(self, layer: Layer, name: str, version: int) -> None:
        versions = layer.versions(name)
        if version not in versions:
            known = ", ".join(map(str, versions)) or "none"
            raise AdapterNotFound(f"{name} has no version {version}", f"its versions: {known}")

    def _current(self, layer: Layer, name: str) -> int:
        path = layer.pointer(name)
        number = _cached(self._pointers, path, lambda: layer.current(name))
        if number is None:
            raise StoreError(
                f"no version of {name} is current", _choose(name, layer.versions(name))
            )
        return number

    def _look_up(self, name: str, version: int | None) -> AdapterSource:
        layer = self._layer(name)
        number = self._current(layer, name) if version is None else version
        directory = layer.directory(name, number)

        def read() -> AdapterSource:
            manifest = _read_manifest(directory, name, number)
            return AdapterSource(directory, manifest, manifest.content_hash)

        source = _cached(self._sources, directory / FILE, read)
        if source is not None:
            return source
        if version is None and not directory.is_dir():
            raise AdapterCorrupt(
                f"the current version of {name} is {number}, which is not in the store",
                _choose(name, layer.versions(name)),
            )
        self._check_version(layer, name, number)
        raise AdapterCorrupt(f"{directory} has no {FILE}", _choose(name, layer.versions(name)))

    def _listed(self, name: str) -> Listed | None:
        try:
            layer = self._layer(name)
        except AdapterNotFound:
            return None  # removed since the names were read
        entry = Listed(name, layer.kind, None, tuple(layer.versions(name)))
        try:
            entry = replace(entry, version=self._current(layer, name))
            entry = replace(entry, newer_starter=self._newer_starter(layer, name))
            return replace(entry, manifest=self.resolve(name).manifest)
        except StoreError as error:
            return replace(entry, error=error)

    def _newer_starter(self, layer: Layer, name: str) -> int | None:
        if layer.kind == "starter" or self._starters is None:
            return None
        began, installed = layer.copied_starter(name), self._starters.current(name)
        return installed if began and installed and installed > began else None

    # Changing

    @property
    def _staging(self) -> Path:
        return self.root / STAGING

    def _temporary(self) -> Path:
        """A path that nothing has, in the store's own file system."""
        return self._staging / secrets.token_hex(8)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        with disk_errors(self.root, "written"):
            self._staging.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / LOCK, timeout=self.lock_seconds)
            try:
                lock.acquire()
            except Timeout:
                locked_out(self.root, self.lock_seconds)
            try:
                yield
            finally:
                lock.release()

    def _writable(self, name: str, doing: str) -> str:
        name, _ = parse_reference(name)
        if self._layer(name).kind == "starter":
            raise StoreError(
                f"{name} is a starter adapter, which cannot be {doing}",
                "publish a version of your own under its name first",
            )
        return name

    def _add(self, staged: Path, manifest: Manifest, *, promote: bool) -> None:
        """Moves a complete version in beside the others of its name, then moves the pointer."""
        home, target = self.root / manifest.name, self.root / manifest.name / staged.name
        target = self._own.directory(manifest.name, manifest.version)
        current, pointer = self._own.pointer(manifest.name), self._temporary()
        # Written first: on a full disk nothing has been moved yet.
        if promote:
            write_number(pointer, manifest.version, replaces=current)
        try:
            staged.rename(target)
            try:
                sync_directory(home)
                if promote:
                    pointer.replace(current)
            except OSError:
                target.rename(staged)
                raise
        finally:
            pointer.unlink(missing_ok=True)
        sync_directory(home)

    def _found(self, staged: Path, manifest: Manifest, *, promote: bool) -> None:
        """Moves a name in whole, with its first version, its pointer and the starter it continues."""
        name, parent = manifest.name, manifest.parent
        new = self._temporary()
        target = new / str(manifest.version)
        try:
            new.mkdir()
            if self._starters is not None and parent is not None:
                _copy_version(self._starters.directory(name, parent), new / str(parent))
                write_number(new / STARTER, parent)
            current = manifest.version if promote else parent
            if current is not None:
                write_number(new / CURRENT, current)
            sync_tree(new)
            staged.rename(target)
            sync_directory(new)
            new.rename(self.root / name)
        except (OSError, StoreError):
            if target.exists():
                target.rename(staged)
            shutil.rmtree(new, ignore_errors=True)
            raise
        sync_directory(self.root)

    def _remember(self, name: str, version: int) -> None:
        """Notes a version that is about to go, if its number would otherwise be given again."""
        if version + 1 < self._own.next_version(name):
            return
        note = self._temporary()
        write_number(note, version)
        note.replace(self.root / name / HIGHEST)


def _cached(
    cache: dict[Path, tuple[Signature, T]], path: Path, read: Callable[[], T | None]
) -> T | None:
    """What `read` makes of the file, read again only if the file has changed; None without one."""
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    # Taken before reading: if the file is replaced in between, the next look reads it again.
    signature = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
    held = cache.get(path)
    if held is not None and held[0] == signature:
        return held[1]
    value = read()
    if value is not None:
        if len(cache) >= CACHED:
            cache.clear()
        cache[path] = (signature, value)
    return value


def _read_manifest(directory: Path, name: str, version: int) -> Manifest:
    manifest = Manifest.read(directory)
    if (manifest.name, manifest.version) != (name, version):
        raise AdapterCorrupt(
            f"{directory} holds the manifest of {manifest.reference}",
            "publish the adapter again instead of copying its directory",
        )
    return manifest


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


def _choose(name: str, versions: list[int]) -> str | None:
    """The hint that leads to another version, if there is one."""
    if not versions:
        return None
    known = ", ".join(map(str, versions))
    return f"platform adapters promote {name} VERSION makes another current; versions: {known}"
