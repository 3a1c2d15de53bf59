"""Starts of LoRA that come from the base's weights or from the texts, published as plain LoRA.

PiSSA (Meng et al. 2024, section 3) and OLoRA (Büyükakyüz 2024, section 3) begin as a part of the
base's own weights and take it out of the base: ``W = W' + s B0 A0``. Training has a base of its own
to take it from; others share theirs, so what is published is what came on top of that part:
``W' + s B A = W + s (B A - B0 A0)``, which is LoRA of twice the rank. EVA (Paischer et al. 2024,
section 3) begins along what the layers read of the training texts, and gives each site a rank.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import EvaConfig, PeftModel, get_peft_model_state_dict, initialize_lora_eva_weights
from peft.tuners.lora import Linear, LoraLayer
from safetensors.torch import load_file, save_file

from ..engine.encoder import pad
from ..engine.lora import IDLE, PREFIX, READ
from ..engine.published import CONFIG, HARMLESS_STARTS, TENSORS
from ..errors import RecipeError, unknown
from .recipe import takes_from_base

EVA = "eva"
NEEDING = {
    "corda": "covariances of what each layer reads, measured beforehand",
    "loftq": "a base whose weights were quantised",
    "lora_ga": "gradients of the base, measured beforehand",
}
"""Starts that cannot be had here, and what they need."""
FITTING = READ | IDLE | {"use_dora", "eva_config"}
"""Settings of LoRA beside which these starts are known to be right."""
UNLABELLED = ("use_label_mask", "label_mask_value")
"""Settings of EVA for texts whose every token has a label."""
ADAPTER = "default"  # as PEFT calls the one that it is given
TEXTS = 32  # that EVA looks at together, at least
LOOKS = 500  # at so many texts, after which EVA should have settled

Tick = Callable[[int, int], None]


def check_start(method: str, settings: Mapping[str, Any]) -> None:
    """Whether LoRA can begin as the settings say.

    Raises:
        RecipeError: it cannot; the sentence says why.
    """
    start, eva = settings.get("init_lora_weights"), settings.get("eva_config")
    if eva is not None and start != EVA:
        raise RecipeError(
            "peft.eva_config belongs to the start 'eva'", "set peft.init_lora_weights=eva too"
        )
    if start in HARMLESS_STARTS:
        return
    if isinstance(start, str) and start in NEEDING:
        raise RecipeError(
            f"init_lora_weights = {start!r} needs {NEEDING[start]}, which training does not have",
            "leave it out, or use 'pissa', 'olora' or 'eva'",
        )
    if start != EVA and not takes_from_base(start):
        raise RecipeError(
            f"init_lora_weights = {start!r} is no start that training knows",
            "leave it out, or use 'gaussian', 'orthogonal', 'pissa', 'pissa_niter_4' (a number of "
            "iterations), 'olora' or 'eva'",
        )
    if method != "LORA":
        raise RecipeError(f"init_lora_weights = {start!r} is a start of LORA, not of {method}")
    strange = sorted(name for name, value in settings.items() if value and name not in FITTING)
    if strange:
        raise RecipeError(
            f"init_lora_weights = {start!r} does not go with peft.{strange[0]}",
            "leave one of them out",
        )
    if isinstance(eva, Mapping):
        known = [field.name for field in fields(EvaConfig) if field.name not in UNLABELLED]
        for name in eva:
            if name not in known:
                raise unknown("setting of peft.eva_config", str(name), known, RecipeError)


def begin(
    model: PeftModel,
    rows: Sequence[tuple[int, ...]],
    *,
    pad_id: int,
    seed: int,
    tick: Tick,
) -> Taken | None:
    """Does what is left of the adapter's start; what it has taken out of the base, if anything.

    Afterwards the adapter's configuration is what is published, but for what `Taken` does.

    Args:
        model: with one fresh adapter, in evaluation mode.
        rows: tokens of the training texts.
        tick: is called with (looks at texts so far, at most).

    Raises:
        RecipeError: the start does not fit the model or the texts.
    """
    start = getattr(model.active_peft_config, "init_lora_weights", None)
    if start != EVA and not takes_from_base(start):
        return None
    sites = {name: m for name, m in model.named_modules() if isinstance(m, LoraLayer)}
    for name, site in sites.items():
        if not isinstance(site, Linear):
            raise RecipeError(
                f"init_lora_weights = {start!r} is for linear layers, and {name} is none",
                "name linear layers alone in peft.target_modules",
            )
    if start == EVA:
        _begin_by_texts(model, sites, rows, pad_id, seed, tick)
        return None
    return Taken(model, sites)


class Taken:
    """What PiSSA or OLoRA has taken out of the base that is trained on.

    Args:
        model: with one fresh adapter.
        sites: its LoRA layers by their names.

    Raises:
        RecipeError: a layer has no such part of the adapter's rank.
    """

    def __init__(self, model: PeftModel, sites: Mapping[str, LoraLayer]) -> None:
        self._sites = sites
        for name, site in sites.items():
            rank, most = site.r[ADAPTER], min(site.in_features, site.out_features)
            if rank > most:
                raise RecipeError(
                    f"{name} has no part of rank {rank} to begin from, it has {most}",
                    "lower peft.r",
                )
        found = get_peft_model_state_dict(model, save_embedding_layers=False)
        self._start = {
            name: tensor.detach().clone()
            for name, tensor in found.items()
            if ".lora_A." in name or ".lora_B." in name
        }
        model.active_peft_config.init_lora_weights = True

    def state(self) -> dict[str, torch.Tensor]:
        """A0 ``(rank, in)`` and B0 ``(out, rank)`` of each site, by their names in the adapter."""
        return self._start

    @torch.no_grad()
    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Goes on from a `state`: the base is left with what that start left of it.

        The same start comes out of the same base on the same machine; on another it may not.
        """
        for name, site in self._sites.items():
            own, other = self._part(name, self._start), self._part(name, state)
            site.get_base_layer().weight.add_(own - other, alpha=site.scaling[ADAPTER])
        self._start = {name: tensor.clone() for name, tensor in state.items()}

    def write_plain(self, directory: Path) -> None:
        """Rewrites a saved adapter as what it adds to the base as others have it."""
        tensors = load_file(directory / TENSORS)
        for name, start in self._start.items():
            trained, first = tensors[name], start.to(tensors[name].device)
            tensors[name] = (
                torch.cat([trained, first], dim=0)
                if ".lora_A." in name
                else torch.cat([trained, -first], dim=1)
            )
        save_file(tensors, directory / TENSORS, metadata={"format": "pt"})
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        # The scaling, alpha / r or alpha / sqrt(r) for rsLoRA, stays as it was.
        more = math.sqrt(2) if config["use_rslora"] else 2
        for scalar, pattern, factor in (
            ("r", "rank_pattern", 2),
            ("lora_alpha", "alpha_pattern", more),
        ):
            config[scalar] *= factor
            config[pattern] = {name: n * factor for name, n in config[pattern].items()}
        (directory / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @staticmethod
    def _part(site: str, state: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return state[f"{site}.lora_B.weight"] @ state[f"{site}.lora_A.weight"]


class _Batches:
    """The training texts' tokens as a model's inputs, in an order that is the seed's alone."""

    def __init__(self, rows: Sequence[tuple[int, ...]], texts: int, pad_id: int, seed: int) -> None:
        order = np.random.default_rng(seed).permutation(len(rows))[: texts * LOOKS]
        self._batches = np.array_split(order, max(1, len(order) // texts))
        self._rows, self._pad_id = rows, pad_id

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for batch in self._batches:
            ids, mask = pad([self._rows[i] for i in batch], self._pad_id, torch.device("cpu"))
            yield {"input_ids": ids, "attention_mask": mask}


def _begin_by_texts(
    model: PeftModel,
    sites: Mapping[str, LoraLayer],
    rows: Sequence[tuple[int, ...]],
    pad_id: int,
    seed: int,
    tick: Tick,
) -> None:
    """EVA: A along what each site reads, and ranks where they explain most of it."""
    config, looks = model.active_peft_config, 0
    ranks = {name: round(m.r[ADAPTER] * config.eva_config.rho) for name, m in sites.items()}
    most = max(ranks.values())
    for name, rank in ranks.items():
        if rank > sites[name].in_features:
            raise RecipeError(
                f"{name} reads {sites[name].in_features} numbers, too few for the rank of {rank} "
                "that EVA may give it",
                "lower peft.r, or peft.eva_config.rho, which it is multiplied with",
            )

    def look(model: PeftModel, inputs: Mapping[str, torch.Tensor]) -> None:
        nonlocal looks
        looks += 1
        if looks > LOOKS:
            raise RecipeError(
                f"EVA has looked {LOOKS} times at training texts, and what the layers read of "
                "them does not settle",
                "lower peft.eva_config.tau, or peft.r",
            )
        model(**inputs)
        tick(looks, LOOKS)

    def read(inputs: tuple[torch.Tensor, ...], mask: torch.Tensor, name: str) -> torch.Tensor:
        """States ``(n, in)`` of what is no padding; a pooler reads one of each text."""
        states = inputs[0][mask] if inputs[0].dim() > mask.dim() else inputs[0]
        if len(states) < most:
            raise RecipeError(
                f"the training texts are too few for EVA: {name} reads {len(states)} states of "
                f"them, fewer than the rank of {most} that it may give",
                "lower peft.r, or leave peft.init_lora_weights out",
            )
        return states.contiguous()

    with warnings.catch_warnings():
        # Biases that were trained would stay, and none has been yet.
        warnings.filterwarnings("ignore", "Careful, disabling adapter layers with bias")
        initialize_lora_eva_weights(
            model,
            _Batches(rows, max(TEXTS, most), pad_id, seed),
            forward_fn=look,
            prepare_model_inputs_fn=lambda inputs, _: inputs["attention_mask"].bool(),
            prepare_layer_inputs_fn=read,
            show_progress_bar=False,
        )
    model.eval()  # layers of another rank are new, and so are their dropouts
    config.init_lora_weights, config.eva_config = True, None
    left = {name for name in sites if isinstance(model.get_submodule(name), LoraLayer)}
    # Whole names, with none left to choose: EVA may have left sites out, of any of the layers.
    config.target_modules = {name.removeprefix(PREFIX) for name in left}
    config.layers_to_transform = config.layers_pattern = config.exclude_modules = None
    if config.bias == "lora_only":
        for name in sites.keys() - left:
            model.get_submodule(name).requires_grad_(False)
