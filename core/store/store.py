"""The store: where adapters are published, found, rolled back and removed.

A writable directory over the read-only starters. A reader takes no lock and never sees half an
adapter; writers take turns, and one that dies at any point leaves the old version current.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ..errors import AdapterCorrupt, StoreError, UsageError
from .commit import add_version, bury, found_name, point_at, retire_number
from .disk import disk_errors, share_modes, sync_tree
from .layers import Layer
from .lookup import Listed, Lookup, choose, read_manifest
from .manifest import FILE, WORSE, Manifest
from .names import check_name, composed, parse_reference
from .source import AdapterSource
from .staging import Staging
from .verify import check_publishable, damage, strangers

log = logging.getLogger(__name__)

LOOKS = 3  # at a name whose pointer and versions change while it is looked up


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
        self._lookup = Lookup(self._own, self._starters)
        self._staging = Staging(self.root, lock_seconds)

    # Reading

    def names(self) -> list[str]:
        """All names, sorted."""
        with disk_errors(self.root, "read"):
            return self._lookup.names()

    def listing(self) -> list[Listed]:
        """Every name with its current version; one that cannot be read says why."""
        with disk_errors(self.root, "read"):
            entries = (self._lookup.listed(name) for name in self._lookup.names())
            return [entry for entry in entries if entry is not None]

    def manifests(self) -> list[Manifest]:
        """The current version of each name that has a readable one; `listing` shows the others."""
        return [entry.manifest for entry in self.listing() if entry.manifest]

    def sources(self) -> list[AdapterSource]:
        """The same, each with where it lies, as `resolve` gives it."""
        found = []
        for name in self.names():
            try:
                found.append(self.resolve(name))
            except StoreError as error:
                log.info("%s is left out: %s", name, error.message)
        return found

    def versions(self, name: str) -> list[int]:
        """The version numbers of a name in order. Raises `AdapterNotFound`."""
        with self._found(name) as (name, layer):
            return layer.versions(name)

    def current(self, name: str) -> int:
        """The version that the bare name means.

        Raises:
            AdapterNotFound: no such name.
            StoreError: no version of it is current.
        """
        with self._found(name) as (name, layer):
            return self._lookup.current(layer, name)

    def is_current(self, name: str, version: int) -> bool:
        """Whether the bare name means this version. Raises as `has_current`."""
        return self.has_current(name) and self.current(name) == version

    def has_current(self, reference: str) -> bool:
        """Whether ``NAME`` means a version; ``NAME@VERSION`` always does.

        Raises:
            AdapterNotFound: no such name.
            AdapterCorrupt: the name's pointer cannot be read.
        """
        name, version = parse_reference(reference)
        if version is not None:
            return True
        with self._found(name) as (name, layer):
            return self._lookup.pointer(layer, name) is not None

    def path(self, name: str, version: int) -> Path:
        """The directory of one version. Raises `AdapterNotFound`."""
        with self._found(name) as (name, layer):
            layer.check_version(name, version)
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
                    return self._lookup.source(name, version)
            return self._lookup.source(name, version)

    def verify(self, name: str, version: int | None = None) -> list[str]:
        """A sentence for each file that is missing, changed or unknown; empty: all is well.

        Args:
            version: None: the current one.

        Raises:
            AdapterNotFound: no such name or version.
        """
        with self._found(name) as (name, layer):
            if version is None:
                version = self._lookup.current(layer, name)
            layer.check_version(name, version)
            directory = layer.directory(name, version)
            try:
                manifest = read_manifest(directory, name, version)
            except AdapterCorrupt as error:
                return [error.message]
            return damage(directory, manifest) + strangers(directory, manifest)

    @contextmanager
    def _found(self, name: str) -> Iterator[tuple[str, Layer]]:
        """The name as it is stored, and the layer that answers it, for a block that reads."""
        with disk_errors(self.root, "read"):
            stored = composed(name)
            yield stored, self._lookup.layer(stored)

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
        name = check_name(name)
        with self._staging.stage() as directory:
            self._check_new(name)
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
            self._check_new(name)
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
            current = self._lookup.current(self._own, name)
            parent = read_manifest(self._own.directory(name, current), name, current).parent
            versions = self._own.versions(name)
            if parent is None or parent not in versions:
                why = "it was the first" if parent is None else f"version {parent} is removed"
                raise StoreError(
                    f"there is no version before {name}@{current} to roll back to: {why}",
                    choose(name, [v for v in versions if v != current]),
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
                self._own.check_version(name, version)
                others = [v for v in self._own.versions(name) if v != version]
                if others and version == self._own.current(name):
                    raise StoreError(
                        f"{name}@{version} is current and cannot be removed",
                        choose(name, others),
                    )
                if others:
                    retire_number(self._own, self._staging, name, version)
                    doomed = self._own.directory(name, version)
            bury(self._staging, doomed)

    def gc(self) -> list[Path]:
        """Deletes what writers that died have left behind; returns what was deleted."""
        return self._staging.collect()

    # Changing

    def _check_new(self, name: str) -> None:
        """Raises `UsageError` for a name that is new but for its capitals."""
        names = self.names()
        folded = composed(name.casefold())
        near = next((known for known in names if composed(known.casefold()) == folded), None)
        if near is not None and name not in names:
            raise UsageError(
                f"an adapter cannot be named {name!r} beside {near!r}: some disks take the two for "
                "one",
                f"use {near!r}, or another name",
            )

    def _writable(self, name: str, doing: str) -> str:
        name = composed(name)
        if self._lookup.layer(name).kind == "starter":
            raise StoreError(
                f"{name} is a starter adapter, which cannot be {doing}",
                "publish a version of your own under its name first",
            )
        return name

    def _promote(self, name: str, version: int) -> None:
        self._own.check_version(name, version)
        directory = self._own.directory(name, version)
        manifest = read_manifest(directory, name, version)
        found = damage(directory, manifest)
        if found:
            raise AdapterCorrupt(
                f"{name}@{version} is damaged and cannot become current: {found[0]}",
                f"see `platform adapters verify {name}@{version}`",
            )
        point_at(self._own, self._staging, name, version)
        if manifest.worse_than_probe:
            log.warning("%s is %s", manifest.reference, WORSE)

    def _starter_of(self, manifest: Manifest) -> Path | None:
        """The directory of the starter that a new name continues."""
        if self._starters is None or manifest.parent is None:
            return None
        return self._starters.directory(manifest.name, manifest.parent)
