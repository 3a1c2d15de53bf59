"""What the platform answers about one text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import itemgetter
from typing import Any, Literal, NoReturn


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a reader should know: a code for programs, a sentence for people."""

    code: str
    message: str


EMPTY = Notice("empty_text", "the text is empty, so the answer means nothing")
TRUNCATED = Notice("truncated", "the text is longer than the adapter reads; the rest did not count")


@dataclass(frozen=True, slots=True)
class Routing:
    """How ``auto`` found the adapter for a text, or found that it belongs to none.

    Attributes:
        nearest: the adapter whose kind of text it is, if it is any's.
        similarity: to its training texts, as `routing.index` has it: a cosine in the base's
            features, centred over all adapters; -1 to 1.
        typicality: the share of training texts, half of them that adapter's and half of all
            adapters', that are farther from the others of their adapter than the text is; 0 to 1.
            Below a small share the text belongs to no adapter.
        runner_up: the next adapter; None: there is no other.
        runner_up_similarity: as `similarity`, to the next adapter.
    """

    nearest: str
    similarity: float
    typicality: float
    runner_up: str | None = None
    runner_up_similarity: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


class Probabilities(dict[str, float]):
    """Probabilities by class, fixed once made: who hears of an answer cannot change it.

    A dict all the same, so that it compares, pickles and becomes JSON as one.
    """

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("the probabilities of a prediction cannot be changed: copy them first")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one text.

    Attributes:
        text: the text that was asked about.
        label: the answer; None when it abstains, or when a multi-label text has no label.
        labels: (label, score) in descending order; for multi-label schemes those that apply.
        confidence: probability of `label`.
        probabilities: each class's probability, in the scheme's order; kept as `Probabilities`,
            which cannot be changed.
        path: (node, probability) from the top of a hierarchy to the answer.
        display: `label` for people, where a `display` step has put it.
        abstained: a step withheld the answer.
        scope: the share of validation texts that look at least as strange beside the training texts
            as this one: about 0 out of scope; None where the adapter cannot tell.
        truncated: the text was longer than the adapter reads; the rest did not count. `warnings`
            says it too.
        windows: how many windows on the text the answer is the mean of.
        warnings: reasons to trust the answer less.
        steps: names of the post-processors that were applied, in order.
        adapter, version: who answered; None where ``auto`` found that the text belongs to nobody.
        base: id of the base model.
        engine: ``packed`` or ``peft``.
        routing: how the adapter was found; None where it was named.
    """

    text: str
    label: str | None
    labels: tuple[tuple[str, float], ...]
    confidence: float
    probabilities: Mapping[str, float]
    adapter: str | None
    version: int | None
    base: str
    engine: str
    path: tuple[tuple[str, float], ...] = ()
    display: str | None = None
    abstained: bool = False
    scope: float | None = None
    truncated: bool = False
    windows: int = 1
    warnings: tuple[Notice, ...] = ()
    steps: tuple[str, ...] = field(default=())
    routing: Routing | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.probabilities, Probabilities):
            object.__setattr__(self, "probabilities", Probabilities(self.probabilities))

    def top(self, k: int | None = None) -> list[tuple[str, float]]:
        """The k most probable classes with their probabilities, in descending order; None: all."""
        ranked = sorted(self.probabilities.items(), key=itemgetter(1), reverse=True)
        return ranked if k is None else ranked[:k]

    def to_dict(
        self, style: Literal["full", "legacy"] = "full", top_k: int | None = None
    ) -> dict[str, Any]:
        """The prediction as JSON can hold it.

        Args:
            style: ``full``, or ``legacy`` for the keys ``category``, ``confidence``,
                ``probabilities`` and ``method`` of the classifier that this platform grew out of.
            top_k: keep only the most probable labels in `labels` and `probabilities`.
        """
        probabilities = dict(self.probabilities if top_k is None else self.top(top_k))
        labels = self.labels if top_k is None else self.labels[:top_k]
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
            "scope": self.scope,
            "truncated": self.truncated,
            "windows": self.windows,
            "warnings": [{"code": n.code, "message": n.message} for n in self.warnings],
            "steps": list(self.steps),
            "adapter": self.adapter,
            "version": self.version,
            "base": self.base,
            "engine": self.engine,
            "routing": None if self.routing is None else self.routing.to_dict(),
        }
