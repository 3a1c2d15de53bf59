"""Fits an adapter's post-processing steps on its validation texts, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..answers import read_row
from ..postprocess import build_step, fit_step, run_step
from ..registry import FittedPostProcessor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..examples import Example
    from ..predictions import Prediction
    from ..registry import Registry
    from ..scope import Scope
    from ..store.manifest import Manifest, StepRecord

    FloatArray = NDArray[np.float32]


def fitted_steps(
    manifest: Manifest,
    registry: Registry,
    examples: Sequence[Example],
    logits: FloatArray,
    pooled: FloatArray,
    scope: Scope | None,
) -> tuple[tuple[StepRecord, ...], list[str]]:
    """The manifest's steps with what training fits in their settings, and notes on that.

    Args:
        examples: those of the validation split, perhaps none.
        logits, pooled: ``(texts, classes)`` and ``(texts, hidden)`` of theirs.

    Raises:
        PlatformError: a step cannot be fitted.
    """
    brought = [registry.postprocessors[record.name] for record in manifest.postprocess]
    fitted = [i for i, each in enumerate(brought) if isinstance(each.value, FittedPostProcessor)]
    if not fitted:
        return manifest.postprocess, []
    predictions, right = _answers(manifest, examples, logits, pooled, scope)
    records, notes = list(manifest.postprocess), list[str]()
    for i in range(fitted[-1] + 1):
        processor = brought[i].value
        if isinstance(processor, FittedPostProcessor):
            found = fit_step(records[i], processor, predictions, right)
            records[i] = replace(records[i], settings=dict(found.settings))
            notes += found.notes
        step = build_step(records[i].name, records[i].settings, manifest.scheme, brought[i])
        predictions = [run_step(records[i], step, p, manifest.name) for p in predictions]
    return tuple(records), notes


def _answers(
    manifest: Manifest,
    examples: Sequence[Example],
    logits: FloatArray,
    pooled: FloatArray,
    scope: Scope | None,
) -> tuple[list[Prediction], list[bool]]:
    """What the adapter will say of the examples before any step, and whether that is right."""
    if not examples:
        return [], []
    multi = manifest.scheme.kind == "multi"
    rows = manifest.scheme.probabilities(logits, manifest.calibration.temperature).tolist()
    shares: Sequence[float | None] = [None] * len(examples)
    if scope is not None:
        energies = manifest.scheme.energies(logits, manifest.calibration.temperature)
        shares = scope.shares(pooled, energies).tolist()
    predictions, right = [], []
    for example, row, share in zip(examples, rows, shares, strict=True):
        prediction = read_row(manifest, example.text, row, share)
        given = [name for name, _ in prediction.labels] if multi else [prediction.label]
        predictions.append(prediction)
        right.append(set(given) == set(example.labels))
    return predictions, right
