"""What a measurement has seen, before a row judges it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """What a row's function has seen, ours and the peer's, of the same unit.

    Attributes:
        ours, peers: one figure a round.
        judged: whether the must applies; not where a quick run measures something smaller.
        note: what a reader of the figure has to know.
    """

    ours: list[float]
    peers: list[float]
    unit: str = "s"
    judged: bool = True
    note: str = ""
