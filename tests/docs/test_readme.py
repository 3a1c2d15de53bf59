"""What the READMEs show is what the commands print."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def refresh() -> ModuleType:
    """docs/refresh.py as a module."""
    spec = importlib.util.spec_from_file_location("refresh", ROOT / "docs" / "refresh.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("command", "shown", "printed", "true"),
    [
        ("platform classify x", "a  96.6 %\n  b 2.6 %", "a  96.5 %\n  b  2.7 %", True),
        ("platform classify x", "a  96.6 %", "a  96.4 %", False),
        ("platform classify x", "a  96.6 %", "a  96.60 %", False),
        ("platform classify x", "a  9 %", "a  8 %", False),
        ("platform classify x", "a  96.6 %", "b  96.6 %", False),
        ("platform classify x", "a  96.6 %", "a  96.6 %\n  b  2.6 %", False),
        ("platform adapters list", "name\n-----\na   96.6 %", "name\n----\na  96.6 %", True),
        ("platform adapters list", "a  96.6 %", "a  96.5 %", False),
        ("platform adapters list", "a  2 versions", "a  3 versions", False),
    ],
)
def test_a_block_is_true_to_the_last_place_that_machines_agree_on(
    refresh: ModuleType, command: str, shown: str, printed: str, true: bool
) -> None:
    assert refresh.is_true(shown, printed, command) is true


def test_every_output_block_in_the_readmes_is_what_its_command_prints(embedded_cache: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "refresh.py"), "--check"],
        capture_output=True,
        text=True,
        env=os.environ | {"PLATFORM_CACHE": str(embedded_cache)},
    )
    assert done.returncode == 0, done.stderr


def test_no_output_block_is_empty() -> None:
    for name in ("README.md", "README.zh-CN.md"):
        assert "```text\n```" not in (ROOT / name).read_text(encoding="utf-8")
