"""``rollup``: in a hierarchy, a sure general answer is better than an unsure special one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from adapter_platform.core.errors import SchemeError
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.predictions import Prediction

from . import settings as checked
from .abstain import withheld


class Rollup:
    """Answers with the deepest node of the path whose probability is at least `threshold`.

    `label` becomes that node, `confidence` its probability, and the path ends there; `labels` and
    `probabilities` still hold the classes. Where even the topmost node is less probable, the
    prediction abstains and keeps its figures. A node's probability includes what lies below it, so
    it never rises on the way down.
    """

    name = "rollup"

    def build(
        self, settings: Mapping[str, Any], scheme: LabelScheme
    ) -> Callable[[Prediction], Prediction]:
        checked.only(self.name, settings, ("threshold",))
        threshold = checked.fraction(self.name, settings, "threshold")
        if scheme.kind != "hierarchical":
            raise SchemeError(
                f"the step {self.name!r} needs a hierarchical scheme, not a {scheme.kind} one",
                "use 'abstain'",
            )

        def step(prediction: Prediction) -> Prediction:
            if not prediction.abstained:
                prediction = _rolled_up(prediction, threshold, scheme)
            return replace(prediction, steps=(*prediction.steps, self.name))

        return step


def _rolled_up(prediction: Prediction, threshold: float, scheme: LabelScheme) -> Prediction:
    sure = tuple(node for node in prediction.path if node[1] >= threshold)
    if not sure:
        return withheld(prediction, scheme)
    label, confidence = sure[-1]
    # A name for people belongs to the label that it was made from.
    display = prediction.display if label == prediction.label else None
    return replace(prediction, label=label, confidence=confidence, path=sure, display=display)
