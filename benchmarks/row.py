"""A row of the table: what is measured, beside whom, and how good it must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .measured import Measured
from .timing import bootstrap, ratio_of_medians

if TYPE_CHECKING:
    from .bench import Bench

DEFAULT = ("multilingual",)
BOTH = ("multilingual", "minilm")

Judge = Literal["at most", "at least"]


class NotHere(Exception):
    """A peer is not on this machine; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, and the function that finds it.

    Attributes:
        name: short, unique; what ``--only`` takes.
        title: for people.
        judge: ``at most``: the ratio is ours over the peer's; ``at least``: a speed-up, the peer's
            over ours.
        must, aim: bounds of the ratio; None: shown, not judged.
        bases: on which bases.
        quick_base: on which in a quick run.
    """

    name: str
    title: str
    peer: str
    measure: Callable[[Bench], Measured]
    judge: Judge
    must: float | None
    aim: float | None = None
    bases: tuple[str, ...] = BOTH
    quick_base: str = "minilm"


@dataclass(frozen=True, slots=True)
class Result:
    """A row on a base, measured; or why not."""

    row: Row
    base: str
    measured: Measured | None = None
    missing: str = ""  # how to get the peer
    failure: str = ""  # what went wrong
    seconds: float = 0.0
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Of the medians of all rounds."""
        return None if self.measured is None else ratio_of_medians(*self._sides(self.measured))

    @property
    def meets(self) -> bool | None:
        """Whether the must is met; None where there is none, or the peer is not here."""
        if self.failure:
            return False
        if self.measured is None or self.row.must is None or not self.measured.judged:
            return None
        ratio = ratio_of_medians(*self._sides(self.measured))
        return ratio <= self.row.must if self.row.judge == "at most" else ratio >= self.row.must

    def _sides(self, measured: Measured) -> tuple[list[float], list[float]]:
        if self.row.judge == "at most":
            return measured.ours, measured.peers
        return measured.peers, measured.ours

    def to_dict(self) -> dict[str, Any]:
        """The row as an object of the JSON file."""
        found: dict[str, Any] = {
            "name": f"{self.row.name}/{self.base}",
            "title": self.row.title,
            "base": self.base,
            "peer": self.row.peer,
            "ratio": self.ratio,
            "judge": self.row.judge,
            "must": self.row.must,
            "aim": self.row.aim,
            "meets": self.meets,
            "missing": self.missing,
            "failure": self.failure,
            "note": "" if self.measured is None else self.measured.note,
        }
        if self.measured is not None:
            found |= _figures(self.measured, *self._sides(self.measured))
        return found | {"took_seconds": round(self.seconds, 1), "machine": self.machine}


def _figures(measured: Measured, above: list[float], below: list[float]) -> dict[str, Any]:
    low, high = bootstrap(above, below)
    found: dict[str, Any] = {
        "rounds": len(measured.ours),
        "unit": measured.unit,
        "ours": percentiles(measured.ours),
        "peers": percentiles(measured.peers),
        "interval_95": [low, high],
    }
    if len(above) == len(below):
        found["paired_ratios"] = percentiles([a / b for a, b in zip(above, below, strict=True)])
    return found


def percentiles(values: list[float]) -> dict[str, float]:
    """The 10th, 50th and 90th, interpolated."""
    ordered = sorted(values)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (place - low) * (ordered[high] - ordered[low])

    return {"p10": at(0.1), "p50": at(0.5), "p90": at(0.9)}
