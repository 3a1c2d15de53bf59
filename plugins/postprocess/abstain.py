"""``abstain``: no answer is better than an unsure one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapter_platform.core.errors import PluginError, unknown
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.predictions import Prediction
from adapter_platform.core.registry import Fitted

from . import settings as checked

ENOUGH = 30  # validation texts below which a fitted threshold would be noise
SCORES: Mapping[str, Callable[[Prediction], float | None]] = {
    "confidence": lambda prediction: prediction.confidence,
    "scope": lambda prediction: prediction.scope,
}


@dataclass(frozen=True, slots=True)
class _Cut:
    """A threshold, the validation texts that it leaves an answer, and how many of those are wrong.

    `bound` is the share of wrong answers with one more of them than was seen, so that a handful
    without a mistake proves nothing (Angelopoulos et al. 2022, "Conformal risk control", theorem 1,
    for a threshold; here the error need not fall with each step).
    """

    threshold: float
    answered: int
    wrong: int

    @property
    def bound(self) -> float:
        return (self.wrong + 1) / (self.answered + 1)


class Abstain:
    """Withholds the answer where `score` is below `threshold` (0 to 1).

    `score` is ``confidence`` (the default) or ``scope``, by which nothing is withheld where the
    adapter has none. In place of a threshold, `max_error` says which share of the answers that
    remain may be wrong; training fits the threshold to it on the validation texts.

    A multi-label text without a label is an answer too: its confidence is 1 - the highest
    probability.
    """

    name = "abstain"

    def build(
        self, settings: Mapping[str, Any], scheme: LabelScheme
    ) -> Callable[[Prediction], Prediction]:
        checked.only(self.name, settings, ("threshold", "score", "max_error"))
        score = _score(self.name, settings)
        to_fit = "max_error" in settings
        if to_fit:
            checked.fraction(self.name, settings, "max_error")
        threshold: float | None = None
        if not to_fit or "threshold" in settings:
            threshold = checked.fraction(self.name, settings, "threshold")

        def step(prediction: Prediction) -> Prediction:
            if threshold is None:
                raise PluginError(
                    f"the step {self.name!r} has no threshold: only training fits one to max_error",
                    "train the adapter again",
                )
            value = score(prediction)
            if value is not None and value < threshold:
                prediction = withheld(prediction, scheme)
            return replace(prediction, steps=(*prediction.steps, self.name))

        return step

    def fit(
        self,
        settings: Mapping[str, Any],
        predictions: Sequence[Prediction],
        right: Sequence[bool],
    ) -> Fitted:
        """The threshold for `max_error`, over one that is given; a multi-label answer is right as a
        whole or not at all.
        """
        if "max_error" not in settings:
            return Fitted(settings)
        score = _score(self.name, settings)
        most = checked.fraction(self.name, settings, "max_error")
        judged = [
            (value, is_right)
            for prediction, is_right in zip(predictions, right, strict=True)
            if not prediction.abstained and (value := score(prediction)) is not None
        ]
        if len(judged) < ENOUGH:
            sentence = (
                f"{len(judged)} validation texts are too few to fit the step {self.name!r} to "
                f"max_error {most:g} ({ENOUGH} are needed), so it withholds nothing"
            )
            return Fitted({**settings, "threshold": 0.0}, (sentence,))
        cuts = _cuts(judged)
        met = [cut for cut in cuts if cut.bound <= most]
        if met:  # the last one answers the most
            return Fitted({**settings, "threshold": met[-1].threshold})
        best = min(cuts, key=lambda cut: cut.bound)
        sentence = (
            f"the step {self.name!r} cannot be fitted to max_error {most:g}: at best "
            f"{best.wrong} of {best.answered} answers to the {len(judged)} validation texts are "
            "wrong, which is what it is set to"
        )
        return Fitted({**settings, "threshold": best.threshold}, (sentence,))


def withheld(prediction: Prediction, scheme: LabelScheme) -> Prediction:
    """The prediction without its answer; the probabilities stay, for whoever looks into it.

    Of a multi-label text `labels` are the answer too, so they go with it.
    """
    labels = () if scheme.kind == "multi" else prediction.labels
    return replace(prediction, label=None, labels=labels, display=None, abstained=True)


def _score(step: str, settings: Mapping[str, Any]) -> Callable[[Prediction], float | None]:
    name = settings.get("score", "confidence")
    if name not in SCORES:
        raise unknown(f"score of the step {step!r}", str(name), SCORES, PluginError)
    return SCORES[name]


def _cuts(judged: Sequence[tuple[float, bool]]) -> list[_Cut]:
    """Each way to cut the texts by their score, from the surest alone to all of them."""
    ranked = sorted(judged, key=lambda pair: -pair[0])
    cuts, wrong = [], 0
    for answered, (score, is_right) in enumerate(ranked, start=1):
        wrong += not is_right
        below = ranked[answered][0] if answered < len(ranked) else None
        if below is None:
            cuts.append(_Cut(0.0, answered, wrong))
        elif below < score:
            cuts.append(_Cut((score + below) / 2, answered, wrong))
    return cuts
