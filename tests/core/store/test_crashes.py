"""Whatever happens to a writer, readers find a whole store with the old version current."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.store.store import Store

WRITER = Path(__file__).with_name("writer.py")
GOALS = {  # the last rename of each action: what it moves to
    "publish:support": "/support/current",
    "publish:data_eng": "/data_eng",
    "rollback:support": "/support/current",
}
KILLED, DONE, REFUSED, UNTROUBLED = -9, 0, 3, 5


def write(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(WRITER), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)


@pytest.fixture
def old(tmp_path: Path, publish: Any) -> Path:
    """A store with support@1 and support@2, the second current."""
    store = Store(tmp_path / "old")
    publish(store, "support", "one")
    publish(store, "support", "two")
    return store.root


def outcomes(out: Path) -> Iterator[tuple[Path, list[str], int]]:
    """(store, the changes that were made, the writer's status) for each point of trouble."""
    for log in sorted(out.glob("*.log")):
        *changes, status = log.read_text(encoding="utf-8").splitlines()
        yield log.with_suffix(""), changes, int(status.split()[1])


def snapshot(root: Path) -> dict[str, bytes]:
    """All that readers can see."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.relative_to(root).as_posix().startswith(".")
    }


def assert_whole(store: Store) -> None:
    for entry in store.listing():
        assert entry.error is None, entry
        for version in entry.versions:
            assert store.verify(entry.name, version) == []


def assert_works_again(store: Store, publish: Any, name: str) -> None:
    if int(store.root.name) % 3:  # a third of them, for time: each publish waits for the disk
        return
    before = store.versions(name) if name in store.names() else [0]
    assert publish(store, name, "after").version > max(before)
    store.gc()
    assert list((store.root / ".staging").iterdir()) == []
    assert_whole(store)


def test_a_writer_killed_at_any_moment_of_publishing_leaves_the_old_version_current(
    old: Path, starters: Path, tmp_path: Path, publish: Any
) -> None:
    write("publish:support", old, starters, "kill", tmp_path / "out")
    killed = 0
    for root, changes, status in outcomes(tmp_path / "out"):
        store = Store(root, starters)
        finished = any(change.endswith("support/current") for change in changes)
        assert store.current("support") == (3 if finished else 2)
        assert store.resolve("support@2").manifest.version == 2
        assert_whole(store)
        assert_works_again(store, publish, "support")
        killed += status == KILLED
    assert killed >= 20


def test_a_writer_killed_in_the_first_publish_over_a_starter_leaves_the_starter_or_all_of_it(
    old: Path, starters: Path, tmp_path: Path, publish: Any
) -> None:
    write("publish:data_eng", old, starters, "kill", tmp_path / "out")
    killed, seen = 0, set()
    for root, changes, status in outcomes(tmp_path / "out"):
        store = Store(root, starters)
        layers = {entry.name: entry.layer for entry in store.listing()}
        finished = any(change.endswith(f"-> {root}/data_eng") for change in changes)
        assert (layers["data_eng"], store.versions("data_eng")) == (
            ("store", [1, 2]) if finished else ("starter", [1])
        )
        assert store.current("data_eng") == (2 if finished else 1)
        seen.add(finished)
        assert_whole(store)
        assert_works_again(store, publish, "data_eng")
        killed += status == KILLED
    assert killed >= 20
    assert seen == {True, False}


@pytest.mark.parametrize("action", ["rollback:support", "remove:support@1", "remove:support"])
def test_a_writer_killed_in_a_rollback_or_removal_leaves_a_whole_store(
    action: str, old: Path, starters: Path, tmp_path: Path, publish: Any
) -> None:
    write(action, old, starters, "kill", tmp_path / "out")
    killed = 0
    for root, _, status in outcomes(tmp_path / "out"):
        store = Store(root, starters)
        assert_whole(store)
        if "support" in store.names():
            assert store.resolve("support").manifest.version in (1, 2)
        assert_works_again(store, publish, "support")
        killed += status == KILLED
    assert killed >= 5


@pytest.mark.parametrize("action", ["publish:support", "publish:data_eng", "rollback:support"])
def test_a_disk_that_takes_no_more_at_any_moment_gives_one_sentence_and_changes_nothing(
    action: str, old: Path, starters: Path, tmp_path: Path
) -> None:
    said = write(action, old, starters, "fill", tmp_path / "out").stdout
    assert "not explained" not in said
    refused = 0
    for root, _, status in outcomes(tmp_path / "out"):
        assert status in (DONE, REFUSED, UNTROUBLED)
        if status == REFUSED:
            assert snapshot(root) == snapshot(old)
            assert list((root / ".staging").iterdir()) == []
        refused += status == REFUSED
    assert refused >= 3
    assert said.count("there is no space left for the store") == refused


@pytest.mark.parametrize("action", ["publish:support", "publish:data_eng", "rollback:support"])
def test_a_disk_that_fails_once_at_any_moment_leaves_all_or_nothing_of_the_change(
    action: str, old: Path, starters: Path, tmp_path: Path
) -> None:
    said = write(action, old, starters, "fail", tmp_path / "out").stdout
    assert "not explained" not in said
    refused = 0
    for root, changes, status in outcomes(tmp_path / "out"):
        finished = any(change.endswith(GOALS[action]) for change in changes)
        assert status in (DONE, REFUSED, UNTROUBLED)
        assert_whole(Store(root, starters))
        assert (snapshot(root) == snapshot(old)) is not finished
        refused += status == REFUSED
    assert refused >= 5


def in_own_mounts(script: str) -> subprocess.CompletedProcess[str]:
    """Runs a shell script that may mount file systems which only it sees."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare command here")
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0 and ("unshare" in done.stderr or "mount" in done.stderr):
        pytest.skip(f"this system lets no user mount: {done.stderr.strip()}")
    return done


def test_a_really_full_disk_gives_one_sentence_and_can_be_used_again(
    tmp_path: Path, starters: Path
) -> None:
    root = tmp_path / "mounted"
    root.mkdir()
    writer = f"{sys.executable} {WRITER} publish:support {root} {starters}"
    done = in_own_mounts(
        f"mount -t tmpfs -o size=64k none {root}; {writer}; "
        f"dd if=/dev/zero of={root}/ballast 2>/dev/null || true; {writer}; "
        f"ls {root}/support; ls -A {root}/.staging; rm {root}/ballast; {writer}"
    )
    first, full, *listed, last = done.stdout.splitlines()
    assert (first, last) == ("1", "2"), done.stderr
    assert "there is no space left for the store" in full
    assert listed == ["1", "current"]


def test_a_read_only_disk_gives_one_sentence_and_still_answers(
    tmp_path: Path, starters: Path
) -> None:
    root = tmp_path / "mounted"
    root.mkdir()
    writer = f"{sys.executable} {WRITER} publish:support {root} {starters}"
    read = f"from adapter_platform.core.store.store import Store as S; from pathlib import Path; \
print(S(Path('{root}')).current('support'))"
    done = in_own_mounts(
        f"mount -t tmpfs -o size=64k none {root}; {writer}; mount -o remount,ro {root}; "
        f'{writer}; {sys.executable} -c "{read}"'
    )
    first, refused, current = done.stdout.splitlines()
    assert (first, current) == ("1", "1"), done.stderr
    assert "read-only" in refused


def test_a_store_that_may_not_be_written_gives_one_sentence_and_still_answers(
    old: Path, starters: Path
) -> None:
    # Root's right to write anywhere is given up, so that the directory's mode binds it too.
    powerless = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and there is no setpriv to give that up")
    command = [sys.executable, str(WRITER), "publish:support", str(old), str(starters)]
    command = powerless + command if os.geteuid() == 0 else command
    for directory in (old / "support", old / ".staging"):
        directory.chmod(0o555)
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        directory.chmod(0o755)
        assert "cannot be written" in done.stdout
        assert "is not permitted" in done.stdout
        assert done.stdout.count("\n") == 1
    assert Store(old).versions("support") == [1, 2]
    assert Store(old).gc() == []
