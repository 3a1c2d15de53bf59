"""Checkpoints of the hand-written LoRALayer, which the PEFT classifier took the place of.

Such a layer stood around a linear one and computed ``original(x) + B(dropout(A(x))) * scaling``
with ``scaling = alpha / rank``; that is PEFT's LoRA, under other names.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..engine.encoder import load_encoder
from ..errors import AdapterCorrupt, AdapterUnsupported
from .stock import ENCODER, ROOT, StockFolder, read_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..bases import Base

    FloatArray = NDArray[np.float32]

TENSORS = "lora_weights.pth"
CONFIG = "lora_config.json"
FACTOR = re.compile(
    rf"(?:{re.escape(ENCODER)})?"
    r"(?P<module>encoder\.layer\.(?P<layer>\d+)\."
    r"(?P<kind>attention\.self\.(?:query|key|value)|intermediate\.dense))"
    r"\.lora_(?P<factor>[AB])\.weight"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as read.

    Attributes:
        factors: A ``(rank, in)`` and B ``(out, rank)`` by module of the encoder.
        weight: the classifier's ``(classes, hidden)``.
        bias: the classifier's ``(classes,)``.
    """

    path: Path
    factors: Mapping[str, tuple[torch.Tensor, torch.Tensor]]
    rank: int
    alpha: float
    dropout: float
    weight: torch.Tensor
    bias: torch.Tensor

    def to_stock(self, base: Base) -> StockFolder:
        """The adapter in PEFT's terms."""
        adapter = {
            f"{ROOT}{module}.lora_{factor}.weight": tensor
            for module, pair in self.factors.items()
            for factor, tensor in zip("AB", pair, strict=True)
        }
        kinds = {module.split(".", 3)[3] for module in self.factors}
        everywhere = {f"encoder.layer.{i}.{kind}" for i in range(base.layers) for kind in kinds}
        # Short names where every layer has them; an adapter of some layers names each module.
        targets = kinds if everywhere == set(self.factors) else set(self.factors)
        config = {
            "peft_type": "LORA",
            "task_type": "SEQ_CLS",
            "base_model_name_or_path": base.id,
            "r": self.rank,
            "lora_alpha": int(self.alpha) if self.alpha.is_integer() else self.alpha,
            "lora_dropout": self.dropout,
            "target_modules": sorted(target.removeprefix("attention.self.") for target in targets),
            "bias": "none",
        }
        return StockFolder(self.path, config, adapter, self.weight, self.bias)

    def logits(
        self,
        base: Base,
        rows: Sequence[tuple[int, ...]],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> FloatArray:
        """``(rows, classes)``: what the hand-written layers gave on this base.

        Raises:
            AdapterUnsupported: the base lacks a module that the checkpoint adapts, has it in
                another shape, or has no pooler.
        """
        encoder: Any = load_encoder(base, device).to(dtype)
        if getattr(encoder, "pooler", None) is None:
            raise AdapterUnsupported(
                f"the base {base.id!r} has no pooler, which the classifier in {self.path} reads",
                "give the base that it was trained on: --base ID",
            )
        modules = dict(encoder.named_modules())
        for name, (down, up) in self.factors.items():
            linear = modules.get(name)
            if linear is None or linear.weight.shape != (len(up), down.shape[1]):
                raise AdapterUnsupported(
                    f"{self.path} adapts {name} from {down.shape[1]} to {len(up)} numbers, which "
                    f"the base {base.id!r} does not have",
                    "give the base that it was trained on: --base ID",
                )
            linear.register_forward_hook(self._layer(down.to(device, dtype), up.to(device, dtype)))
        weight, bias = self.weight.to(device, dtype), self.bias.to(device, dtype)
        with torch.inference_mode():
            pools = [
                encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).pooler_output
                for ids in (torch.tensor([row], device=device) for row in rows)
            ]
            return torch.nn.functional.linear(torch.cat(pools), weight, bias).cpu().numpy()

    def _layer(self, down: torch.Tensor, up: torch.Tensor) -> Any:
        scaling = self.alpha / self.rank

        def add(_: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> Any:
            return output + (inputs[0] @ down.T) @ up.T * scaling

        return add


def read_checkpoint(directory: Path) -> Checkpoint:
    """Reads a folder of the hand-written classifier. Only tensors and plain values are loaded.

    Raises:
        AdapterCorrupt: a file is missing, cannot be read, or does not fit the others.
        AdapterUnsupported: it holds LoRA where the hand-written classifier had none.
    """
    path = directory / TENSORS
    data = _load(path)
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in _tensors(data, "lora_weights", path).items():
        match = FACTOR.fullmatch(name)
        if match is None:
            raise AdapterUnsupported(
                f"{path} holds {name!r}, and the hand-written LoRA stood only on query, key, "
                "value and intermediate.dense"
            )
        found.setdefault(match["module"], {})[match["factor"]] = tensor
    if not found:
        raise AdapterCorrupt(f"{path} holds no LoRA weights")
    config = _config(data, directory)
    rank = config["rank"]
    for module, factors in found.items():
        fits = set(factors) == {"A", "B"} and all(t.dim() == 2 for t in factors.values())
        if not fits or not factors["A"].shape[0] == factors["B"].shape[1] == rank:
            raise AdapterCorrupt(f"{path} has no pair of factors of rank {rank} for {module}")
    head = _tensors(data, "classifier_weights", path)
    head = {name.removeprefix("classifier."): tensor for name, tensor in head.items()}
    if set(head) != {"weight", "bias"}:
        raise AdapterCorrupt(
            f"{path} holds {', '.join(sorted(head)) or 'nothing'} for the classifier, not a weight "
            "and a bias"
        )
    weight, bias = head["weight"], head["bias"]
    if weight.dim() != 2 or bias.shape != weight.shape[:1]:
        raise AdapterCorrupt(f"the classifier in {path} has weight and bias that do not fit")
    return Checkpoint(
        path=directory,
        factors={module: (pair["A"], pair["B"]) for module, pair in found.items()},
        rank=rank,
        alpha=config["alpha"],
        dropout=config["dropout"],
        weight=weight,
        bias=bias,
    )


def _load(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise AdapterCorrupt(
            f"{path.parent} holds no checkpoint of the hand-written classifier: it has no "
            f"{TENSORS}",
            "a folder with adapter_config.json comes in by platform adapters import",
        )
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise AdapterCorrupt(
            f"{path} is no file of tensors and plain values, and nothing else is loaded"
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise AdapterCorrupt(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise AdapterCorrupt(f"{path} holds no table of weights")
    return data


def _tensors(data: Mapping[str, Any], key: str, path: Path) -> dict[str, torch.Tensor]:
    """The tensors under a key, in float32."""
    found = data.get(key)
    if not isinstance(found, dict) or not all(isinstance(t, torch.Tensor) for t in found.values()):
        raise AdapterCorrupt(f"{path} has no tensors under {key!r}")
    return {str(name): tensor.detach().float().contiguous() for name, tensor in found.items()}


def _config(data: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Rank, alpha and dropout, from the weights' file or else from the one beside it."""
    beside = read_json(directory / CONFIG)
    within = data.get("lora_config")
    config = {
        **(beside if isinstance(beside, dict) else {}),
        **(within if isinstance(within, dict) else {}),
    }
    try:
        rank, alpha = config["rank"], float(config["alpha"])
        dropout = float(config.get("dropout", 0.0))
    except (KeyError, TypeError, ValueError) as error:
        raise AdapterCorrupt(f"{directory} does not say with what rank and alpha it was") from error
    if not isinstance(rank, int) or rank < 1 or not math.isfinite(alpha) or not 0 <= dropout < 1:
        raise AdapterCorrupt(
            f"{directory} has a rank of {rank!r}, an alpha of {alpha:g} and a dropout of "
            f"{dropout:g}, which no LoRA has"
        )
    return {"rank": rank, "alpha": alpha, "dropout": dropout}
