"""A published adapter's files, as every engine reads them before it makes anything of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import AdapterCorrupt
from ..heads import CONFIG as HEAD_CONFIG
from ..heads import TENSORS as HEAD_TENSORS
from ..heads import Head
from ..store.source import AdapterSource

CONFIG = "adapter_config.json"
TENSORS = "adapter_model.safetensors"
FILES = (CONFIG, TENSORS, HEAD_CONFIG, HEAD_TENSORS)

# Ways to begin LoRA that leave the base's weights as they are; the others take something out of it.
HARMLESS_STARTS = (True, False, None, "gaussian", "orthogonal")
TASKS = (None, "FEATURE_EXTRACTION")


def read_config(source: AdapterSource) -> dict[str, Any]:
    """The adapter's PEFT configuration as it was published. Raises `AdapterCorrupt`."""
    try:
        config = json.loads((source.path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterCorrupt(
            f"{CONFIG} of {source.manifest.reference} cannot be read: {error}"
        ) from error
    if not isinstance(config, dict) or "peft_type" not in config:
        raise AdapterCorrupt(f"{CONFIG} of {source.manifest.reference} names no PEFT method")
    return config


def check_files(source: AdapterSource) -> None:
    """The manifest knows, and so has a hash of, all that is about to be read.

    Raises:
        AdapterCorrupt: it does not know a file.
    """
    absent = [name for name in FILES if name not in source.manifest.files]
    if absent:
        pickled = any(Path(name).suffix == ".bin" for name in source.manifest.files)
        raise AdapterCorrupt(
            f"the manifest of {source.manifest.reference} lists no {absent[0]}",
            "only safetensors are loaded; save the adapter again as such" if pickled else None,
        )


def read_head(source: AdapterSource, hidden: int) -> Head:
    """The adapter's head, of the shape that its manifest and a base this wide ask for.

    Raises:
        AdapterCorrupt: it is another.
    """
    manifest = source.manifest
    head = Head.load(source.path)
    expected = (len(manifest.scheme.classes), hidden)
    if head.weight.shape != expected or head.pooling != manifest.pooling:
        raise AdapterCorrupt(
            f"the head of {manifest.reference} is {head.pooling} {head.weight.shape}, where "
            f"its manifest and base ask for {manifest.pooling} {expected}"
        )
    return head
