"""What stopped trainings have left is deleted once nobody can be expected to go on with it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from filelock import FileLock

from adapter_platform.core.errors import StoreError
from adapter_platform.core.training.checkpoints import STALE_DAYS, collect


@pytest.fixture
def room(tmp_path: Path) -> Path:
    directory = tmp_path / "training"
    directory.mkdir()
    return directory


def leave(room: Path, name: str, days: float, *, lock_too: bool = True) -> Path:
    """A training's directory, or its lock alone, as a kill so many days ago leaves it."""
    directory, lock = room / name, room / f"{name}.lock"
    if lock_too:
        lock.touch()
    (directory / "checkpoint-100").mkdir(parents=True)
    (directory / "checkpoint-100" / "model.safetensors").write_bytes(b"1234")
    moment = time.time() - days * 86400
    for path in (directory, lock):
        if path.exists():
            os.utime(path, (moment, moment))
    return directory


def test_what_nobody_went_on_with_for_a_week_is_deleted_and_the_rest_stays(room: Path) -> None:
    old = leave(room, "support-1", STALE_DAYS + 1)
    older = leave(room, "a.b-2", STALE_DAYS + 30, lock_too=False)
    young = leave(room, "support-3", STALE_DAYS - 1)
    (room / "notes.txt").touch()
    os.utime(room / "notes.txt", (0, 0))
    assert collect(room.parent) == [older, old]
    assert sorted(room.iterdir()) == [room / "notes.txt", young, room / "support-3.lock"]
    assert collect(room.parent) == []


def test_a_lock_that_a_killed_training_left_alone_is_deleted_too(room: Path) -> None:
    lock = room / "support-1.lock"
    lock.touch()
    assert collect(room.parent) == []
    os.utime(lock, (0, 0))
    assert collect(room.parent) == [room / "support-1"]
    assert list(room.iterdir()) == []


def test_a_training_that_runs_keeps_its_directory_however_old(room: Path) -> None:
    directory = leave(room, "support-1", STALE_DAYS + 1)
    with FileLock(room / "support-1.lock"):
        assert collect(room.parent) == []
    assert directory.exists()
    assert collect(room.parent) == [directory]


def test_a_cache_without_trainings_has_nothing_to_delete(tmp_path: Path) -> None:
    assert collect(tmp_path / "nowhere") == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do all")
def test_what_may_not_be_deleted_is_named(room: Path) -> None:
    directory = leave(room, "support-1", STALE_DAYS + 1)
    directory.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="support-1 cannot be deleted"):
            collect(room.parent)
    finally:
        directory.chmod(0o700)
