"""From the steps that a manifest names to one function over predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .errors import PlatformError, PluginError

if TYPE_CHECKING:
    from .predictions import Prediction
    from .registry import Registry
    from .store.manifest import Manifest, StepRecord

Chain = Callable[["Prediction"], "Prediction"]


def build_chain(manifest: Manifest, registry: Registry) -> Chain:
    """The adapter's steps in order, as one function without state.

    Raises:
        PluginError: a step is not installed, or does not take the settings that it was published
            with. The adapter must then not answer: its steps are part of its answers.
    """
    steps = [(record, _build(record, manifest, registry)) for record in manifest.postprocess]

    def chain(prediction: Prediction) -> Prediction:
        for record, step in steps:
            try:
                prediction = step(prediction)
            except PlatformError:
                raise
            # A plugin's code may raise anything; the sentence says whose it is.
            except Exception as error:
                raise PluginError(
                    f"the step {record.name!r} of {manifest.reference} failed: "
                    f"{type(error).__name__}: {error}",
                    f"it is {_origin(record)}",
                ) from error
        return prediction

    return chain


def _build(record: StepRecord, manifest: Manifest, registry: Registry) -> Chain:
    brought = registry.postprocessors.get(record.name)
    if brought is None:
        raise PluginError(
            f"{manifest.reference} needs the step {record.name!r}, which is not installed",
            f"install {_origin(record)}; platform plugins list shows what is here",
        )
    try:
        return brought.value.build(record.settings, manifest.scheme)
    except PlatformError as error:
        trained, here = record.version, brought.version
        raise PluginError(
            f"{manifest.reference} cannot answer: {error.message}",
            f"it was published with {_origin(record)}, and {here or 'another version'} is installed"
            if trained != here
            else error.hint,
        ) from error


def _origin(record: StepRecord) -> str:
    plugin = record.plugin or "the plugin that brings it"
    return f"{plugin} {record.version}".strip()
