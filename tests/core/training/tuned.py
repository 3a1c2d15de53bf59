"""The search that `test_tuning` stops and goes on with, also in a process of its own.

    tuned.py BASE DATA SPACE CACHE TRIAL

Searches three trials and is killed in the middle of the one that is named, "trial 2 of 3".
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

from adapter_platform.core.bases import Bases
from adapter_platform.core.registry import Brought, NullListener, Registry
from adapter_platform.core.store.store import Store
from adapter_platform.core.training.recipe import make_recipe
from adapter_platform.core.training.requests import TrainingRequest
from adapter_platform.core.training.tuning import Search, tune
from adapter_platform.core.training.workshop import Progress, Quiet, Workshop
from adapter_platform.plugins.sources.csv_file import CsvSource


class Killing(Quiet):
    """Ends the process in the second half of a trial's steps."""

    def __init__(self, trial: str) -> None:
        self._trial = trial

    def advance(self, done: int, total: int, note: str) -> None:
        if note.startswith(f"{self._trial}: training") and done > total / 2:
            os.kill(os.getpid(), signal.SIGKILL)


def search(
    base: Path, data: str, space: Path, cache: Path, progress: Progress, trials: int = 3
) -> Search:
    """Few trials of few epochs, in a cache of their own."""
    registry = Registry(sources={"csv": Brought(CsvSource(), "sources")})
    workshop = Workshop(
        store=Store(cache / "store"),
        bases=Bases(registry, cache),
        registry=registry,
        listener=NullListener(),
        device=torch.device("cpu"),
        batch_tokens=1024,
        cache=cache,
    )
    recipe = make_recipe({"epochs": 2, "max_length": 32, "batch_size": 8})
    request = TrainingRequest("support", {"all": data}, recipe, str(base))
    return tune(request, workshop, progress, trials=trials, space=space)


def main() -> None:
    base, data, space, cache, trial = sys.argv[1:]
    search(Path(base), data, Path(space), Path(cache), Killing(trial))


if __name__ == "__main__":
    main()
