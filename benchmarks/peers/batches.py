"""What the peers share: padding, pooling, and heads for each row of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from adapter_platform.core.heads import Head

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from adapter_platform.core.engine.protocol import Row
    from adapter_platform.core.store.source import AdapterSource

    Answer = Callable[[], NDArray[np.float32]]


def pad(
    rows: Sequence[Sequence[int]], pad_id: int, length: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """Ids ``(texts, tokens)`` and their mask; no mask where there is no padding.

    Args:
        length: tokens to fill up to; None: as many as the longest has.
    """
    longest = max(map(len, rows)) if length is None else length
    if all(len(row) == longest for row in rows):
        return torch.tensor(rows), None
    ids = torch.tensor([[*row, *[pad_id] * (longest - len(row))] for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    return ids, (torch.arange(longest) < lengths[:, None]).long()


def mean(states: Tensor, mask: Tensor | None) -> Tensor:
    """``(texts, hidden)``: the mean over real tokens of ``(texts, tokens, hidden)``."""
    if mask is None:
        return states.mean(1)
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


class Heads:
    """The heads of several adapters, stacked, so that each row of a batch has its own."""

    def __init__(self, sources: Sequence[AdapterSource]) -> None:
        heads = [Head.load(source.path) for source in sources]
        self._places = {source.content_hash: i for i, source in enumerate(sources)}
        self._weights = torch.stack([torch.from_numpy(head.weight) for head in heads])
        self._biases = torch.stack([torch.from_numpy(head.bias) for head in heads])

    def of(self, source: AdapterSource) -> tuple[Tensor, Tensor]:
        """One adapter's weight ``(classes, hidden)`` and bias."""
        place = self._places[source.content_hash]
        return self._weights[place], self._biases[place]

    def places(self, sources: Sequence[AdapterSource]) -> Tensor:
        """Which head each row has, for `logits`."""
        return torch.tensor([self._places[source.content_hash] for source in sources])

    def logits(self, pooled: Tensor, places: Tensor) -> Tensor:
        """``(texts, classes)`` from ``(texts, hidden)``."""
        products = torch.bmm(self._weights[places], pooled.unsqueeze(-1)).squeeze(-1)
        return products + self._biases[places]


def named(
    model: Any, heads: Heads, rows: Sequence[Row], order: Sequence[int], pad_id: int, argument: str
) -> Answer:
    """All rows in one call of a model that takes each row's adapter by name.

    Args:
        order: where each row stood before it was sorted; the answers go back there.
        argument: what the model calls the names.
    """
    names = [row.adapter.manifest.name for row in rows]
    tokens = [row.tokens for row in rows]
    places = heads.places([row.adapter for row in rows])
    back = torch.tensor(order).argsort()

    def answer() -> NDArray[np.float32]:
        with torch.inference_mode():
            ids, mask = pad(tokens, pad_id)
            output = model(input_ids=ids, attention_mask=mask, **{argument: names})
            return heads.logits(mean(output.last_hidden_state, mask), places)[back].numpy()

    return answer
