"""What is said where a device has not the memory for something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import PlatformError

HINT = (
    "free some, give adapters or batches less room (PLATFORM_ADAPTER_MEGABYTES, "
    "PLATFORM_PEFT_RESIDENT, PLATFORM_BATCH_TOKENS), or use --device cpu"
)


def no_memory(what: str) -> PlatformError:
    """The error for what a device has not the memory for."""
    return PlatformError(f"the device has not the memory for {what}", HINT)


@contextmanager
def memory_for(what: str) -> Iterator[None]:
    """Raises `PlatformError` where the block runs out of a device's memory."""
    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise no_memory(what) from error


def out_of_memory(error: RuntimeError) -> bool:
    """Whether a device had not the memory; cuBLAS says so in an error of another kind than torch's
    allocator.
    """
    return isinstance(error, torch.OutOfMemoryError) or "CUBLAS_STATUS_ALLOC_FAILED" in str(error)
