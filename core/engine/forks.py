"""What locks and threads of a process mean to a forked child: nothing, so they are made anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

Renewed = TypeVar("Renewed")

_renewals: WeakKeyDictionary[Any, Callable[[Any], object]] = WeakKeyDictionary()


def renew_in_child(owner: Renewed, renew: Callable[[Renewed], object]) -> None:
    """Calls ``renew(owner)`` in every forked child, for as long as the owner lives.

    A child has one thread; what the others held or were doing at the fork stays so for good.
    """
    _renewals[owner] = renew


def _after_fork() -> None:
    for owner, renew in list(_renewals.items()):
        renew(owner)


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
