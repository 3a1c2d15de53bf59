"""From logits to predictions: calibrated, read by the scheme, with what a reader should know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .bases import Base
from .engine.protocol import AdapterSource
from .predictions import Notice, Prediction
from .tokens import Encoded, unreadable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .store.manifest import Manifest

    FloatArray = NDArray[np.float32]

EMPTY = Notice("empty_text", "the text is empty, so the answer means nothing")


@dataclass(frozen=True, slots=True)
class Ready:
    """An adapter with its base, and a sentence if the base has changed."""

    source: AdapterSource
    base: Base
    warning: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Logits ``(classes,)`` for the text at `index` of the batch."""

    index: int
    text: str
    encoded: Encoded
    logits: FloatArray
    engine: str


def read_answers(ready: Ready, answers: Sequence[Answer]) -> list[Prediction]:
    """One adapter's answers, calibrated and read by its label scheme, before any step."""
    import numpy as np

    manifest, base = ready.source.manifest, ready.base
    logits = np.stack([answer.logits for answer in answers])
    rows = manifest.scheme.probabilities(logits, manifest.calibration.temperature)
    return [
        _prediction(manifest, base, answer, row.tolist(), _notices(ready, answer))
        for answer, row in zip(answers, rows, strict=True)
    ]


def _prediction(
    manifest: Manifest,
    base: Base,
    answer: Answer,
    row: Sequence[float],
    warnings: tuple[Notice, ...],
) -> Prediction:
    decision = manifest.scheme.decide(row, manifest.calibration.thresholds)
    return Prediction(
        text=answer.text,
        label=decision.label,
        labels=decision.labels,
        confidence=decision.confidence,
        probabilities=dict(zip(manifest.scheme.classes, row, strict=True)),
        adapter=manifest.name,
        version=manifest.version,
        base=base.id,
        engine=answer.engine,
        path=decision.path,
        truncated=answer.encoded.truncated,
        warnings=warnings,
    )


def _notices(ready: Ready, answer: Answer) -> tuple[Notice, ...]:
    changed = (Notice("base_changed", ready.warning),) if ready.warning else ()
    if not answer.text.strip():
        return (*changed, EMPTY)
    density = ready.source.manifest.tokens_per_character
    return (*changed, *unreadable(answer.text, answer.encoded, ready.base, density))
