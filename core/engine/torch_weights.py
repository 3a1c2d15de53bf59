"""A base and its adapters as torch tensors on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .bert import EMBEDDINGS, NORMS, POOLER, SITES, Bert
from .lora import Lora, Patch

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Affine:
    """A linear layer's weight ``(in, out)`` and bias, or the two vectors of a layer norm."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class Layer:
    """Its linear layers by site, and its norms after attention and after the feed-forward part."""

    linears: tuple[Affine, ...]
    norms: tuple[Affine, ...]


class TorchBert:
    """A base's weights in float32. On a CPU the word embeddings stay in their file."""

    def __init__(self, bert: Bert, device: torch.device) -> None:
        def stacked(names: Sequence[str], kind: str) -> Tensor:
            arrays = [bert.tensors[f"{name}.{kind}"] for name in names]
            return to_torch(np.concatenate(arrays, dtype=np.float32), device)

        def linear(*names: str) -> Affine:
            return Affine(stacked(names, "weight").T, stacked(names, "bias"))

        def norm(name: str) -> Affine:
            return Affine(stacked([name], "weight"), stacked([name], "bias"))

        word, position, token_type = (
            to_torch(bert.tensors[f"{name}.weight"], device) for name in EMBEDDINGS
        )
        self.device = device
        self.hidden, self.heads, self.intermediate = bert.hidden, bert.heads, bert.intermediate
        self.epsilon = bert.epsilon
        self.word = word
        self.position = position + token_type[0]  # every token is of the first type
        self.embedding_norm = norm("embeddings.LayerNorm")
        layers = [f"encoder.layer.{i}." for i in range(bert.layers)]
        self.layers = [
            Layer(
                tuple(linear(*(layer + name for name in site)) for site in SITES),
                tuple(norm(layer + name) for name in NORMS),
            )
            for layer in layers
        ]
        self.pooler = linear(POOLER) if bert.has_pooler else None


@dataclass(frozen=True, slots=True)
class TorchPatch:
    """A `Patch` on a device: `down` ``(in, ranks)`` and for each target an `up` ``(rank, out)``."""

    targets: tuple[int, ...]
    ranks: tuple[int, ...]
    down: Tensor
    ups: tuple[Tensor, ...]

    @classmethod
    def of(cls, patch: Patch, device: torch.device) -> TorchPatch:
        ups = [to_torch(up, device).T for up in patch.ups]
        if device.type != "cpu":  # where a few rows are multiplied soonest by B as PEFT stores it
            ups = [up.contiguous() for up in ups]
        ranks = tuple(len(up) for up in ups)
        return cls(patch.targets, ranks, to_torch(patch.down, device).T, tuple(ups))


@dataclass(frozen=True, slots=True)
class TorchLora:
    """An adapter on a device, with its head.

    Attributes:
        layers: for each layer of the encoder one patch for each site, or None.
        nbytes: what it takes.
    """

    layers: tuple[tuple[TorchPatch | None, ...], ...]
    pooler: TorchPatch | None
    pooling: str
    head: Affine
    nbytes: int

    @classmethod
    def of(cls, lora: Lora, device: torch.device) -> TorchLora:
        layers = tuple(
            tuple(TorchPatch.of(patch, device) if patch else None for patch in layer)
            for layer in lora.layers
        )
        pooler = TorchPatch.of(lora.pooler, device) if lora.pooler else None
        weight, bias = to_torch(lora.head.weight, device), to_torch(lora.head.bias, device)
        return cls(layers, pooler, lora.head.pooling, Affine(weight.T, bias), lora.nbytes)


def to_torch(array: NDArray[Any], device: torch.device) -> Tensor:
    """The array in float32, without a copy where it already is so and lies on the CPU."""
    return torch.from_numpy(np.asarray(array, np.float32)).to(device)
