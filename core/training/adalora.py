"""AdaLoRA (Zhang et al. 2023): ranks are taken from the sites that need them least as it trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from peft import PeftModel
from transformers import TrainerCallback

from ..errors import RecipeError

METHOD = "ADALORA"
LEAST_STEPS = 2  # one to measure what each rank is worth, and one to choose by that
KEPT = ("exp_avg_ipt", "exp_avg_unc")  # PEFT's running means of each weight's worth
PATTERN = "rank_pattern"


def with_steps(settings: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The method's settings for a training of so many steps.

    A tenth of them comes before ranks are taken away and a third after that, unless the settings
    say otherwise.

    Raises:
        RecipeError: the training is too short, or the settings fit no training of that length.
    """
    if "total_step" in settings:
        raise RecipeError(
            f"{METHOD}'s total_step is the number of steps of the training itself, here {steps}",
            "leave peft.total_step out",
        )
    found = {"tinit": steps // 10, "tfinal": steps // 3, **settings, "total_step": steps}
    ranks = {"init_r": 12, "target_r": 8, **settings}  # PEFT's own
    numbers = [found["tinit"], found["tfinal"], *(ranks[r] for r in ("init_r", "target_r"))]
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers):
        raise RecipeError(f"{METHOD}'s tinit, tfinal, init_r and target_r are whole numbers")
    if steps - found["tfinal"] < max(LEAST_STEPS, found["tinit"] + 1):
        raise RecipeError(
            f"{METHOD} has no steps to take ranks away in: the training has {steps}, of which "
            f"{found['tinit']} (peft.tinit) come before that and {found['tfinal']} (peft.tfinal) "
            "after it",
            "train for more epochs, or lower peft.tinit and peft.tfinal",
        )
    if ranks["target_r"] >= ranks["init_r"]:
        raise RecipeError(
            f"{METHOD} takes ranks away, from {ranks['init_r']} a site (peft.init_r) "
            f"to {ranks['target_r']} (peft.target_r)",
            "name a peft.target_r below peft.init_r",
        )
    return found


def orthogonality(model: PeftModel) -> torch.Tensor:
    """What the loss has for directions that are not orthogonal, as PEFT weighs it: ``()``.

    Zhang et al. 2023, section 3.1. PEFT adds it only where the encoder gives a loss itself.
    """
    apart = [
        torch.linalg.norm(gram - torch.eye(len(gram), device=gram.device))
        for name, p in model.named_parameters()
        if p.requires_grad and ("lora_A" in name or "lora_B" in name)
        for gram in [p @ p.T if "lora_A" in name else p.T @ p]
    ]
    weight: float = model.active_peft_config.orth_reg_weight
    return weight * torch.stack(apart).mean()


class RankAllocation(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Lets PEFT take ranks away after each step; what it goes by belongs into checkpoints.

    Args:
        model: with one AdaLoRA adapter, in training.
    """

    def __init__(self, model: PeftModel) -> None:
        self._tuner = model.base_model
        self._config = model.active_peft_config

    def on_optimizer_step(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """While the gradients are still there; Trainer counts the step only after it."""
        self._tuner.update_and_allocate(state.global_step + 1)

    def state(self) -> dict[str, torch.Tensor]:
        """All that the next steps depend on besides the weights."""
        allocator = self._tuner.rankallocator
        found = {
            f"{part}:{name}": tensor.contiguous()
            for part in KEPT
            for name, tensor in getattr(allocator, part).items()
        }
        pattern = self._config.rank_pattern or {}
        return found | {f"{PATTERN}:{name}": torch.tensor(kept) for name, kept in pattern.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Goes on from a `state`."""
        allocator = self._tuner.rankallocator
        allocator.reset_ipt()
        pattern = {}
        for key, tensor in state.items():
            part, _, name = key.partition(":")
            if part == PATTERN:
                pattern[name] = tensor.tolist()
            else:
                getattr(allocator, part)[name] = tensor
                allocator.ipt[name] = torch.zeros_like(tensor)  # where it is missing all begin anew
        self._config.rank_pattern = pattern or None
