"""What locks and threads of a process mean to a forked child: nothing, so they are made anew."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import TypeVar

Renewed = TypeVar("Renewed")


def renew_in_child(owner: Renewed, renew: Callable[[Renewed], object]) -> None:
    """Calls ``renew(owner)`` in every forked child, for as long as the owner lives.

    A child has one thread; what the others held or were doing at the fork stays so for good.
    """
    reference = weakref.ref(owner)

    def after_fork() -> None:
        alive = reference()
        if alive is not None:
            renew(alive)

    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=after_fork)
