"""How many threads torch uses where nobody says."""

from __future__ import annotations

import os
import threading

import torch

_LOCK = threading.Lock()
_usual: int | None = None


def usual_threads() -> int:
    """What torch takes by itself for a forward pass, read when the first engine is made.

    The packed engine takes a single thread for a moment at a time, and what torch hands to threads
    that first use it is one number for the whole process: read in such a moment it would be 1.
    """
    global _usual
    with _LOCK:
        if _usual is None:
            _usual = torch.get_num_threads()
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_restore)
        return _usual


def _restore() -> None:
    """A fork may fall into such a moment. The forking thread's own number is as it was."""
    torch.set_num_threads(torch.get_num_threads())
