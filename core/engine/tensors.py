"""Safetensors files as NumPy arrays over a memory map, without torch."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def map_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The file's floating-point tensors by name.

    The arrays are windows on the file, paged in as they are used, and what is written to them stays
    out of it; bfloat16, which NumPy does not have, comes as a copy in float32.

    Raises:
        OSError, ValueError: it cannot be read, or is not a safetensors file.
    """
    with path.open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    start = 8 + int.from_bytes(data[:8], "little")
    tensors: dict[str, NDArray[Any]] = {}
    try:
        for name, entry in json.loads(bytes(data[8:start])).items():
            if entry.get("dtype") in DTYPES:  # `__metadata__` has none, and positions are integers
                begin, end = (start + offset for offset in entry["data_offsets"])
                flat = np.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
                if entry["dtype"] == "BF16":
                    flat = (flat.astype(np.uint32) << 16).view(np.float32)
                tensors[name] = flat.reshape(entry["shape"])
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a safetensors file") from error
    return tensors
