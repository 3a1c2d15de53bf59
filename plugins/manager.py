"""Loads plugins: calls each apart, records who brought what and who failed, fills the `Registry`.

A plugin that fails loses what failed and nothing else; `strict_plugins` makes it fatal.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pluggy

from adapter_platform.core.errors import PlatformError, PluginError, unknown
from adapter_platform.core.registry import Brought, Registry

from . import commands, discovery, hookspecs, intake
from .discovery import Candidate, Origin
from .hookspecs import EVENTS, HOOKS, PROJECT, REGISTRATION
from .isolation import isolated, summary
from .listener import PluginListener

if TYPE_CHECKING:
    from pathlib import Path

    from typer import Typer

    from adapter_platform.core.labels import LabelScheme
    from adapter_platform.core.settings import Settings

log = logging.getLogger("adapter_platform.plugins")

_KINDS = {
    "data_sources": "data source",
    "label_schemes": "label scheme",
    "postprocessors": "post-processor",
    "base_models": "base model",
    "domains": "domain",
    "register_commands": "command",
}


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What is known of one plugin, loaded or not.

    Attributes:
        version: its distribution's version, or what the module says of itself.
        origin: ``built-in``, ``given``, ``entry point``, ``file``, ``folder``; ``settings`` for a
            name that the allow-list has and no plugin.
        location: the distribution, file or folder.
        hooks: the hooks that it implements.
        brought: what the registry has from it, names by kind, ``{"domain": ("tickets",)}``.
        failure: what went wrong, as sentences; None if nothing did.
        skipped: the allow-list leaves it out; nothing of it was imported.
        seconds: how long it took to import and to bring what it brings.
    """

    name: str
    version: str
    origin: Origin
    location: str
    hooks: tuple[str, ...] = ()
    brought: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failure: str | None = None
    skipped: bool = False
    seconds: float = 0.0


@dataclass(eq=False, slots=True)
class _Plugin:
    """A plugin while it is being loaded."""

    candidate: Candidate
    value: object = None
    hooks: tuple[str, ...] = ()
    brought: dict[str, list[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    skipped: bool = False
    seconds: float = 0.0

    @property
    def name(self) -> str:
        return self.candidate.name

    @property
    def version(self) -> str:
        return discovery.version_of(self.candidate, self.value)

    def info(self) -> PluginInfo:
        known = self.candidate
        return PluginInfo(
            self.name,
            self.version,
            known.origin,
            known.location,
            self.hooks,
            {kind: tuple(names) for kind, names in self.brought.items()},
            "; ".join(self.failures) or None,
            self.skipped,
            self.seconds,
        )


def load_plugins(settings: Settings, plugins: Mapping[str, object] | None = None) -> Plugins:
    """Every plugin that there is and that the settings allow.

    Args:
        plugins: further plugins by name, loaded whatever the allow-list says.

    Raises:
        PluginError: a plugin failed, and `strict_plugins` is set.
    """
    return Plugins(settings, plugins or {})


class Plugins:
    """The plugins of one platform, each loaded or failed once this is made: see `load_plugins`.

    Attributes:
        registry: what they brought. The first to bring a name keeps it: built-ins, then given
            ones, distributions, files and folders, each by name.
        listener: tells them what happens.
    """

    def __init__(self, settings: Settings, given: Mapping[str, object]) -> None:
        self._strict = settings.strict_plugins
        self._all: list[_Plugin] = []
        self._loaded: dict[str, _Plugin] = {}
        self._pluggy = pluggy.PluginManager(PROJECT)
        self._pluggy.add_hookspecs(hookspecs)
        self._taken: dict[str, dict[str, Brought[Any]]] = {hook: {} for hook in REGISTRATION}
        self._schemes: dict[str, LabelScheme] = {}  # what domain folders may name
        self._find(settings, given)
        self.registry = self._collect()
        self.listener = PluginListener(
            {hook: [(p.name, call) for p, call in self._callers(hook)] for hook in EVENTS},
            strict=self._strict,
        )

    @property
    def infos(self) -> tuple[PluginInfo, ...]:
        """Every plugin found, in the order of loading."""
        return tuple(plugin.info() for plugin in self._all)

    def register_commands(self, app: Typer, reserved: Iterable[str] = ()) -> None:
        """Lets plugins add commands to `app`; those of a plugin that fails are left out.

        Args:
            reserved: names that no plugin may take, besides those in `app`.

        Raises:
            PluginError: a plugin failed, and `strict_plugins` is set.
        """
        callers = list(self._callers("register_commands"))
        owners = dict.fromkeys([*commands.names_in(app), *reserved], "") if callers else {}
        for plugin, call in callers:
            with self._guard(plugin, "register_commands"):
                names = commands.join(app, call, owners, plugin.name)
                plugin.brought.setdefault("command", []).extend(names)

    # --- finding and registering ----------------------------------------------------------------

    def _find(self, settings: Settings, given: Mapping[str, object]) -> None:
        for candidate in (*discovery.built_in(), *discovery.given(given)):
            self._load(candidate)
        allowed = settings.allowed_plugins
        for candidate in self._strangers(settings.plugins_dir):
            if allowed is None or candidate.name in allowed:
                self._load(candidate)
            else:
                self._all.append(_Plugin(candidate, skipped=True))
        known = {plugin.name for plugin in self._all}
        for name in sorted((allowed or set()) - known):
            stand_in = self._stand_in(name, "settings", "PLATFORM_LOAD_PLUGINS")
            self._fail(stand_in, "", unknown("plugin", name, known, PluginError))

    def _strangers(self, directory: Path | None) -> list[Candidate]:
        """Candidates from outside; a place that cannot be searched is itself a failure."""
        found: list[Candidate] = []
        with isolated(partial(self._misplaced, "entry points", "entry point", PROJECT)):
            found.extend(discovery.installed())
        if directory is not None:
            failed = partial(self._misplaced, directory.name, "folder", str(directory))
            with isolated(failed):
                schemes = MappingProxyType(self._schemes)
                found.extend(discovery.in_directory(directory, schemes, failed))
        return found

    def _misplaced(self, name: str, origin: Origin, location: str, error: BaseException) -> None:
        self._fail(self._stand_in(name, origin, location), "", error)

    def _stand_in(self, name: str, origin: Origin, location: str) -> _Plugin:
        """An entry for something that is no plugin, so that its failure is seen."""
        plugin = _Plugin(Candidate(name, origin, "", location, lambda: None))
        self._all.append(plugin)
        return plugin

    def _load(self, candidate: Candidate) -> None:
        plugin = _Plugin(candidate)
        self._all.append(plugin)
        with self._guard(plugin):
            if first := self._loaded.get(plugin.name):
                raise PluginError(
                    f"the name {plugin.name!r} is taken by the {first.candidate.origin} plugin "
                    f"{first.name!r} of {first.candidate.location or 'the caller'}"
                )
            value = candidate.load()
            self._register(plugin, value() if inspect.isclass(value) else value)

    def _register(self, plugin: _Plugin, value: object) -> None:
        if value is None:
            raise PluginError("it is None, and nothing can be loaded from that")
        hash(value)  # pluggy keeps plugins in sets, and says nothing helpful of one that cannot be
        plugin.value = value
        found = _implemented(self._pluggy, value)
        self._pluggy.register(value, plugin.name)
        self._loaded[plugin.name] = plugin
        plugin.hooks = tuple(hook for hook in HOOKS if hook in found)
        for error in _slips(value, found):
            self._fail(plugin, "", error)

    # --- collecting what they bring ---------------------------------------------------------------

    def _collect(self) -> Registry:
        for hook in REGISTRATION:
            for plugin, call in self._callers(hook):
                with self._guard(plugin, hook):
                    self._take(plugin, hook, call)
            if hook == "label_schemes":
                self._schemes.update({n: b.value for n, b in self._taken[hook].items()})
        self._check_suffixes()
        self._check_steps()
        frozen = {hook: MappingProxyType(taken) for hook, taken in self._taken.items()}
        return Registry(
            sources=frozen["data_sources"],
            schemes=frozen["label_schemes"],
            postprocessors=frozen["postprocessors"],
            domains=frozen["domains"],
            bases=frozen["base_models"],
        )

    def _callers(self, hook: str) -> Iterator[tuple[_Plugin, Callable[..., Any]]]:
        """Each plugin that implements the hook, and pluggy's caller of that plugin alone."""
        values = [plugin.value for plugin in self._loaded.values()]
        for plugin in self._loaded.values():
            if hook in plugin.hooks:
                others = [value for value in values if value is not plugin.value]
                yield plugin, self._pluggy.subset_hook_caller(hook, others)

    def _take(self, plugin: _Plugin, hook: str, call: Callable[..., Any]) -> None:
        for returned in call():
            for name, item in intake.items(hook, returned):
                with isolated(partial(self._fail, plugin, hook)):
                    intake.check(hook, name, item)
                    self._keep(plugin, hook, name, item)

    def _keep(self, plugin: _Plugin, hook: str, name: str, item: Any) -> None:
        taken, kind = self._taken[hook], _KINDS[hook]
        if name in taken:
            raise PluginError(
                f"the {kind} {name!r} of the plugin {plugin.name!r} is refused: "
                f"the plugin {taken[name].plugin!r} has brought one of that name"
            )
        built_in = plugin.candidate.origin == "built-in"
        taken[name] = Brought(item, plugin.name, plugin.version, built_in)
        plugin.brought.setdefault(kind, []).append(name)

    def _check_suffixes(self) -> None:
        """A bare path goes to the first source that takes its suffix; the second must hear so."""
        sources = self._taken["data_sources"]
        owners: dict[str, str] = {}
        for name, brought in sources.items():
            for suffix in brought.value.suffixes:
                owner = owners.setdefault(suffix, name)
                if owner != name:
                    error = PluginError(
                        f"{suffix} files go to the data source {owner!r} of the plugin "
                        f"{sources[owner].plugin!r}, not to {name!r}",
                        f"write {name}:PATH to read one with this",
                    )
                    self._fail(self._loaded[brought.plugin], "", error)

    def _check_steps(self) -> None:
        """A domain whose step nobody brings would train and then never answer."""
        steps = self._taken["postprocessors"]
        for name, brought in self._taken["domains"].items():
            for step in brought.value.postprocess:
                if step.name not in steps:
                    found = unknown("post-processor", step.name, steps, PluginError)
                    error = PluginError(f"the domain {name!r}: {found.message}", found.hint)
                    self._fail(self._loaded[brought.plugin], "", error)

    # --- failing ----------------------------------------------------------------------------------

    @contextmanager
    def _guard(self, plugin: _Plugin, hook: str = "") -> Iterator[None]:
        """A block of a plugin's own code: what it raises is its failure, its time is counted."""
        started = time.perf_counter()
        with isolated(partial(self._fail, plugin, hook)):
            yield
        plugin.seconds += time.perf_counter() - started

    def _fail(self, plugin: _Plugin, hook: str, error: BaseException) -> None:
        if isinstance(error, _Fatal):  # on its way out through the guards around it
            raise error
        line = summary(error)
        if hook and not isinstance(error, PlatformError):
            line = f"{hook}() raised {line}"
        plugin.failures.append(line)
        log.debug("the plugin %r failed: %s", plugin.name, line, exc_info=error)
        if self._strict:
            raise _Fatal(
                f"the plugin {plugin.name!r} failed: {line}",
                "unset PLATFORM_STRICT_PLUGINS to go on without what failed",
            ) from error


class _Fatal(PluginError):
    """A failure under `strict_plugins`, which no guard holds back."""


def _implemented(manager: pluggy.PluginManager, value: object) -> dict[str, bool]:
    """Hook name to whether it may be unknown, for each function that carries `hookimpl`."""
    found = {}
    for attribute in dir(value):
        options = manager.parse_hookimpl_opts(value, attribute)
        if options is not None:
            found[options.get("specname") or attribute] = bool(options.get("optionalhook"))
    return found


def _slips(value: object, found: Mapping[str, bool]) -> Iterator[PluginError]:
    """What an author gets wrong in silence: a hook that there is not, a forgotten `hookimpl`."""
    for hook, optional in found.items():
        if hook not in HOOKS and not optional:
            yield unknown("hook", hook, HOOKS, PluginError)  # type: ignore[misc]  # it is one
    for hook in HOOKS:
        function = inspect.getattr_static(value, hook, None)
        if hook not in found and inspect.isfunction(function):
            yield PluginError(f"{hook}() does nothing without @hookimpl above it")
