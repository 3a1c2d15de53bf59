"""How a base reads texts: their tokens, which are cut off, and which it cannot read at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..data.summary import Lengths
from ..tokens import Encoded, TextEncoder, unreadable

if TYPE_CHECKING:
    from ..bases import Base
    from ..data.example import Example

CHUNK = 1000  # texts whose tokens are in memory at once


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A text that a base cannot read: where it stands and why, as a sentence."""

    text: str
    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """How a base reads the texts of a data set.

    Attributes:
        base: its id.
        max_length: tokens that are read of a text, special tokens included.
        tokens: a text, special tokens included; of what is longer than the base can read, as many
            as it can.
        cut: how many texts have more tokens than `max_length`.
        unreadable: texts in scripts or words that the base does not know.
    """

    base: str
    max_length: int
    tokens: Lengths
    cut: int
    unreadable: tuple[Unreadable, ...]


def read_examples(examples: Sequence[Example], base: Base, max_length: int) -> Reading:
    """How the base reads the examples' texts, of which it is given `max_length` tokens each.

    Args:
        examples: one at least.
    """
    encoder = TextEncoder(base)
    kept = min(max_length, encoder.limit)
    lengths: list[int] = []
    cut = 0
    found: list[Unreadable] = []
    for start in range(0, len(examples), CHUNK):
        chunk = examples[start : start + CHUNK]
        for example, encoded in zip(
            chunk, encoder.encode([e.text for e in chunk], encoder.limit), strict=True
        ):
            lengths.append(len(encoded.ids))
            cut += encoded.truncated or len(encoded.ids) > kept
            reason = why_unreadable(example.text, encoded, base)
            if reason:
                found.append(Unreadable(example.text, example.where, reason))
    return Reading(base.id, kept, Lengths.of(lengths), cut, tuple(found))


def why_unreadable(text: str, encoded: Encoded, base: Base) -> str:
    """Why the base cannot read a text, or nothing where it can."""
    notices = unreadable(text, encoded, base, 0.0)
    return "; ".join(notice.message for notice in notices)
