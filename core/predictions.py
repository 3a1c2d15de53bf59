"""What the platform answers about one text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a reader should know: a code for programs, a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one text.

    Attributes:
        text: the text that was asked about.
        label: the answer; None when it abstains, or when a multi-label text has no label.
        labels: (label, score) in descending order; for multi-label schemes those that apply.
        confidence: probability of `label`.
        probabilities: each class's probability, in the scheme's order.
        path: (node, probability) from the top of a hierarchy to the answer.
        display: `label` for people, where a `display` step has put it.
        abstained: a step withheld the answer.
        truncated: the text was longer than the adapter reads; the rest did not count.
        windows: how many windows on the text the answer is the mean of.
        warnings: reasons to trust the answer less.
        steps: names of the post-processors that were applied, in order.
        adapter, version: who answered.
        base: id of the base model.
        engine: ``packed`` or ``peft``.
    """

    text: str
    label: str | None
    labels: tuple[tuple[str, float], ...]
    confidence: float
    probabilities: Mapping[str, float]
    adapter: str
    version: int
    base: str
    engine: str
    path: tuple[tuple[str, float], ...] = ()
    display: str | None = None
    abstained: bool = False
    truncated: bool = False
    windows: int = 1
    warnings: tuple[Notice, ...] = ()
    steps: tuple[str, ...] = field(default=())

    def to_dict(
        self, style: Literal["full", "legacy"] = "full", top_k: int | None = None
    ) -> dict[str, Any]:
        """The prediction as JSON can hold it.

        Args:
            style: ``full``, or ``legacy`` for the keys ``category``, ``confidence``,
                ``probabilities`` and ``method`` of the classifier that this platform grew out of.
            top_k: keep only the most probable labels in `labels` and `probabilities`.
        """
        probabilities = dict(self.probabilities)
        labels = list(self.labels)
        if top_k is not None:
            labels = labels[:top_k]
            best = sorted(probabilities, key=lambda name: -probabilities[name])[:top_k]
            probabilities = {name: probabilities[name] for name in best}
        if style == "legacy":
            return {
                "category": self.label,
                "confidence": self.confidence,
                "probabilities": probabilities,
                "method": self.engine,
            }
        return {
            "text": self.text,
            "label": self.label,
            "display": self.display,
            "confidence": self.confidence,
            "labels": [{"label": name, "score": score} for name, score in labels],
            "probabilities": probabilities,
            "path": [{"node": node, "probability": p} for node, p in self.path],
            "abstained": self.abstained,
            "truncated": self.truncated,
            "windows": self.windows,
            "warnings": [{"code": n.code, "message": n.message} for n in self.warnings],
            "steps": list(self.steps),
            "adapter": self.adapter,
            "version": self.version,
            "base": self.base,
            "engine": self.engine,
        }
