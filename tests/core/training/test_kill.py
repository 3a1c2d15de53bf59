"""kill -9 at any moment of a training: the store stays whole, and the next run ends as if nothing
had been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.store.manifest import Manifest
from adapter_platform.core.store.store import Store

from .conftest import TOPICS, WriteTexts

SCRIPT = Path(__file__).with_name("killed.py")
TIMED, PUBLISHING = 9, 6  # kills by time, and inside publishing
KILLED, DONE = -9, 0


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs processor times")
def test_a_training_killed_at_any_moment_leaves_the_store_whole_and_can_be_run_again(
    tmp_path: Path, tiny_base: Path, write_texts: WriteTexts
) -> None:
    out = tmp_path / "out"
    data = write_texts(dict.fromkeys(TOPICS, 12))
    arguments = [tiny_base, data, out, TIMED]
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    runs = {run["name"]: run for run in json.loads((out / "runs.json").read_text())}
    old = Store(out / "old" / "store").resolve("support").manifest
    new = Store(out / "whole" / "store").resolve("support").manifest
    assert (old.version, new.version) == (1, 2)
    assert runs["whole"]["status"] == DONE

    numbers = range(1, TIMED + PUBLISHING + 1)
    for number in numbers:
        check_after_kill(out / str(number) / "store", runs[str(number)], old, new)
        check_after_rerun(out / f"{number}-again", runs[f"{number}-again"], new)

    killed = [runs[str(number)] for number in numbers]
    assert {run["status"] for run in killed} == {KILLED}
    assert len([run for run in killed if run["changes"] is not None]) >= PUBLISHING
    resumed = [(out / f"{number}-again.resumed").read_text() for number in numbers]
    assert resumed.count("True") > PUBLISHING
    assert resumed.count("False") > 1


def check_after_kill(root: Path, run: dict[str, Any], old: Manifest, new: Manifest) -> None:
    """Readers find what was there, or the new version whole."""
    store, changes = Store(root), run["changes"]
    (entry,) = store.listing()
    assert entry.error is None, run
    for version in store.versions("support"):
        assert store.verify("support", version) == [], run
    assert store.resolve("support@1").manifest == old
    if changes is None:
        assert store.versions("support") == [1], run
    # A change is noted just before it is made, so the last one noted may not have come about.
    noted = [change.endswith("/store/support/current") for change in changes or ()]
    if any(noted[:-1]):
        assert entry.version == 2, run
    elif not any(noted):
        assert entry.version == 1, run
    if entry.version == 2:
        assert store.resolve("support").manifest.metrics == new.metrics


def check_after_rerun(directory: Path, run: dict[str, Any], new: Manifest) -> None:
    """The same training, run again to its end, gives what an undisturbed one gives."""
    assert run["status"] == DONE, run
    store = Store(directory / "store")
    source = store.resolve("support")
    assert source.manifest.metrics == new.metrics
    assert source.manifest.calibration == new.calibration
    same = ("adapter_model.safetensors", "head.safetensors", "report.json")
    assert {n: source.manifest.files[n] for n in same} == {n: new.files[n] for n in same}
    assert store.verify("support") == []
    assert not list((directory / "cache" / "training").iterdir()), "nothing is left behind"
    store.gc()
    assert not list((directory / "store" / ".staging").iterdir())
