"""``abstain``: no answer is better than an unsure one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.predictions import Prediction

from . import settings as checked


class Abstain:
    """Withholds the answer where `confidence` is below `threshold` (0 to 1, required).

    A multi-label text without a label is an answer too: its confidence is 1 - the highest
    probability.
    """

    name = "abstain"

    def build(
        self,
        settings: Mapping[str, Any],
        scheme: LabelScheme,
    ) -> Callable[[Prediction], Prediction]:
        checked.only(self.name, settings, ("threshold",))
        threshold = checked.fraction(self.name, settings, "threshold")

        def step(prediction: Prediction) -> Prediction:
            if prediction.confidence < threshold:
                prediction = withheld(prediction, scheme)
            return replace(prediction, steps=(*prediction.steps, self.name))

        return step


def withheld(prediction: Prediction, scheme: LabelScheme) -> Prediction:
    """The prediction without its answer; the probabilities stay, for whoever looks into it.

    Of a multi-label text `labels` are the answer too, so they go with it.
    """
    labels = () if scheme.kind == "multi" else prediction.labels
    return replace(prediction, label=None, labels=labels, display=None, abstained=True)
