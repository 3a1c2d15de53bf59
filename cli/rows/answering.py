"""A file of texts as one request: answers in order, and error rows where there is no text."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .reading import InputRow

if TYPE_CHECKING:
    from adapter_platform.core.platform import Platform
    from adapter_platform.core.predictions import Prediction

    from .writing import Writer

CHUNK = 256


@dataclass(frozen=True, slots=True)
class Question:
    """Who is asked, and how.

    Attributes:
        adapter: ``NAME@VERSION``.
        kind: of its label scheme.
        base, engine: as `Platform.classify` takes them.
        top_k: how many of the most probable labels each row gets, or None for the answer alone.
    """

    adapter: str
    kind: str
    base: str | None = None
    engine: str | None = None
    top_k: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """What each row gains."""
        labels = ("labels",) if self.kind == "multi" else ()
        top = ("top",) if self.top_k is not None else ()
        rest = ("confidence", "abstained", "warnings", "adapter", "version", "error")
        return ("label", *labels, *top, *rest)


@dataclass(slots=True)
class Tally:
    """What came of the rows."""

    answered: int = 0
    failed: int = 0
    first_problem: str = ""
    warnings: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        return self.answered + self.failed


def answer_rows(
    platform: Platform, question: Question, rows: Iterable[InputRow], writer: Writer
) -> Iterator[Tally]:
    """Answers every row and writes it in its place; yields the running tally after each answer.

    Raises:
        PlatformError: the adapter cannot answer at all, or the input breaks off.
    """
    tally = Tally()
    waiting: deque[InputRow] = deque()  # rows read, not yet written; answers come in their order

    def asked() -> Iterator[tuple[str, str | None]]:
        for row in rows:
            waiting.append(row)
            if row.text is not None:
                yield row.text, question.adapter

    def write_problems() -> None:
        while waiting and waiting[0].text is None:
            row = waiting.popleft()
            tally.failed += 1
            tally.first_problem = tally.first_problem or row.problem
            writer.write(row.fields, failure(row.problem, question))

    predictions = platform.classify_stream(
        asked(), chunk=CHUNK, base=question.base, engine=question.engine
    )
    for prediction in predictions:
        write_problems()
        row = waiting.popleft()
        writer.write(row.fields, answer(prediction, question))
        tally.answered += 1
        tally.warnings.update(codes(prediction))
        yield tally
    write_problems()
    writer.finish()
    yield tally


def answer(prediction: Prediction, question: Question) -> dict[str, Any]:
    """Our columns for an answered row."""
    ours: dict[str, Any] = dict.fromkeys(question.columns)
    ours |= {
        "label": prediction.label,
        "confidence": round(prediction.confidence, 6),
        "abstained": prediction.abstained,
        "warnings": codes(prediction),
        "adapter": prediction.adapter,
        "version": prediction.version,
    }
    if "labels" in ours:
        ours["labels"] = [name for name, _ in prediction.labels]
    if "top" in ours:
        ours["top"] = [
            {"label": name, "score": round(score, 6)}
            for name, score in top(prediction, question.top_k)
        ]
    return ours


def failure(problem: str, question: Question) -> dict[str, Any]:
    """Our columns for a row without an answer."""
    name, _, version = question.adapter.partition("@")
    ours: dict[str, Any] = dict.fromkeys(question.columns)
    return ours | {"adapter": name, "version": int(version), "error": problem}


def codes(prediction: Prediction) -> list[str]:
    """Codes of the reasons to trust the answer less."""
    found = [notice.code for notice in prediction.warnings]
    if prediction.truncated and "truncated" not in found:
        found.append("truncated")
    return found


def top(prediction: Prediction, k: int | None) -> list[tuple[str, float]]:
    """The most probable classes with their probabilities, at most k."""
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    return ranked if k is None else ranked[:k]
