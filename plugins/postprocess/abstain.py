"""``abstain``: no answer is better than an unsure one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapter_platform.core.errors import PluginError, unknown
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.predictions import Prediction
from adapter_platform.core.registry import Fitted

from . import settings as checked

ENOUGH = 30  # validation texts below which a fitted threshold would be noise
CERTAINTY = 0.9
SCORES: Mapping[str, Callable[[Prediction], float | None]] = {
    "confidence": lambda prediction: prediction.confidence,
    "scope": lambda prediction: prediction.scope,
}
# The thresholds that are tried, half a log-odds apart. They are the same whatever the texts say:
# one chosen among all the scores that occur would be the luckiest. Even steps in log-odds tell
# apart scores that crowd near 1, and are so few that chance seldom fails one between two that pass.
GRID = (*(1 / (1 + math.exp(-half / 2)) for half in range(24, -11, -1)), 0.0)


@dataclass(frozen=True, slots=True)
class _Cut:
    """A threshold, the validation texts that it leaves an answer, and how many are wrong."""

    threshold: float
    answered: int
    wrong: int

    def bound(self, certainty: float) -> float:
        """The share of wrong answers that the true one exceeds with probability 1 - `certainty` at
        most (Clopper and Pearson 1934, one-sided).
        """
        # Only training fits: answering shall not wait for scipy.
        from scipy.special import betaincinv

        if self.wrong == self.answered:
            return 1.0
        return float(betaincinv(self.wrong + 1, self.answered - self.wrong, certainty))


class Abstain:
    """Withholds the answer where `score` is below `threshold` (0 to 1).

    `score` is ``confidence`` (the default) or ``scope``, by which nothing is withheld where the
    adapter has none. In place of a threshold, `max_error` says which share of the answers that
    remain may be wrong; training fits the threshold to it on the validation texts, so that with
    probability `certainty` (0.9 where it is not given) the share among all texts like those is no
    larger.

    A multi-label text without a label is an answer too: its confidence is 1 - the highest
    probability.
    """

    name = "abstain"

    def build(
        self, settings: Mapping[str, Any], scheme: LabelScheme
    ) -> Callable[[Prediction], Prediction]:
        checked.only(self.name, settings, ("threshold", "score", "max_error", "certainty"))
        score = _score(self.name, settings)
        to_fit = "max_error" in settings
        if to_fit:
            checked.fraction(self.name, settings, "max_error")
        _certainty(self.name, settings)
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
        certainty = _certainty(self.name, settings)
        judged = [
            (value, is_right)
            for prediction, is_right in zip(predictions, right, strict=True)
            if not prediction.abstained and (value := score(prediction)) is not None
        ]
        least = _texts_to_bear(0, most, certainty)
        if len(judged) < ENOUGH:
            enough = max(ENOUGH, least) if least else "more than there can be"
            sentence = (
                f"{len(judged)} validation texts are too few to fit the step {self.name!r} to "
                f"max_error {most:g} ({enough} are needed, even without a mistake), so it "
                "withholds nothing"
            )
            return Fitted({**settings, "threshold": 0.0}, (sentence,))
        cuts = _cuts(judged)
        kept, failed = _last_that_holds(cuts, most, certainty)
        if kept is not None:
            notes: tuple[str, ...] = ()
            if kept.answered == len(judged):
                notes = (
                    f"the step {self.name!r} withholds nothing: at most {100 * most:.4g} % of all "
                    f"answers are wrong already, with {certainty:.4g} certainty",
                )
            return Fitted({**settings, "threshold": kept.threshold}, notes)
        best = min(cuts, key=lambda cut: cut.bound(certainty))
        if failed is not None:
            mistakes = "1 mistake" if failed.wrong == 1 else f"{failed.wrong} mistakes"
            reason = (
                f"the surest {failed.answered} answers already hold {mistakes}, too many to show it"
            )
        else:
            needed = f"{least} validation texts" if least else "more texts than there can be"
            reason = f"even without a mistake it takes {needed} that are answered"
        sentence = (
            f"the step {self.name!r} cannot be fitted to max_error {most:g} with {certainty:.4g} "
            f"certainty: {reason}; it is set to what looks best and promises nothing: "
            f"{best.wrong} of {best.answered} answers to the {len(judged)} validation texts are "
            "wrong"
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


def _certainty(step: str, settings: Mapping[str, Any]) -> float:
    if "certainty" not in settings:
        return CERTAINTY
    certainty = checked.fraction(step, settings, "certainty")
    if "max_error" not in settings:
        raise PluginError(f"'certainty' of the step {step!r} needs the setting 'max_error'")
    if not 0 < certainty < 1:
        raise PluginError(
            f"'certainty' of the step {step!r} must lie between 0 and 1, not be {certainty:g}"
        )
    return certainty


def _cuts(judged: Sequence[tuple[float, bool]]) -> list[_Cut]:
    """The thresholds of `GRID` that leave any text an answer, from the surest alone to all."""
    cuts = []
    for threshold in GRID:
        left = [is_right for score, is_right in judged if score >= threshold]
        if left:
            cuts.append(_Cut(threshold, len(left), left.count(False)))
    return cuts


def _last_that_holds(
    cuts: Sequence[_Cut], most: float, certainty: float
) -> tuple[_Cut | None, _Cut | None]:
    """The cut that answers the most before the first whose bound exceeds `most`, and that one.

    Tested one after the other in an order that the labels have no say in, each at the full level,
    they hold together as each does alone (fixed-sequence testing; Angelopoulos et al. 2021, "Learn
    then Test"), where surer answers are not wrong more often. The first that is tested is chosen
    by the number of its texts: it could bear one mistake, so that one among the surest does not
    end it all, or none where that would take more than half of the texts.
    """
    first, forgiving = (_texts_to_bear(wrong, most, certainty) for wrong in (0, 1))
    if first is None:
        return None, None
    if forgiving is not None and 2 * forgiving <= cuts[-1].answered:
        first = forgiving
    kept = None
    for cut in cuts:
        if cut.answered < first:
            continue
        if cut.bound(certainty) > most:
            return kept, cut
        kept = cut
    return kept, None


def _texts_to_bear(wrong: int, most: float, certainty: float) -> int | None:
    """The fewest answers of which `wrong` may be wrong; None beyond a million."""
    low, high = wrong, 1_000_000  # the first is too few, the second enough
    if _Cut(0.0, high, wrong).bound(certainty) > most:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if _Cut(0.0, middle, wrong).bound(certainty) > most:
            low = middle
        else:
            high = middle
    return high
