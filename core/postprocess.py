"""From the steps that a manifest names to one function over predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .errors import PlatformError, PluginError
from .predictions import Notice, Prediction

if TYPE_CHECKING:
    from .labels import LabelScheme
    from .registry import Brought, Fitted, FittedPostProcessor, PostProcessor, Registry
    from .store.manifest import Manifest, StepRecord

Chain = Callable[[Prediction], Prediction]


def build_chain(manifest: Manifest, registry: Registry) -> Chain:
    """The adapter's steps in order, as one function without state.

    Where a step comes in another version than the one that the adapter was published with, each
    prediction says so.

    Raises:
        PluginError: a step is not installed, another plugin brings it, or it does not take the
            settings that it was published with. The adapter must then not answer: its steps are
            part of its answers.
    """
    steps = [(record, _build(record, manifest, registry)) for record in manifest.postprocess]
    changed = tuple(dict.fromkeys(_changes(manifest, registry)))

    def chain(prediction: Prediction) -> Prediction:
        if changed:
            prediction = replace(prediction, warnings=(*prediction.warnings, *changed))
        for record, step in steps:
            prediction = run_step(record, step, prediction, manifest.reference)
        return prediction

    return chain


def run_step(record: StepRecord, step: Chain, prediction: Prediction, who: str) -> Prediction:
    """The prediction after one step of the adapter `who`.

    Raises:
        PluginError: the step's code fails.
        PlatformError: whatever it says itself.
    """
    try:
        return _checked(step(prediction))
    except PlatformError:
        raise
    # A plugin's code may raise anything; the sentence says whose it is.
    except Exception as error:
        raise PluginError(
            f"the step {record.name!r} of {who} failed: {type(error).__name__}: {error}",
            f"it is {_origin(record)}",
        ) from error


def build_step(
    name: str, settings: Mapping[str, Any], scheme: LabelScheme, brought: Brought[PostProcessor]
) -> Chain:
    """One step with its settings checked.

    Raises:
        PlatformError: it does not take the settings, or the plugin's code fails on them.
    """
    try:
        return brought.value.build(settings, scheme)
    except PlatformError:
        raise
    # As above.
    except Exception as error:
        raise PluginError(
            f"the step {name!r} of the plugin {brought.plugin!r} failed on its settings "
            f"{settings!r}: {type(error).__name__}: {error}"
        ) from error


def fit_step(
    record: StepRecord,
    step: FittedPostProcessor,
    predictions: Sequence[Prediction],
    right: Sequence[bool],
) -> Fitted:
    """What training makes of a step's settings; see `FittedPostProcessor.fit`.

    Raises:
        PlatformError: it cannot be fitted, or the plugin's code fails on it.
    """
    try:
        return step.fit(record.settings, predictions, right)
    except PlatformError:
        raise
    # As above.
    except Exception as error:
        raise PluginError(
            f"the step {record.name!r} could not be fitted: {type(error).__name__}: {error}",
            f"it is {_origin(record)}",
        ) from error


def _build(record: StepRecord, manifest: Manifest, registry: Registry) -> Chain:
    brought = registry.postprocessors.get(record.name)
    if brought is None:
        raise PluginError(
            f"{manifest.reference} needs the step {record.name!r}, which is not installed",
            f"install {_origin(record)}; platform plugins list shows what is here",
        )
    if record.plugin and record.plugin != brought.plugin:
        raise PluginError(
            f"{manifest.reference} needs the step {record.name!r} of the plugin "
            f"{record.plugin!r}, and the plugin {brought.plugin!r} brings the one that is here",
            f"install {_origin(record)} in its place",
        )
    try:
        return build_step(record.name, record.settings, manifest.scheme, brought)
    except PlatformError as error:
        trained, here = record.version, brought.version
        raise PluginError(
            f"{manifest.reference} cannot answer: {error.message}",
            f"it was published with {_origin(record)}, and {here or 'another version'} is installed"
            if trained != here
            else error.hint,
        ) from error


def _changes(manifest: Manifest, registry: Registry) -> list[Notice]:
    """What a reader should know of steps that are not quite those of the adapter's training."""
    notices = []
    for record in manifest.postprocess:
        brought = registry.postprocessors[record.name]
        if brought.version != record.version and not brought.built_in:
            here = brought.version or "one without a version"
            notices.append(
                Notice(
                    "step_version",
                    f"{manifest.reference} was published with {_origin(record)}, and {here} is "
                    f"installed: its step {record.name!r} may answer otherwise",
                )
            )
    return notices


def _checked(returned: Any) -> Prediction:
    if not isinstance(returned, Prediction):
        raise TypeError(f"it returned a {type(returned).__name__}, not a Prediction")
    return returned


def _origin(record: StepRecord) -> str:
    plugin = record.plugin or "the plugin that brings it"
    return f"{plugin} {record.version}".strip()
