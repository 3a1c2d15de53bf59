"""Heads: from the encoder's last hidden states to logits.

``logits = W pool(h) + b`` with ``W (classes, hidden)`` and ``b (classes,)``. A head is stored
beside its adapter (`head.safetensors`, `head.json`), never inside PEFT, so heads of any size share
a base.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from .errors import AdapterCorrupt, RecipeError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

Pooling = Literal["mean", "cls", "pooler"]
TENSORS = "head.safetensors"
CONFIG = "head.json"


@dataclass(frozen=True, slots=True)
class Head:
    """A pooling and a linear layer.

    Attributes:
        pooling: ``mean`` over the real tokens, ``cls`` (the first token's state), or ``pooler``
            (the base's own dense layer and tanh over the first token, LoRA included if it has one).
        weight: ``(classes, hidden)`` float32.
        bias: ``(classes,)`` float32.
    """

    pooling: Pooling
    weight: FloatArray
    bias: FloatArray

    def logits(self, pooled: FloatArray) -> FloatArray:
        """``(texts, classes)`` from pooled states ``(texts, hidden)``."""
        return cast("FloatArray", pooled @ self.weight.T + self.bias)

    def save(self, directory: Path) -> None:
        """Writes the two files."""
        from safetensors.numpy import save_file

        save_file({"weight": self.weight, "bias": self.bias}, directory / TENSORS)
        classes, hidden = self.weight.shape
        config = {"pooling": self.pooling, "classes": classes, "hidden_size": hidden}
        (directory / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Head:
        """Reads the two files. Raises `AdapterCorrupt` where they hold no head."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            config: dict[str, Any] = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
            tensors = load_file(directory / TENSORS)
            weight, bias = tensors["weight"], tensors["bias"]
            pooling = check_pooling(config["pooling"])
        except (OSError, ValueError, KeyError, TypeError, RecipeError, SafetensorError) as error:
            raise AdapterCorrupt(f"the head in {directory} cannot be read: {error}") from error
        shape = (config.get("classes"), config.get("hidden_size"))
        if weight.shape != shape or bias.shape != weight.shape[:1]:
            raise AdapterCorrupt(f"the head in {directory} is not of the shape that it says")
        return cls(pooling, weight, bias)


def check_pooling(value: str) -> Pooling:
    """The pooling of this name. Raises `RecipeError`."""
    if value not in get_args(Pooling):
        raise RecipeError(f"there is no pooling {value!r}", "use mean, cls or pooler")
    return cast(Pooling, value)


def pool(
    hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling, pooler: torch.nn.Module | None
) -> torch.Tensor:
    """Pools last hidden states ``(texts, tokens, hidden)`` to ``(texts, hidden)``.

    Args:
        mask: ``(texts, tokens)``, 1 on real tokens, special tokens included.
        pooler: the encoder's pooler module, for ``pooler``.
    """
    if pooling == "mean":
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1)
    if pooling == "cls":
        return hidden[:, 0]
    if pooler is None:
        raise no_pooler()
    return cast("torch.Tensor", pooler(hidden))


def no_pooler() -> RecipeError:
    """The error for a base that cannot pool as it is asked to."""
    return RecipeError(
        "this base has no pooler, so a head cannot pool with it",
        "set pooling=mean, or take a base with a pooler, such as bert-base-chinese",
    )
