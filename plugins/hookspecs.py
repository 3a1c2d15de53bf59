"""What a plugin may implement; specifications only, so that a plugin imports nothing else of ours.

A plugin is a module, a class or an object whose functions carry `hookimpl`. Registration hooks
return what the plugin brings and are called once, at the start; the others hear what happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typer import Typer

    from adapter_platform.core.labels import LabelScheme
    from adapter_platform.core.predictions import Prediction
    from adapter_platform.core.registry import BaseModel, DataSource, Domain, PostProcessor
    from adapter_platform.core.store.manifest import Manifest
    from adapter_platform.core.training.recipe import Recipe

PROJECT = "adapter_platform"
"""Name of the pluggy project, and the entry-point group that distributions declare."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def data_sources() -> Sequence[DataSource]:  # type: ignore[empty-body]  # a specification
    """Readers of rows, each under a URI scheme: ``csv`` in ``csv:questions.csv``."""


@hookspec
def label_schemes() -> Mapping[str, LabelScheme]:  # type: ignore[empty-body]  # a specification
    """Label schemes by name, for the `domain.toml` of a folder in the plugins directory to name.

    Nothing else looks them up: a `Domain` holds its scheme itself, and so does an adapter.
    """


@hookspec
def postprocessors() -> Sequence[PostProcessor]:  # type: ignore[empty-body]  # a specification
    """Steps that turn a prediction into another, for domains to chain by name."""


@hookspec
def domains() -> Sequence[Domain]:  # type: ignore[empty-body]  # a specification
    """Domains: data, scheme, recipe and steps under the name that ``adapters train`` takes."""


@hookspec
def base_models() -> Sequence[BaseModel]:  # type: ignore[empty-body]  # a specification
    """Base models under a name. None is fetched before an adapter asks for it."""


@hookspec
def register_commands(app: Typer) -> None:
    """Add commands to ``platform``; called by the command alone, before it reads its arguments."""


@hookspec
def before_training(name: str, recipe: Recipe) -> None:
    """Training of the adapter `name` is about to start."""


@hookspec
def after_training(manifest: Manifest) -> None:
    """Training and evaluation are done; nothing is published yet, so `version` is 0."""


@hookspec
def after_adapter_published(manifest: Manifest) -> None:
    """The store holds a new version. It is not necessarily the current one."""


@hookspec
def after_adapter_loaded(manifest: Manifest, engine: str) -> None:
    """An engine, ``packed`` or ``peft``, has read an adapter into memory."""


@hookspec
def on_predictions(predictions: Sequence[Prediction]) -> None:
    """A batch is answered, post-processing included; called once a batch, on the caller's thread.

    The predictions cannot be changed here: that is what post-processors are for.
    """


REGISTRATION = ("data_sources", "label_schemes", "postprocessors", "base_models", "domains")
"""Hooks that return what a plugin brings, in the order they are called: domains name the rest."""

EVENTS = (
    "before_training",
    "after_training",
    "after_adapter_published",
    "after_adapter_loaded",
    "on_predictions",
)
"""Hooks that only hear."""

HOOKS = (*REGISTRATION, "register_commands", *EVENTS)
