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
        scheme: LabelScheme,  # noqa: ARG002 - the same for every scheme
    ) -> Callable[[Prediction], Prediction]:
        checked.only(self.name, settings, ("threshold",))
        threshold = checked.fraction(self.name, settings, "threshold")

        def step(prediction: Prediction) -> Prediction:
            if prediction.confidence < threshold:
                prediction = withheld(prediction)
            return replace(prediction, steps=(*prediction.steps, self.name))

        return step


def withheld(prediction: Prediction) -> Prediction:
    """The prediction without its answer; the figures stay, for whoever looks into it."""
    return replace(prediction, label=None, display=None, abstained=True)
