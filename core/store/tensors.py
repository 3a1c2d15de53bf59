"""Tensor files that an adapter keeps beside those of PEFT and the head, such as its scope."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import AdapterCorrupt
from .verify import verify_files

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .source import AdapterSource


def read_tensors(
    source: AdapterSource, file: str, names: Collection[str], method: Mapping[str, str], remedy: str
) -> dict[str, NDArray[Any]]:
    """Tensors of a published adapter's file, once its hash is seen to be right.

    Args:
        method: what the file's metadata must say of how they were made.
        remedy: the hint where it says something else.

    Raises:
        AdapterNotFound: the adapter has been removed since it was resolved.
        AdapterCorrupt: the file is not as published, lacks a tensor, or is of another method.
    """
    from safetensors import SafetensorError, safe_open

    verify_files(source, [file])
    who = f"{file} of {source.manifest.reference}"
    try:
        with safe_open(source.path / file, "numpy") as opened:
            found, tensors = opened.metadata(), {name: opened.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise AdapterCorrupt(f"{who} cannot be read: {error}") from error
    if found != method:
        raise AdapterCorrupt(f"{who} is of a method not known here", remedy)
    return tensors
