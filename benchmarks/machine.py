"""On what, and with which versions, figures were taken."""

from __future__ import annotations

import os
import platform
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("adapter-platform", "torch", "transformers", "peft", "numpy", "polylora", "adapters")


def undisturbed() -> None:
    """Nothing is asked of the Hub, and a tokenizer takes no threads from what is measured."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # PEFT asks transformers for it by its old name.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)


def facts(threads: int) -> dict[str, Any]:
    """What a reader needs to place a figure; `load` is what the machine did before."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
