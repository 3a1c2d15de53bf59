"""The base in memory: loading it, batching token rows by length, and pooling what comes out."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError

from ..bases import Base
from ..errors import BaseUnavailable, SettingsError
from ..heads import Pooling, pool

log = logging.getLogger(__name__)

_BUILDING = threading.RLock()
if hasattr(os, "register_at_fork"):
    # A child must not begin with torch half changed, nor with the lock held by a thread it lacks.
    os.register_at_fork(
        before=_BUILDING.acquire,
        after_in_parent=_BUILDING.release,
        after_in_child=_BUILDING.release,
    )


@contextmanager
def building() -> Iterator[None]:
    """Lets one thread at a time build models.

    transformers changes torch's initialisers, default type and more for the whole process while it
    builds a model, and two that do so at once can leave them changed for good.
    """
    with _BUILDING:
        yield


@contextmanager
def building_quietly() -> Iterator[None]:
    """The same without transformers' progress bars and reports, which are as they were afterwards.

    They are settings of the whole process; the lock keeps two of ours from restoring each other's.
    """
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars
    from transformers.utils import logging as hf_logging

    with building():
        verbosity, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
        hub_bars = not are_progress_bars_disabled()
        hf_logging.set_verbosity_error()
        if bars:
            hf_logging.disable_progress_bar()
        try:
            yield
        finally:
            hf_logging.set_verbosity(verbosity)
            if bars:
                hf_logging.enable_progress_bar()
                if not hub_bars:  # those of downloads, which are switched along
                    disable_progress_bars()


def pick_device(setting: str) -> torch.device:
    """The device that a setting means. Raises `SettingsError` where this machine has none such."""
    if setting == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(setting)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SettingsError(
            f"this machine has no device {setting!r}", "use --device auto or --device cpu"
        )
    return device


def load_encoder(base: Base, device: torch.device) -> torch.nn.Module:
    """The base's encoder in float32, in evaluation mode, without gradients.

    A pooler that the checkpoint does not bring would be random, so it is dropped; a task head that
    the checkpoint does bring is ignored with a notice.

    Raises:
        BaseUnavailable: transformers cannot load the directory as an encoder.
    """
    from transformers import AutoModel

    try:
        with building_quietly():
            model, info = AutoModel.from_pretrained(
                str(base.path), dtype=torch.float32, output_loading_info=True
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise BaseUnavailable(f"the base {base.id!r} cannot be loaded: {error}") from error
    missing = set(info["missing_keys"])
    if any(name.startswith("pooler.") for name in missing):
        model.pooler = None
    absent = sorted(name for name in missing if not name.startswith("pooler."))
    if absent:
        raise BaseUnavailable(f"the base {base.id!r} lacks weights, among them {absent[0]!r}")
    heads = {name.split(".")[0] for name in info["unexpected_keys"]}
    if heads:
        log.info("the base %r brings %s, which is not used", base.id, ", ".join(sorted(heads)))
    # PEFT writes this into adapters; a directory of this machine would be nobody else's base.
    model.name_or_path = base.id
    model.requires_grad_(False)
    return model.eval().to(device)  # type: ignore[no-any-return]  # transformers is untyped


def pad(
    rows: Sequence[Sequence[int]], pad_id: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask ``(texts, longest)`` of token rows."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad_id)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return ids.to(device), mask.to(device)


def pooled(model: Any, inputs: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """``(texts, hidden)``: the encoder run on its inputs and a mask ``(texts, tokens)``, then
    pooled.

    Prompt methods put virtual tokens in front; pooling is over the real ones.

    Args:
        inputs: ids ``(texts, tokens)``, or states ``(texts, tokens, hidden)``.
    """
    kind = "inputs_embeds" if inputs.is_floating_point() else "input_ids"
    hidden = model(**{kind: inputs}, attention_mask=mask).last_hidden_state
    hidden = hidden[:, hidden.shape[1] - mask.shape[1] :]
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return pool(hidden, mask, pooling, getattr(inner, "pooler", None))


def length_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in batches of like lengths, the longest first, at most `budget` padded tokens each.

    A single row longer than the budget is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        size = max(1, budget // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size
