"""Where plugins come from: built in, given, installed distributions, and the plugins directory.

Nothing of a plugin is imported here; a `Candidate` knows how to do that when it is wanted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any, Literal

from adapter_platform.core.errors import PluginError
from adapter_platform.core.labels import LabelScheme

from .domains.folder import FILE, FolderPlugin
from .hookspecs import PROJECT

DISTRIBUTION = "adapter-platform"
Origin = Literal["built-in", "given", "entry point", "file", "folder", "settings"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin that may be loaded.

    Attributes:
        location: the distribution, file or folder that it comes from.
        load: imports it; may raise anything.
    """

    name: str
    origin: Origin
    version: str
    location: str
    load: Callable[[], object]


def built_in() -> Iterator[Candidate]:
    """The plugins that come with the platform."""
    from . import builtins

    try:
        version = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:  # run from a bare checkout
        version = ""
    for name, plugin in builtins.PLUGINS.items():
        yield Candidate(name, "built-in", version, DISTRIBUTION, _constant(plugin))


def given(plugins: Mapping[str, object]) -> Iterator[Candidate]:
    """Plugins that the caller holds in hand: tests, and programs that bring their own."""
    for name, plugin in plugins.items():
        yield Candidate(name, "given", _version_of(plugin), "", _constant(plugin))


def installed() -> Iterator[Candidate]:
    """Entry points of installed distributions, by name."""
    for point in sorted(metadata.entry_points(group=PROJECT), key=lambda p: (p.name, p.value)):
        dist = point.dist
        version = (dist.version if dist else "") or ""
        location = f"{dist.name} ({point.value})" if dist else point.value
        yield Candidate(point.name, "entry point", version, location, point.load)


def in_directory(
    directory: Path, schemes: Mapping[str, LabelScheme], failed: Callable[[PluginError], None]
) -> Iterator[Candidate]:
    """Single files and domain folders of the plugins directory, by name.

    Args:
        schemes: registered label schemes, read when a folder is, so that it may name one.
        failed: hears of what cannot be a plugin at all.
    """
    if not directory.is_dir():
        hint = "create it, or change PLATFORM_PLUGINS_DIR"
        failed(PluginError(f"the plugins directory {directory} is not there", hint))
        return
    for path in sorted(directory.iterdir()):
        if path.name.startswith((".", "_")):
            continue
        if path.is_file() and path.suffix == ".py":
            yield Candidate(path.stem, "file", "", str(path), _importer(path))
        elif (path / FILE).is_file():
            plugin = FolderPlugin(path, schemes)
            yield Candidate(path.name, "folder", "", str(path), _constant(plugin))
        elif path.is_dir() and (other := sorted(p.name for p in path.glob("*.toml"))):
            failed(PluginError(f"the folder {path} has {other[0]}, but no {FILE}"))


def version_of(candidate: Candidate, plugin: object) -> str:
    """The distribution's version, else what the module says of itself, else nothing."""
    return candidate.version or _version_of(plugin)


def _version_of(plugin: object) -> str:
    version = getattr(plugin, "__version__", "")
    return version if isinstance(version, str) else ""


def _constant(plugin: object) -> Callable[[], object]:
    return lambda: plugin


def _importer(path: Path) -> Callable[[], Any]:
    """Imports a single file as a module of its own, which two files of one name do not share."""

    def load() -> Any:
        name = f"{PROJECT}_file_{path.stem}"
        spec = util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise PluginError(f"{path} cannot be imported as a Python file")
        module = util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses and pickle look a class's module up by name
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    return load
