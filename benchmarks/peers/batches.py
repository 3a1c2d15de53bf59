"""What the peers share: padding, pooling, and heads for each row of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from adapter_platform.core.heads import Head

if TYPE_CHECKING:
    from adapter_platform.core.store.source import AdapterSource


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
