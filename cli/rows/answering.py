"""A file of texts as one request: answers in order, and error rows where there is no text."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from adapter_platform.core.asked import Candidates, names_of_auto, parts
from adapter_platform.core.errors import PlatformError

from .reading import InputRow

if TYPE_CHECKING:
    from adapter_platform.core.labels import LabelScheme
    from adapter_platform.core.platform import Platform
    from adapter_platform.core.predictions import Prediction
    from adapter_platform.core.store.source import AdapterSource

    from .writing import Writer

CHUNK = 512  # rows read together, whose texts are answered together
PROBLEMS = 10_000  # names of no adapter that are kept


@dataclass(frozen=True, slots=True)
class Question:
    """Who is asked, and how.

    Attributes:
        adapter: ``NAME@VERSION`` or ``auto...``; None: only those that rows name.
        kind: of its label scheme; empty where there is no one adapter.
        base, engine: as `Platform.classify` takes them.
        top_k: how many of the most probable labels each row gets, or None for the answer alone.
        adapter_field: the column that names each row's adapter, over `adapter`.
    """

    adapter: str | None
    kind: str
    base: str | None = None
    engine: str | None = None
    top_k: int | None = None
    adapter_field: str | None = None

    @property
    def routes(self) -> bool:
        """Whether adapters are found by text."""
        return self.adapter is not None and names_of_auto(self.adapter) is not None

    @property
    def has_labels(self) -> bool:
        """Whether a text may have several labels."""
        return self.kind == "multi" or self.adapter_field is not None or self.routes

    @property
    def columns(self) -> tuple[str, ...]:
        """What each row gains."""
        labels = ("labels",) if self.has_labels else ()
        top = ("top",) if self.top_k is not None else ()
        routing = ("routing",) if self.routes else ()
        rest = ("confidence", "abstained", "warnings", "adapter", "version", *routing, "error")
        return ("label", *labels, *top, *rest)


class Meanings:
    """What adapters' names mean to one request: to its end what they meant at first."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._meant: dict[str, AdapterSource | Candidates] = {}
        self._problems: dict[str, str] = {}
        self._schemes: dict[tuple[str | None, int | None], LabelScheme] = {}

    def asked(self, name: str | None) -> tuple[str, str]:
        """``NAME@VERSION`` and the kind of its labels, or ``auto`` as it was asked and nothing.

        Args:
            name: None: who answers where none is named.

        Raises:
            as `Platform.meaning`.
        """
        meant = self._meaning(name)
        if isinstance(meant, Candidates):
            return meant.reference, ""
        return meant.manifest.reference, meant.manifest.scheme.kind

    def reference(self, name: str) -> tuple[str | None, str]:
        """What is asked for the name, or None and a sentence that says why there is nothing."""
        problem = self._problems.get(name)
        if problem is None:
            try:
                return self.asked(name)[0], ""
            except PlatformError as error:
                problem = "; ".join(filter(None, (error.message, error.hint)))
            if len(self._problems) < PROBLEMS:
                self._problems[name] = problem
        return None, problem

    def scheme(self, prediction: Prediction) -> LabelScheme | None:
        """The label scheme of who answered; None where nobody did."""
        if prediction.adapter is None:
            return None
        key = prediction.adapter, prediction.version
        if key not in self._schemes:
            source = self._platform.resolve(f"{prediction.adapter}@{prediction.version}")
            self._schemes[key] = source.manifest.scheme
        return self._schemes[key]

    def record(self) -> dict[str, Any]:
        """By name, what decides the answers of whom it means; None where it means nobody."""
        versions = {
            name: brought.version
            for name, brought in self._platform.registry.postprocessors.items()
        }

        def decisive(source: AdapterSource) -> list[Any]:
            steps = {step.name: versions.get(step.name) for step in source.manifest.postprocess}
            return [source.manifest.reference, source.content_hash, steps]

        known = {
            name: [decisive(source) for source in meant.sources]
            if isinstance(meant, Candidates)
            else decisive(meant)
            for name, meant in self._meant.items()
        }
        return {**known, **dict.fromkeys(self._problems)}

    def _meaning(self, name: str | None) -> AdapterSource | Candidates:
        key = name or ""
        meant = self._meant.get(key)
        if meant is None:
            meant = self._meant[key] = self._platform.meaning(name or None)
            sources = meant.sources if isinstance(meant, Candidates) else (meant,)
            for manifest in (source.manifest for source in sources):
                self._schemes[manifest.name, manifest.version] = manifest.scheme
        return meant


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

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Tally:
        """Reads `to_dict`'s form."""
        return cls(**{**data, "warnings": Counter(data["warnings"])})

    def to_dict(self) -> dict[str, Any]:
        """The tally as JSON can hold it."""
        return {
            "answered": self.answered,
            "failed": self.failed,
            "first_problem": self.first_problem,
            "warnings": dict(self.warnings),
        }


def answer_rows(
    platform: Platform,
    question: Question,
    rows: Iterable[InputRow],
    writer: Writer,
    meanings: Meanings,
    tally: Tally,
) -> Iterator[Tally]:
    """Answers every row and writes it in its place.

    Yields the running tally when a chunk is written, and at the end. A chunk is so many rows,
    whether or not they have texts: at most three are held, and at a yield before the end, chunks
    that begin with the next row hold the very texts that they would hold without the rows before,
    so a later run may begin there.

    Args:
        tally: of the rows before.

    Raises:
        PlatformError: an adapter cannot answer at all, or the input breaks off.
    """
    waiting: deque[list[InputRow]] = deque()  # chunks read, not yet written

    def texts() -> Iterator[list[tuple[str, str | None]]]:
        for chunk in parts(rows, CHUNK):
            found = [addressed(row, question, meanings) for row in chunk]
            waiting.append([row for row, _ in found])
            yield [(row.text, adapter) for row, adapter in found if row.text is not None]

    answered = platform.classify_batches(texts(), base=question.base, engine=question.engine)
    for predictions in answered:
        chunk, answers = waiting.popleft(), iter(predictions)
        for row in chunk:
            if row.text is None:
                writer.write(row.fields, failure(row, question))
                tally.failed += 1
                tally.first_problem = tally.first_problem or row.problem
                continue
            prediction = next(answers)
            writer.write(row.fields, answer(prediction, question, meanings))
            tally.answered += 1
            noticed = codes(prediction)
            if noticed:
                tally.warnings.update(noticed)
        if len(chunk) == CHUNK:
            yield tally
    writer.finish()
    yield tally


def addressed(row: InputRow, question: Question, meanings: Meanings) -> tuple[InputRow, str | None]:
    """The row with who is to answer it; a problem where nobody can."""
    if row.text is None or question.adapter_field is None:
        return row, question.adapter
    cell = row.fields.get(question.adapter_field)
    name = "" if cell is None else str(cell).strip()
    if name:
        reference, problem = meanings.reference(name)
    else:
        reference = question.adapter
        problem = f"the column {question.adapter_field!r} names no adapter"
    if reference is None:
        return replace(row, text=None, problem=f"{row.where}: {problem}"), None
    return row, reference


def answer(prediction: Prediction, question: Question, meanings: Meanings) -> dict[str, Any]:
    """Our columns for an answered row."""
    ours: dict[str, Any] = {
        "label": prediction.label,
        "confidence": round(prediction.confidence, 6),
        "abstained": prediction.abstained,
        "warnings": codes(prediction),
        "adapter": prediction.adapter,
        "version": prediction.version,
        "error": None,
    }
    if question.has_labels:
        scheme = meanings.scheme(prediction)
        multi = scheme is not None and scheme.kind == "multi"
        ours["labels"] = [name for name, _ in prediction.labels] if multi else []
    if question.routes:
        ours["routing"] = prediction.routing.to_dict() if prediction.routing else None
    if question.top_k is not None:
        ours["top"] = [
            {"label": name, "score": round(score, 6)}
            for name, score in prediction.top(question.top_k)
        ]
    return ours


def failure(row: InputRow, question: Question) -> dict[str, Any]:
    """Our columns for a row without an answer."""
    ours: dict[str, Any] = dict.fromkeys(question.columns)
    if question.adapter is not None and not question.routes and question.adapter_field is None:
        name, _, version = question.adapter.partition("@")
        ours |= {"adapter": name, "version": int(version)}
    return ours | {"error": row.problem}


def codes(prediction: Prediction) -> list[str]:
    """Codes of the reasons to trust the answer less."""
    return [notice.code for notice in prediction.warnings]
