"""Features of texts from a base that no adapter has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..engine.encoder import load_encoder
from ..heads import check_pooling
from ..training.prepare import features

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..bases import Base
    from ..training.workshop import Progress, Workshop

READING = "reading with the frozen base"


def frozen_features(
    rows: Sequence[tuple[int, ...]], base: Base, workshop: Workshop, progress: Progress
) -> NDArray[np.float32]:
    """``(texts, hidden)`` of token rows, pooled as a head on this base pools by default."""
    return features(
        load_encoder(base, workshop.device),
        rows,
        check_pooling(base.pooling),
        base.pad_id,
        workshop,
        lambda done, total: progress.advance(done, total, READING),
    )
