"""Tells plugins what happens: core's `Listener` over pluggy, each plugin called apart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from adapter_platform.core.errors import PluginError

from .isolation import isolated, summary

if TYPE_CHECKING:
    from adapter_platform.core.predictions import Prediction
    from adapter_platform.core.store.manifest import Manifest
    from adapter_platform.core.training.recipe import Recipe

log = logging.getLogger("adapter_platform.plugins")

Callers = Mapping[str, Sequence[tuple[str, Callable[..., Any]]]]
"""Hook name to (plugin name, that plugin's implementation as pluggy calls it)."""


class PluginListener:
    """Passes core's events to the plugins that implement them; safe to call from any thread.

    One that raises is logged, once a plugin and hook, and changes nothing for anyone else; with
    `strict` it raises `PluginError`.
    """

    def __init__(self, callers: Callers, *, strict: bool = False) -> None:
        self._callers = callers
        self._strict = strict
        self._reported: set[tuple[str, str]] = set()

    def before_training(self, name: str, recipe: Recipe) -> None:
        self._tell("before_training", name=name, recipe=recipe)

    def after_training(self, manifest: Manifest) -> None:
        self._tell("after_training", manifest=manifest)

    def after_adapter_published(self, manifest: Manifest) -> None:
        self._tell("after_adapter_published", manifest=manifest)

    def after_adapter_loaded(self, manifest: Manifest, engine: str) -> None:
        self._tell("after_adapter_loaded", manifest=manifest, engine=engine)

    def on_predictions(self, predictions: Sequence[Prediction]) -> None:
        if self._callers.get("on_predictions"):
            # A tuple: what one plugin does to a list must not reach the next, or the caller.
            self._tell("on_predictions", predictions=tuple(predictions))

    def _tell(self, hook: str, **event: Any) -> None:
        for plugin, call in self._callers.get(hook, ()):
            with isolated(partial(self._failed, plugin, hook)):
                call(**event)

    def _failed(self, plugin: str, hook: str, error: BaseException) -> None:
        if self._strict:
            raise PluginError(
                f"the plugin {plugin!r} failed in {hook}: {summary(error)}"
            ) from error
        level = logging.DEBUG if (plugin, hook) in self._reported else logging.ERROR
        self._reported.add((plugin, hook))
        log.log(
            level,
            "the plugin %r failed in %s, and goes on without it: %s",
            plugin,
            hook,
            summary(error),
            exc_info=error if log.isEnabledFor(logging.DEBUG) else None,
        )
