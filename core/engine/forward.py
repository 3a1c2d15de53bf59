"""BERT over packed tokens in torch: at each linear site one matrix product over all tokens, then
each adapter's low-rank part over its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import embedding, layer_norm, scaled_dot_product_attention

from .bert import SITES
from .packing import Layout, Span
from .torch_weights import Affine, TorchBert, TorchLora, TorchPatch

QKV, MERGE, WIDEN, NARROW = range(len(SITES))

# Multiply-adds of a low-rank product up to which waking a second thread takes longer than it saves:
# A of rank 8 for query, key and value of a hidden size of 384, on 128 tokens.
SHORT = 128 * 24 * 384


class Buffers:
    """Memory for the states of a batch, used again by every layer and by later batches.

    Attributes:
        x: ``(tokens, hidden)``, the states that a layer reads, and leaves.
        qkv: ``(tokens, 3 * hidden)``, queries, keys and values.
        attended, out: ``(tokens, hidden)``.
        wide: ``(tokens, intermediate)``.
    """

    def __init__(self, bert: TorchBert, tokens: int) -> None:
        def rows(width: int) -> Tensor:
            return torch.empty(tokens, width, device=bert.device)

        self.size = tokens
        self.x, self.attended, self.out = rows(bert.hidden), rows(bert.hidden), rows(bert.hidden)
        self.qkv, self.wide = rows(3 * bert.hidden), rows(bert.intermediate)

    def reads(self, tokens: slice) -> tuple[Tensor, ...]:
        """What each site reads of these tokens."""
        x = self.x[tokens]
        return x, self.attended[tokens], x, self.wide[tokens]

    def writes(self, tokens: slice) -> tuple[tuple[Tensor, ...], ...]:
        """What each site writes of them, by target."""
        out = self.out[tokens]
        return self.qkv[tokens].tensor_split(3, 1), (out,), (self.wide[tokens],), (out,)


class LowRank(Protocol):
    """What the adapters of a batch do at the linear sites."""

    def add(self, layer: int, site: int) -> None:
        """Adds their low-rank parts, from what the site reads to what it writes."""
        ...


def encode(
    bert: TorchBert, layout: Layout, ids: Tensor, positions: Tensor, at: Buffers, lora: LowRank
) -> Tensor:
    """Last hidden states ``(tokens, hidden)``, which lie in the buffers.

    Args:
        ids, positions: ``(tokens,)``, of the texts end to end.
        at: what `lora` reads and writes too.
    """
    tokens = slice(layout.size)
    x, qkv, attended = at.x[tokens], at.qkv[tokens], at.attended[tokens]
    wide, out = at.wide[tokens], at.out[tokens]
    runs = [_attention_views(bert, run, qkv, attended) for run in layout.runs]

    embedded = embedding(ids, bert.word).add_(bert.position[positions])
    _norm(bert, embedded, bert.embedding_norm, x)
    for index, layer in enumerate(bert.layers):
        qkv_linear, merge, widen, narrow = layer.linears
        after_attention, after_feed_forward = layer.norms

        torch.addmm(qkv_linear.bias, x, qkv_linear.weight, out=qkv)
        lora.add(index, QKV)
        for query, key, value, heads in runs:
            heads.copy_(scaled_dot_product_attention(query, key, value))
        torch.addmm(merge.bias, attended, merge.weight, out=out)
        lora.add(index, MERGE)
        _norm(bert, out.add_(x), after_attention, x)

        torch.addmm(widen.bias, x, widen.weight, out=wide)
        lora.add(index, WIDEN)
        torch.ops.aten.gelu_(wide)
        torch.addmm(narrow.bias, wide, narrow.weight, out=out)
        lora.add(index, NARROW)
        _norm(bert, out.add_(x), after_feed_forward, x)
    return x


def apply_heads(
    bert: TorchBert, layout: Layout, states: Tensor, adapters: Sequence[TorchLora]
) -> list[tuple[Tensor, Tensor]]:
    """Logits ``(texts, classes)`` and the pooled states ``(texts, hidden)`` that the head read, for
    each segment, from last hidden states ``(tokens, hidden)``.

    Args:
        adapters: by segment.
    """
    first = states[torch.tensor(layout.starts, device=bert.device)]
    mean = torch.empty_like(first)
    for run in layout.runs:
        torch.mean(states[run.tokens].view(run.count, run.key, -1), 1, out=mean[run.rows])
    found = []
    for segment, adapter in zip(layout.segments, adapters, strict=True):
        pooled = mean[segment.rows] if adapter.pooling == "mean" else first[segment.rows]
        if adapter.pooling == "pooler":
            pooled = _pooler(bert, pooled, adapter.pooler)
        found.append((torch.addmm(adapter.head.bias, pooled, adapter.head.weight), pooled))
    return found


class SegmentedLora:
    """Adapters one after another, each on its own tokens: two small products a target, in place.

    The segments are those that Punica's SGMV runs in one CUDA kernel (Chen et al. 2023).

    Short products run on the calling thread alone. Threads that have used torch before keep their
    number; one that first uses it while `add` runs has one thread for good, unless it sets its own
    (`threads.usual_threads`).

    Args:
        adapters: by segment.
    """

    def __init__(self, layout: Layout, adapters: Sequence[TorchLora], at: Buffers) -> None:
        self._segments = [
            _Segment(adapter, at.reads(span.tokens), at.writes(span.tokens))
            for span, adapter in zip(layout.segments, adapters, strict=True)
        ]
        self._threads = torch.get_num_threads() if at.x.device.type == "cpu" else 1

    def add(self, layer: int, site: int) -> None:
        patches = [(segment, segment.adapter.layers[layer][site]) for segment in self._segments]
        there = [(segment, patch) for segment, patch in patches if patch is not None]
        short = [(segment, patch) for segment, patch in there if segment.work(patch) <= SHORT]
        long = [(segment, patch) for segment, patch in there if segment.work(patch) > SHORT]
        for segment, patch in long:
            segment.add(site, patch)
        if short and self._threads > 1:
            torch.set_num_threads(1)
        try:
            for segment, patch in short:
                segment.add(site, patch)
        finally:
            if short and self._threads > 1:
                torch.set_num_threads(self._threads)


@dataclass(slots=True)
class _Segment:
    """An adapter, and its tokens in what each site reads and writes.

    The views are made once a batch: making them costs as much as the small products do.
    """

    adapter: TorchLora
    reads: tuple[Tensor, ...]
    writes: tuple[tuple[Tensor, ...], ...]
    lows: dict[tuple[int, ...], tuple[Tensor, tuple[Tensor, ...]]] = field(default_factory=dict)

    def work(self, patch: TorchPatch) -> int:
        """Multiply-adds of the larger product, that with A."""
        return len(self.reads[0]) * patch.down.numel()

    def add(self, site: int, patch: TorchPatch) -> None:
        """Adds the patch's products in place."""
        low, parts = self.low(patch.ranks)
        torch.mm(self.reads[site], patch.down, out=low)
        written = self.writes[site]
        for target, part, up in zip(patch.targets, parts, patch.ups, strict=True):
            written[target].addmm_(part, up)

    def low(self, ranks: tuple[int, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """A place for ``(tokens, ranks)``, and its columns by target."""
        if ranks not in self.lows:
            whole = self.reads[0].new_empty(len(self.reads[0]), sum(ranks))
            self.lows[ranks] = whole, whole.split_with_sizes(ranks, 1)
        return self.lows[ranks]


class GatheredLora:
    """All adapters at once: their factors stacked, their tokens gathered into pieces of one size.

    A few large products in place of many small ones, which is what a GPU wants of many adapters:
    batched products over gathered factors, what Punica's paper compares as Gather-BMM (section
    7.1), but with a piece's factors gathered once for all its tokens.

    Args:
        adapters: by segment.
    """

    def __init__(self, layout: Layout, adapters: Sequence[TorchLora], at: Buffers) -> None:
        tokens = slice(layout.size)
        self._adapters = adapters
        self._reads, self._writes = at.reads(tokens), at.writes(tokens)
        device = at.x.device
        # About half of the places are empty at most.
        size = max(16, -(-layout.size // len(adapters)))
        owners: list[int] = []
        begins: list[int] = []
        for owner, segment in enumerate(layout.segments):
            pieces = range(segment.tokens.start, segment.tokens.stop, size)
            owners += [owner] * len(pieces)
            begins += pieces
        ends = torch.tensor([*begins[1:], layout.size])
        gather = torch.tensor(begins)[:, None] + torch.arange(size)
        self._scatter = (gather < ends[:, None]).flatten().nonzero()[:, 0].to(device)
        self._gather = gather.clamp_(max=layout.size - 1).to(device)
        self._owners = torch.tensor(owners)
        self._indices: dict[tuple[int, ...], Tensor] = {}

    def add(self, layer: int, site: int) -> None:
        patches = [adapter.layers[layer][site] for adapter in self._adapters]
        x = self._reads[site][self._gather]
        for target, y in enumerate(self._writes[site]):
            pairs = [_factors(patch, target) for patch in patches]
            if any(pairs):
                down = self._stack([pair and pair[0] for pair in pairs])
                up = self._stack([pair and pair[1] for pair in pairs])
                y.add_((x @ down.mT @ up).flatten(0, 1)[self._scatter])

    def _stack(self, factors: Sequence[Tensor | None]) -> Tensor:
        """``(pieces, largest rank, width)`` of factors ``(rank, width)`` by adapter."""
        there = [factor for factor in factors if factor is not None]
        ranks = tuple(0 if factor is None else len(factor) for factor in factors)
        if ranks not in self._indices:
            nothing = sum(ranks)  # the row of zeros
            index = torch.full((len(ranks), max(ranks)), nothing)
            row = 0
            for owner, rank in enumerate(ranks):
                index[owner, :rank] = torch.arange(row, row + rank)
                row += rank
            self._indices[ranks] = index[self._owners].to(there[0].device)
        zeros = there[0].new_zeros(1, there[0].shape[1])
        return torch.cat([*there, zeros])[self._indices[ranks]]


def _factors(patch: TorchPatch | None, target: int) -> tuple[Tensor, Tensor] | None:
    """A ``(rank, in)`` and B ``(rank, out)`` of one target."""
    if patch is None or target not in patch.targets:
        return None
    place = patch.targets.index(target)
    return patch.down.T.split_with_sizes(patch.ranks)[place], patch.ups[place]


def _attention_views(
    bert: TorchBert, run: Span, qkv: Tensor, attended: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys, values and results of a run, each ``(texts, heads, length, head size)``."""
    shape = run.count, run.key, bert.heads, bert.hidden // bert.heads
    parts = (*qkv[run.tokens].tensor_split(3, 1), attended[run.tokens])
    query, key, value, heads = (part.view(shape).transpose(1, 2) for part in parts)
    return query, key, value, heads


def _norm(bert: TorchBert, states: Tensor, norm: Affine, out: Tensor) -> None:
    out.copy_(layer_norm(states, (bert.hidden,), norm.weight, norm.bias, bert.epsilon))


def _pooler(bert: TorchBert, first: Tensor, patch: TorchPatch | None) -> Tensor:
    """The base's pooler over first states ``(texts, hidden)``, with LoRA if there is any."""
    assert bert.pooler is not None, "adapters that want a pooler are refused where there is none"
    pooled = torch.addmm(bert.pooler.bias, first, bert.pooler.weight)
    if patch is not None:
        pooled.addmm_(first @ patch.down, patch.ups[0])
    return pooled.tanh_()
