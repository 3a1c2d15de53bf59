"""On what, and with which versions, figures were taken."""

from __future__ import annotations

import os
import platform
import subprocess
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


def facts(threads: int, adapterhub: Path | None = None) -> dict[str, Any]:
    """What a reader needs to place a figure; `load` is what the machine did before.

    Args:
        adapterhub: the Python that has AdapterHub's `adapters`, where it is another.
    """
    versions = {name: found for name in PACKAGES if (found := _version(name))}
    if adapterhub is not None and (found := _version_there(adapterhub, "adapters")):
        versions["adapters"] = found
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "threads": threads,
        "openmp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
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


def _version_there(python: Path, name: str) -> str | None:
    """What another Python has installed; None where it has not, or is none."""
    ask = f"from importlib.metadata import version; print(version({name!r}))"
    try:
        done = subprocess.run(
            [python, "-c", ask], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):  # the rows that need it say what is wrong
        return None
    return done.stdout.strip()
