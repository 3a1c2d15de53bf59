"""What an engine is: rows of tokens in, answers out, each row with its own adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..heads import Pooling
from ..store.source import AdapterSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Row:
    """One text for the engine: token ids, special tokens included, and who judges them."""

    tokens: tuple[int, ...]
    adapter: AdapterSource


@dataclass(frozen=True, slots=True)
class Answer:
    """What an adapter makes of one row.

    Attributes:
        logits: ``(classes,)`` float32.
        pooled: ``(hidden,)`` float32, the state that the head read.
    """

    logits: FloatArray
    pooled: FloatArray


class Engine(Protocol):
    """One engine holds one base. Safe to call from any thread."""

    name: str

    def answers(self, rows: Sequence[Row]) -> list[Answer]:
        """One for each row, in the rows' order. Loads adapters as needed.

        Raises:
            AdapterCorrupt, AdapterUnsupported: an adapter cannot be loaded.
            AdapterNotFound: one has been removed since it was resolved.
        """
        ...

    def logits(self, rows: Sequence[Row]) -> list[FloatArray]:
        """The answers' ``(classes,)`` alone."""
        return [answer.logits for answer in self.answers(rows)]

    def features(self, rows: Sequence[tuple[int, ...]], pooling: Pooling) -> FloatArray:
        """``(texts, hidden)`` float32: what the bare base makes of rows of tokens, pooled.

        Raises:
            BaseUnavailable: the base cannot be loaded.
            RecipeError: the base has not the pooler that the pooling is by.
        """
        ...

    def close(self) -> None:
        """Frees what the engine holds; calls that wait get an answer first."""
        ...
