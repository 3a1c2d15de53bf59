"""One merged model an adapter, each with its own rows: the fastest of each, and a base's memory for
each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .floor import floor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adapter_platform.core.engine.protocol import Row

    from ..bench import Bench


def merged_models(bench: Bench, rows: Sequence[Row]) -> Callable[[], NDArray[np.float32]]:
    """A function that gives the rows' logits ``(texts, classes)``, in their order."""
    places: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        places.setdefault(row.adapter.content_hash, []).append(index)
    answers = [
        floor(bench, rows[picks[0]].adapter, [rows[i].tokens for i in picks])
        for picks in places.values()
    ]
    back = np.argsort([index for picks in places.values() for index in picks])

    def answer() -> NDArray[np.float32]:
        return np.concatenate([one() for one in answers])[back]

    return answer
