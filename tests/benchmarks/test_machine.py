"""A kept run says with which versions its figures were taken, the peers' too."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.machine import facts


def test_a_peer_in_another_python_is_recorded_with_the_version_that_it_has_there(
    tmp_path: Path,
) -> None:
    record = tmp_path / "site" / "adapters-1.3.7.dist-info"
    record.mkdir(parents=True)
    text = "Metadata-Version: 2.1\nName: adapters\nVersion: 1.3.7\n"
    (record / "METADATA").write_text(text, encoding="utf-8")
    python = tmp_path / "python"
    script = f'#!/bin/sh\nPYTHONPATH="{record.parent}" exec "{sys.executable}" "$@"\n'
    python.write_text(script, encoding="utf-8")
    python.chmod(0o755)
    assert facts(1, python)["versions"]["adapters"] == "1.3.7"


def test_a_python_that_is_not_there_or_lacks_the_peer_records_none(tmp_path: Path) -> None:
    for python in (None, tmp_path / "nowhere", Path(sys.executable)):
        versions = facts(1, python)["versions"]
        assert "adapters" not in versions
        assert versions["torch"]
