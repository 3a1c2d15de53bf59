"""Label schemes of each kind, and made-up answers in them."""

from __future__ import annotations

from collections.abc import Iterator

from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.predictions import Prediction

SCHEMES = {
    "single": LabelScheme.of("single", ["a", "b", "c"]),
    "multi": LabelScheme.of("multi", ["a", "b", "c"]),
    "hierarchical": LabelScheme.of("hierarchical", ["a/x", "a/y", "b"]),
}
"""Schemes on which steps are tried where the plugin has no domain of its own for them."""


def predictions(scheme: LabelScheme) -> Iterator[Prediction]:
    """Made-up answers of every sort: sure, unsure, abstained, and for `multi` without a label."""
    count = len(scheme.classes)
    rows = [[0.3 if scheme.kind == "multi" else 1 / count] * count]
    rows += [[0.97 if i == best else 0.03 / count for i in range(count)] for best in range(count)]
    for row in rows:
        decision = scheme.decide(row)
        for text, abstained in (("a question", False), ("一个问题", False), ("", True)):
            yield Prediction(
                text=text,
                label=None if abstained else decision.label,
                labels=decision.labels,
                confidence=decision.confidence,
                probabilities=dict(zip(scheme.classes, row, strict=True)),
                adapter="sample",
                version=1,
                base="tiny",
                engine="peft",
                path=decision.path,
                abstained=abstained,
                steps=("earlier",),
            )
