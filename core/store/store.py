"""The store: where adapters are published, found, rolled back and removed.

A writable directory over the read-only starters. A reader takes no lock and never sees half an
adapter; writers take turns, and one that dies at any point leaves the old version current.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from ..errors import AdapterCorrupt, AdapterNotFound, StoreError, unknown
from .commit import add_version, bury, found_name, point_at, retire_number
from .disk import disk_errors, share_modes, sync_tree
from .layers import Kind, Layer
from .manifest import FILE, Manifest
from .names import check_name, composed, parse_reference
from .source import AdapterSource
from .staging import Staging
from .verify import check_publishable, damage, strangers

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
    version: int | None = None
    versions: tuple[int, ...] = ()
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
        self.root = root.absolute()
        self.starters = starters
        self._own = Layer(self.root, "store")
        self._starters = Layer(starters.absolute(), "starter") if starters else None
        self._staging = Staging(self.root, lock_seconds)
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
            name = composed(name)
            return self._layer(name).versions(name)

    def current(self, name: str) -> int:
        """The version that the bare name means.

        Raises:
            AdapterNotFound: no such name.
            StoreError: no version of it is current.
        """
        with disk_errors(self.root, "read"):
            name = composed(name)
            return self._current(self._layer(name), name)

    def path(self, name: str, version: int) -> Path:
        """The directory of one version. Raises `AdapterNotFound`."""
        with disk_errors(self.root, "read"):
            name = composed(name)
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
            name = composed(name)
            layer = self._layer(name)
            if version is None:
                version = self._current(layer, name)
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
        check_name(name)
        with self._staging.stage() as directory:
            yield directory

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
        if staged.parent.resolve() != self._staging.directory.resolve():
            raise StoreError(
                f"{staged} was not staged in the store {self.root}",
                "fill the directory that Store.stage gives",
            )
        with self._staging.turn():
            check_publishable(staged)
            known = self._own.has(name)
            past = self._own if known or self._starters is None else self._starters
            complete = replace(
                manifest,
                name=name,
                version=past.next_version(name),
                parent=past.current(name),
                created=manifest.created or datetime.now(UTC).isoformat(timespec="seconds"),
            ).write(staged)
            share_modes(staged, like=staged / FILE)
            sync_tree(staged)
            if known:
                add_version(self._own, self._staging, staged, complete, promote=promote)
            else:
                starter = self._starter_of(complete)
                found_name(
                    self._own, self._staging, staged, complete, promote=promote, starter=starter
                )
        return complete

    def promote(self, name: str, version: int) -> None:
        """Makes a version current, once its files are seen to be whole.

        Raises:
            AdapterNotFound: no such name or version.
            AdapterCorrupt: the version is damaged; what is current stays so.
        """
        with self._staging.turn():
            self._promote(self._writable(name, "promoted"), version)

    def rollback(self, name: str) -> int:
        """Makes the current version's parent current; returns its number.

        Raises:
            StoreError: there is no parent, or it has been removed.
            AdapterCorrupt: it is damaged.
        """
        with self._staging.turn():
            name = self._writable(name, "rolled back")
            current = self._current(self._own, name)
            parent = _read_manifest(self._own.directory(name, current), name, current).parent
            versions = self._own.versions(name)
            if parent is None or parent not in versions:
                why = "it was the first" if parent is None else f"version {parent} is removed"
                raise StoreError(
                    f"there is no version before {name}@{current} to roll back to: {why}",
                    _choose(name, [v for v in versions if v != current]),
                )
            self._promote(name, parent)
        return parent

    def remove(self, name: str, version: int | None = None) -> None:
        """Removes a version, or the name with all its versions; a starter of the name shows again.

        The number of a removed version is not given again while the name exists.

        Raises:
            AdapterNotFound: no such name or version.
            StoreError: the version is current and has others beside it, or the name is a starter's.
        """
        with self._staging.turn():
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
                    retire_number(self._own, self._staging, name, version)
                    doomed = self._own.directory(name, version)
            bury(self._staging, doomed)

    def gc(self) -> list[Path]:
        """Deletes what writers that died have left behind; returns what was deleted."""
        return self._staging.collect()

    # Looking up

    def _layers(self) -> list[Layer]:
        return [self._own, self._starters] if self._starters else [self._own]

    def _layer(self, name: str) -> Layer:
        for layer in self._layers():
            if layer.has(name):
                return layer
        names = self.names()
        hint = None if names else "train one: platform adapters train NAME --data FILE"
        raise unknown("adapter", name, names, AdapterNotFound, hint)

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
        entry = Listed(name, layer.kind)
        try:
            with disk_errors(layer.root, "read"):
                entry = replace(entry, versions=tuple(layer.versions(name)))
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

    def _writable(self, name: str, doing: str) -> str:
        name = composed(name)
        if self._layer(name).kind == "starter":
            raise StoreError(
                f"{name} is a starter adapter, which cannot be {doing}",
                "publish a version of your own under its name first",
            )
        return name

    def _promote(self, name: str, version: int) -> None:
        self._check_version(self._own, name, version)
        directory = self._own.directory(name, version)
        found = damage(directory, _read_manifest(directory, name, version))
        if found:
            raise AdapterCorrupt(
                f"{name}@{version} is damaged and cannot become current: {found[0]}",
                f"see `platform adapters verify {name}@{version}`",
            )
        point_at(self._own, self._staging, name, version)

    def _starter_of(self, manifest: Manifest) -> Path | None:
        """The directory of the starter that a new name continues."""
        if self._starters is None or manifest.parent is None:
            return None
        return self._starters.directory(manifest.name, manifest.parent)


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
    try:
        manifest = Manifest.read(directory)
    except AdapterCorrupt as error:
        hint = error.hint or f"platform adapters promote {name} VERSION, or train it again"
        raise AdapterCorrupt(error.message, hint) from error
    if (manifest.name, manifest.version) != (name, version):
        raise AdapterCorrupt(
            f"{directory} holds the manifest of {manifest.reference}",
            "publish the adapter again instead of copying its directory",
        )
    return manifest


def _choose(name: str, versions: list[int]) -> str | None:
    """The hint that leads to another version, if there is one."""
    if not versions:
        return None
    known = ", ".join(map(str, versions))
    return f"platform adapters promote {name} VERSION makes another current; versions: {known}"
