"""A search in a process of its own, for `test_tuning`.

    tuned.py BASE DATA CACHE SPACE [TRIAL]

Searches three trials and prints what they came to; where a TRIAL is named, such as "trial 2 of 3",
it is killed in the middle of it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import torch

from adapter_platform.core.bases import Bases
from adapter_platform.core.registry import Brought, NullListener, Registry
from adapter_platform.core.store.store import Store
from adapter_platform.core.training.prepare import Quiet, Workshop
from adapter_platform.core.training.recipe import make_recipe
from adapter_platform.core.training.requests import TrainingRequest
from adapter_platform.core.training.tuning import tune
from adapter_platform.plugins.sources.csv_file import CsvSource


class Killing(Quiet):
    """Ends the process in the second half of a trial's steps."""

    def __init__(self, trial: str) -> None:
        self._trial = trial

    def advance(self, done: int, total: int, note: str) -> None:
        if self._trial and note.startswith(f"{self._trial}: training") and done > total / 2:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    base, data, cache, space, trial = sys.argv[1:]
    registry = Registry(sources={"csv": Brought(CsvSource(), "sources")})
    workshop = Workshop(
        store=Store(Path(cache) / "store"),
        bases=Bases(registry, Path(cache)),
        registry=registry,
        listener=NullListener(),
        device=torch.device("cpu"),
        batch_tokens=1024,
        cache=Path(cache),
    )
    recipe = make_recipe({"epochs": 4, "max_length": 32, "batch_size": 8})
    request = TrainingRequest("support", {"all": data}, recipe, base)
    search = tune(request, workshop, Killing(trial), trials=3, space=Path(space))
    trials = [[dict(t.settings), t.state, t.score, t.loss] for t in search.trials]
    print(json.dumps({"before": search.before, "trials": trials}))


if __name__ == "__main__":
    main()
