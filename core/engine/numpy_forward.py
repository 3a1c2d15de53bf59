"""BERT over packed tokens in NumPy: what `forward` does in torch, for a process that has not
imported it. Weights are windows on the base's file, read as they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from .bert import EMBEDDINGS, NORMS, POOLER, SITES, Bert
from .lora import Lora, Patch
from .packing import Layout, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

QKV, MERGE, WIDEN, NARROW = range(len(SITES))
BLOCK = 1 << 15  # numbers that stay in a core's cache while gelu goes over them

# Numerator and denominator of `normal_tail`, highest power first.
TAIL_P = (
    *(3.52624965998911e-2, 0.700383064443688, 6.37396220353165, 33.912866078383),
    *(112.079291497871, 221.213596169931, 220.206867912376),
)
TAIL_Q = (
    *(8.83883476483184e-2, 1.75566716318264, 16.064177579207, 86.7807322029461),
    *(296.564248779674, 637.333633378831, 793.826512519948, 440.413735824752),
)
TAIL_END = 7.0  # beyond it less than 1.3e-12 is left


@dataclass(frozen=True, slots=True)
class Affine:
    """A linear layer's weight ``(out, in)`` and bias, or the two vectors of a layer norm."""

    weight: FloatArray
    bias: FloatArray


@dataclass(frozen=True, slots=True)
class Layer:
    """Its linear layers by site and target, and its norms after attention and feed-forward part."""

    linears: tuple[tuple[Affine, ...], ...]
    norms: tuple[Affine, ...]


class NumpyBert:
    """A base's weights in float32: views of its file where that has float32, else copies.

    Word embeddings stay as the file has them; only the rows that are asked for are converted.
    """

    def __init__(self, bert: Bert) -> None:
        def affine(name: str) -> Affine:
            weight, bias = (bert.tensors[f"{name}.{kind}"] for kind in ("weight", "bias"))
            return Affine(np.asarray(weight, np.float32), np.asarray(bias, np.float32))

        self.hidden, self.heads, self.intermediate = bert.hidden, bert.heads, bert.intermediate
        self.epsilon = np.float32(bert.epsilon)
        self.word, self.position, token_type = (
            bert.tensors[f"{name}.weight"] for name in EMBEDDINGS
        )
        self.token_type = token_type[0]  # every token is of the first type
        self.embedding_norm = affine("embeddings.LayerNorm")
        layers = [f"encoder.layer.{i}." for i in range(bert.layers)]
        self.layers = [
            Layer(
                tuple(tuple(affine(layer + name) for name in site) for site in SITES),
                tuple(affine(layer + name) for name in NORMS),
            )
            for layer in layers
        ]
        self.pooler = affine(POOLER) if bert.has_pooler else None


def encode(
    bert: NumpyBert,
    layout: Layout,
    ids: NDArray[Any],
    positions: NDArray[Any],
    adapters: Sequence[Lora],
) -> FloatArray:
    """Last hidden states ``(tokens, hidden)``.

    Args:
        ids, positions: ``(tokens,)``, of the texts end to end.
        adapters: by segment.
    """
    x: FloatArray = bert.word[ids].astype(np.float32)
    x += bert.position[positions]
    x += bert.token_type
    _norm(bert, x, bert.embedding_norm)
    attended = np.empty_like(x)
    for index, layer in enumerate(bert.layers):
        patches = [adapter.layers[index] for adapter in adapters]
        after_attention, after_feed_forward = layer.norms

        qkv = _linear(layer, QKV, x, layout, patches)
        for run in layout.runs:
            _attend(bert, run, qkv, attended)
        (out,) = _linear(layer, MERGE, attended, layout, patches)
        x += out
        _norm(bert, x, after_attention)

        (wide,) = _linear(layer, WIDEN, x, layout, patches)
        gelu(wide)
        (out,) = _linear(layer, NARROW, wide, layout, patches)
        x += out
        _norm(bert, x, after_feed_forward)
    return x


def apply_heads(
    bert: NumpyBert, layout: Layout, states: FloatArray, adapters: Sequence[Lora]
) -> list[tuple[FloatArray, FloatArray]]:
    """Logits ``(texts, classes)`` and the pooled states ``(texts, hidden)`` that the head read, for
    each segment, from last hidden states ``(tokens, hidden)``.

    Args:
        adapters: by segment.
    """
    first = states[list(layout.starts)]
    mean = np.empty_like(first)
    for run in layout.runs:
        states[run.tokens].reshape(run.count, run.key, -1).mean(1, out=mean[run.rows])
    found = []
    for segment, adapter in zip(layout.segments, adapters, strict=True):
        pooled = mean[segment.rows] if adapter.head.pooling == "mean" else first[segment.rows]
        if adapter.head.pooling == "pooler":
            pooled = _pooler(bert, pooled, adapter.pooler)
        found.append((adapter.head.logits(pooled), pooled))
    return found


def normal_tail(x: FloatArray) -> FloatArray:
    """``1 - Phi(x)``, the standard normal's upper tail, for ``0 <= x <= TAIL_END``.

    ``erfc(x / sqrt(2)) / 2`` by the rational approximation ERFC 5666 of Hart et al., *Computer
    Approximations* (1968), in the form of West, "Better approximations to cumulative normal
    functions" (Wilmott, 2005). In float64 within 2e-16 of the true value, so that erf is known to
    4e-16; what is left in float32 is the rounding of its steps, at most 1.2e-7.
    """
    upper, lower = x * x.dtype.type(TAIL_P[0]), x * x.dtype.type(TAIL_Q[0])
    for sum_, coefficients in ((upper, TAIL_P), (lower, TAIL_Q)):
        for coefficient in coefficients[1:-1]:
            sum_ += x.dtype.type(coefficient)
            sum_ *= x
        sum_ += x.dtype.type(coefficients[-1])
    upper /= lower
    np.square(x, out=lower)
    lower *= x.dtype.type(-0.5)
    upper *= np.exp(lower, out=lower)
    return upper


def gelu(states: FloatArray) -> None:
    """``x Phi(x)`` in place (Hendrycks and Gimpel 2016), of contiguous states ``(tokens, width)``.

    As ``max(x, 0) - |x| (1 - Phi(|x|))``, so that nothing cancels; what lies beyond `TAIL_END` is
    1e-11 off at most.
    """
    flat = states.reshape(-1)
    for begin in range(0, flat.size, BLOCK):
        x = flat[begin : begin + BLOCK]
        size = np.abs(x)
        np.minimum(size, np.float32(TAIL_END), out=size)
        tail = normal_tail(size)
        tail *= size
        np.maximum(x, np.float32(0), out=x)
        x -= tail


def _linear(
    layer: Layer,
    site: int,
    x: FloatArray,
    layout: Layout,
    patches: Sequence[tuple[Patch | None, ...]],
) -> list[FloatArray]:
    """``(tokens, out)`` for each target of the site, each segment with its adapter's part.

    Args:
        patches: of this layer, by segment and site.
    """
    outs = []
    for linear in layer.linears[site]:
        out = x @ linear.weight.T
        out += linear.bias
        outs.append(out)
    for segment, by_site in zip(layout.segments, patches, strict=True):
        patch = by_site[site]
        if patch is not None:
            low = x[segment.tokens] @ patch.down.T
            begin = 0
            for target, up in zip(patch.targets, patch.ups, strict=True):
                end = begin + up.shape[1]
                outs[target][segment.tokens] += low[:, begin:end] @ up.T
                begin = end
    return outs


def _attend(bert: NumpyBert, run: Span, qkv: Sequence[FloatArray], attended: FloatArray) -> None:
    """Softmax attention of a run of equal lengths, from queries, keys and values."""
    shape = run.count, run.key, bert.heads, bert.hidden // bert.heads
    query, key, value, heads = (
        states[run.tokens].reshape(shape).swapaxes(1, 2) for states in (*qkv, attended)
    )
    weights = query @ key.swapaxes(2, 3)
    weights *= np.float32(1 / sqrt(shape[3]))
    weights -= weights.max(-1, keepdims=True)
    np.exp(weights, out=weights)
    weights /= weights.sum(-1, keepdims=True)
    heads[:] = weights @ value


def _norm(bert: NumpyBert, states: FloatArray, norm: Affine) -> None:
    """Layer norm in place."""
    states -= states.mean(-1, keepdims=True)
    variance = np.square(states).mean(-1, keepdims=True)
    variance += bert.epsilon
    states /= np.sqrt(variance, out=variance)
    states *= norm.weight
    states += norm.bias


def _pooler(bert: NumpyBert, first: FloatArray, patch: Patch | None) -> FloatArray:
    """The base's pooler over first states ``(texts, hidden)``, with LoRA if there is any."""
    assert bert.pooler is not None, "adapters that want a pooler are refused where there is none"
    pooled: FloatArray = first @ bert.pooler.weight.T
    pooled += bert.pooler.bias
    if patch is not None:
        pooled += first @ patch.down.T @ patch.ups[0].T
    np.tanh(pooled, out=pooled)
    return pooled
