"""A listener that remembers and stops, and what a training's outcome has on disk and answers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from adapter_platform.core.registry import NullListener
from adapter_platform.core.training.run import Outcome
from adapter_platform.core.training.workshop import Quiet, Workshop

TENSORS = "adapter_model.safetensors"
PEFTS_ALARMS = (
    "`is_gradient_checkpointing`",  # it asks transformers by an old name
    "Failed to load the CUDA|Setting boft_n",  # BOFT compiles itself where there is a compiler
    "The following rank_pattern keys",  # AdaLoRA's, which it then does read
    "Unsupported layer type.*LayerNorm",  # whose size it need not know
)
"""Beginnings of warnings of PEFT's that are about nothing."""


class Said(Quiet):
    """Remembers what it was told, and can stop a training as Ctrl-C does.

    Args:
        stop_at: the training step after which Ctrl-C comes.
    """

    def __init__(self, stop_at: int | None = None) -> None:
        self.lines: list[str] = []
        self.steps: list[tuple[int, int]] = []
        self.notes: list[str] = []
        self._stop_at = stop_at

    def say(self, message: str) -> None:
        self.lines.append(message)

    def advance(self, done: int, total: int, note: str) -> None:
        self.notes.append(note)
        if note.startswith("training"):
            self.steps.append((done, total))
            if done == self._stop_at:
                raise KeyboardInterrupt


def adapter_of(outcome: Outcome, workshop: Workshop) -> Path:
    return workshop.store.path(outcome.manifest.name, outcome.manifest.version)


def tensors(outcome: Outcome, workshop: Workshop) -> dict[str, Any]:
    directory = adapter_of(outcome, workshop)
    return load_file(directory / TENSORS) | load_file(directory / "head.safetensors")


def assert_same_adapter(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    assert set(one) == set(other)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-6, err_msg=name)


def config_of(outcome: Outcome, workshop: Workshop) -> dict[str, Any]:
    """The PEFT configuration that was published."""
    path = adapter_of(outcome, workshop) / "adapter_config.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return config


def plain_logits(base: Path, adapter: Path, pooling: str, texts: Sequence[str]) -> Any:
    """Logits by transformers and PEFT alone; any warning but PEFT's own is an error."""
    import torch
    from peft import PeftModel
    from transformers import AutoModel, AutoTokenizer

    head = load_file(adapter / "head.safetensors")
    tokenizer = AutoTokenizer.from_pretrained(base)
    batch = tokenizer(
        list(texts), truncation=True, max_length=32, padding=True, return_tensors="pt"
    )
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("error")
        for alarm in PEFTS_ALARMS:
            warnings.filterwarnings("ignore", alarm)
        model = PeftModel.from_pretrained(AutoModel.from_pretrained(base), adapter).eval()
        mask = batch["attention_mask"].unsqueeze(-1)
        out = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    hidden = out.last_hidden_state[:, -mask.shape[1] :]  # without a prompt's virtual tokens
    states = {
        "mean": (hidden * mask).sum(1) / mask.sum(1),
        "cls": hidden[:, 0],
        "pooler": out.pooler_output,
    }[pooling]
    return states.numpy() @ head["weight"].T + head["bias"]


def platform_logits(
    workshop: Workshop, reference: str, texts: Sequence[str], engine: str = "peft"
) -> Any:
    """Logits ``(texts, classes)`` of a published adapter by one of the engines."""
    from adapter_platform.core.engine.lora import LoraReader
    from adapter_platform.core.engine.packed import PackedEngine
    from adapter_platform.core.engine.peft import PeftEngine
    from adapter_platform.core.engine.protocol import Row
    from adapter_platform.core.tokens import TextEncoder

    source = workshop.store.resolve(reference)
    base = workshop.bases.resolve(source.manifest.base.id)
    runs: PackedEngine | PeftEngine
    if engine == "packed":
        runs = PackedEngine(LoraReader(base), workshop.device, NullListener(), 1 << 30, 1024, 1)
    else:
        runs = PeftEngine(base, workshop.device, NullListener(), 4, 1024, 1)
    encoded = TextEncoder(base).encode(texts, source.manifest.max_length)
    try:
        return np.stack(runs.logits([Row(e.ids, source) for e in encoded]))
    finally:
        runs.close()
