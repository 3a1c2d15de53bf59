"""Finding adapters: which layer answers a name, which version is current, what it says of itself.

Files are read again only when they have changed; what the disk refuses is an OSError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from ..errors import AdapterCorrupt, AdapterNotFound, StoreError, unknown
from .disk import disk_errors
from .layers import Kind, Layer
from .manifest import FILE, Manifest
from .source import AdapterSource

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


class Lookup:
    """Finds adapters in a store's own layer, and under it among the starters. Thread-safe."""

    def __init__(self, own: Layer, starters: Layer | None) -> None:
        self._starters = starters
        self._layers = [own, starters] if starters else [own]
        # Plain dicts, each entry checked against the file at every use: two threads may read the
        # same file twice, but none can see an old entry, and a fork inherits no locked lock.
        self._pointers: dict[Path, tuple[Signature, int]] = {}
        self._sources: dict[Path, tuple[Signature, AdapterSource]] = {}

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({name for layer in self._layers for name in layer.names()})

    def layer(self, name: str) -> Layer:
        """The one that answers a name wholly. Raises `AdapterNotFound`."""
        for layer in self._layers:
            if layer.has(name):
                return layer
        names = self.names()
        hint = None if names else "train one: platform adapters train NAME --data FILE"
        raise unknown("adapter", name, names, AdapterNotFound, hint)

    def current(self, layer: Layer, name: str) -> int:
        """The version that a bare name means. Raises `StoreError` where it means none."""
        number = self.pointer(layer, name)
        if number is None:
            raise StoreError(f"no version of {name} is current", choose(name, layer.versions(name)))
        return number

    def pointer(self, layer: Layer, name: str) -> int | None:
        """The version that a bare name means, or None where it means none."""
        return _cached(self._pointers, layer.pointer(name), lambda: layer.current(name))

    def source(self, name: str, version: int | None) -> AdapterSource:
        """A version of a name; None: the current one. Raises as `Store.resolve` does."""
        layer = self.layer(name)
        number = self.current(layer, name) if version is None else version
        directory = layer.directory(name, number)

        def read() -> AdapterSource:
            manifest = read_manifest(directory, name, number)
            return AdapterSource(directory, manifest, manifest.content_hash)

        source = _cached(self._sources, directory / FILE, read)
        if source is not None:
            return source
        if version is None and not directory.is_dir():
            raise AdapterCorrupt(
                f"the current version of {name} is {number}, which is not in the store",
                choose(name, layer.versions(name)),
            )
        layer.check_version(name, number)
        raise AdapterCorrupt(f"{directory} has no {FILE}", choose(name, layer.versions(name)))

    def listed(self, name: str) -> Listed | None:
        """A name as it is listed; None where it has just been removed."""
        try:
            layer = self.layer(name)
        except AdapterNotFound:
            return None  # removed since the names were read
        entry = Listed(name, layer.kind)
        try:
            with disk_errors(layer.root, "read"):
                entry = replace(entry, versions=tuple(layer.versions(name)))
                entry = replace(entry, version=self.current(layer, name))
                entry = replace(entry, newer_starter=self._newer_starter(layer, name))
                return replace(entry, manifest=self.source(name, None).manifest)
        except StoreError as error:
            return replace(entry, error=error)

    def _newer_starter(self, layer: Layer, name: str) -> int | None:
        if layer.kind == "starter" or self._starters is None:
            return None
        began, installed = layer.copied_starter(name), self._starters.current(name)
        return installed if began and installed and installed > began else None


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


def read_manifest(directory: Path, name: str, version: int) -> Manifest:
    """A version's manifest. Raises `AdapterCorrupt`, also where it is another version's."""
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


def choose(name: str, versions: list[int]) -> str | None:
    """The hint that leads to another version, if there is one."""
    if not versions:
        return None
    known = ", ".join(map(str, versions))
    return f"platform adapters promote {name} VERSION makes another current; versions: {known}"
