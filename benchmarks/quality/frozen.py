"""Features of texts from a frozen base, as data care takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from adapter_platform.core.platform import Platform


def frozen(
    platform: Platform, texts: Sequence[str], base: str | None = None
) -> NDArray[np.floating[Any]]:
    """``(texts, hidden)``.

    Args:
        base: None: the settings'.
    """
    from adapter_platform.core.care.frozen import frozen_features
    from adapter_platform.core.tokens import TextEncoder
    from adapter_platform.core.training.recipe import make_recipe
    from adapter_platform.core.training.workshop import Quiet, open_workshop

    resolved = platform.bases.resolve(base or platform.settings.base)
    workshop = open_workshop(
        platform.settings, platform.store, platform.bases, platform.registry, platform.listener
    )
    rows = TextEncoder(resolved).encode(texts, make_recipe().max_length)
    return frozen_features([row.ids for row in rows], resolved, workshop, Quiet())
