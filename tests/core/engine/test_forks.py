"""A forked child makes anew what a fork breaks, and nothing is kept alive for that."""

from __future__ import annotations

import gc
import os

import pytest

from adapter_platform.core.engine import forks
from adapter_platform.core.engine.forks import renew_in_child

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


class Counter:
    """How often it was renewed."""

    def __init__(self) -> None:
        self.renewed = 0

    def renew(self) -> None:
        self.renewed += 1


def in_child(*counters: Counter) -> int:
    """The sum of the counts in a forked child."""
    pid = os.fork()
    if pid == 0:
        os._exit(sum(counter.renewed for counter in counters))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_each_owner_is_renewed_once_in_the_child_and_never_in_the_parent() -> None:
    one, other = Counter(), Counter()
    renew_in_child(one, Counter.renew)
    renew_in_child(other, Counter.renew)
    assert in_child(one, other) == 2
    assert one.renewed == other.renewed == 0


def test_an_owner_that_is_gone_leaves_nothing_behind() -> None:
    gc.collect()
    before = len(forks._renewals)
    owner = Counter()
    renew_in_child(owner, Counter.renew)
    assert len(forks._renewals) == before + 1
    del owner
    gc.collect()
    assert len(forks._renewals) == before
