"""Heads over an encoder's pooled states, and their logits by split with what calibrates them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..heads import Head
from ..store.manifest import Calibration
from .calibrate import calibrate
from .evaluate import Evaluation, evaluate, plain_metrics
from .linear import fit_head, log_loss
from .verdicts import Verdicts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..token_bag import TokenBag
    from .model import Classifier
    from .prepare import Prepared

    ByClass = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Scores:
    """What a classifier says of the prepared texts.

    Attributes:
        logits: ``(texts, classes)`` by split; a split without texts is not there.
        calibration: fitted on validation; the neutral one where there is none.
    """

    logits: ByClass
    calibration: Calibration

    @classmethod
    def of(cls, logits: ByClass, prepared: Prepared) -> Scores:
        there = {split: rows for split, rows in logits.items() if len(rows)}
        calibration = Calibration()
        if "val" in there:
            calibration = calibrate(prepared.scheme, there["val"], prepared.wanted["val"])
        return cls(there, calibration)

    def validation_loss(self, prepared: Prepared) -> float:
        """Log loss of the calibrated probabilities, in nats a text."""
        logits = self.logits["val"] / self.calibration.temperature
        return log_loss(prepared.scheme, logits, prepared.wanted["val"])

    def evaluations(self, prepared: Prepared) -> dict[str, Evaluation]:
        """What `evaluate` gives for validation and test, where they are."""
        return {split: evaluate(*what) for split, what in self._answers(prepared)}

    def metrics(self, prepared: Prepared) -> dict[str, dict[str, float]]:
        """The metrics alone, for validation and test, where they are."""
        return {split: plain_metrics(Verdicts.of(*what)) for split, what in self._answers(prepared)}

    def _answers(self, prepared: Prepared) -> Iterator[tuple[str, tuple[Any, ...]]]:
        for split, logits in self.logits.items():
            if split != "train":
                probabilities = prepared.scheme.probabilities(logits, self.calibration.temperature)
                examples, thresholds = prepared.examples(split), self.calibration.thresholds
                yield split, (probabilities, examples, prepared.scheme, thresholds)


@dataclass(frozen=True, slots=True)
class Judged:
    """A head and what it says, together with a token bag if there is one."""

    head: Head
    scores: Scores
    bag: TokenBag | None = None


def refitted(pools: ByClass, prepared: Prepared) -> Judged:
    """Logistic regression on an encoder's pooled states, ``(texts, hidden)`` by split."""
    linear = fit_head(
        prepared.scheme,
        (pools["train"], prepared.wanted["train"]),
        (pools["val"], prepared.wanted["val"]),
        balanced=prepared.balanced,
    )
    return _judge(Head(prepared.pooling, linear.weight.copy(), linear.bias.copy()), pools, prepared)


def trained_along(classifier: Classifier, pools: ByClass, prepared: Prepared) -> Judged:
    """The head that the encoder was trained with."""
    weight, bias = (
        tensor.detach().cpu().numpy().copy()
        for tensor in (classifier.head.weight, classifier.head.bias)
    )
    return _judge(Head(prepared.pooling, weight, bias), pools, prepared)


def _judge(head: Head, pools: ByClass, prepared: Prepared) -> Judged:
    logits = {split: head.logits(states) for split, states in pools.items() if len(states)}
    return Judged(head, Scores.of(logits, prepared))
