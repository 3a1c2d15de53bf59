"""Bases are lent: none is closed under a caller, and none lives on after the end."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from adapter_platform.core.bases import Base, Bases
from adapter_platform.core.engine.choice import ColdStart, Engines
from adapter_platform.core.engine.pool import BasePool
from adapter_platform.core.errors import UsageError
from adapter_platform.core.registry import NullListener, Registry
from adapter_platform.core.settings import Settings


@pytest.fixture
def base(tiny_base: Path, bases: Bases) -> Base:
    return bases.resolve(str(tiny_base))


@pytest.fixture
def bases(tmp_path: Path) -> Bases:
    return Bases(Registry(), tmp_path / "cache")


def open_pool(bases: Bases, limit: int) -> BasePool:
    engines = partial(Engines, settings=Settings(), listener=NullListener(), start=ColdStart(0))
    return BasePool(bases, engines, limit)


def test_who_holds_a_base_at_the_end_makes_no_engine_any_more(bases: Bases, base: Base) -> None:
    pool = open_pool(bases, 1)
    with pool.lend(base) as running:
        pool.close()
        with pytest.raises(UsageError, match="closed"):
            _ = running.engines
    with pytest.raises(UsageError, match="closed"), pool.lend(base):
        pass


def test_a_base_that_must_go_waits_for_who_holds_it(
    bases: Bases, base: Base, tiny_base_without_pooler: Path
) -> None:
    other = bases.resolve(str(tiny_base_without_pooler))
    pool = open_pool(bases, 1)
    with pool.lend(base) as running, pool.lend(other):
        assert running.engines is running.engines, "evicted, and still in use"
    with pytest.raises(UsageError, match="closed"):
        _ = running.engines
    with pool.lend(base) as anew:
        assert anew is not running
    pool.close()
