"""A listener that remembers and stops, and what a training's outcome has on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from adapter_platform.core.training.prepare import Quiet, Workshop
from adapter_platform.core.training.run import Outcome

TENSORS = "adapter_model.safetensors"


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
