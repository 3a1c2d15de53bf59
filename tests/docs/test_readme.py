"""What the READMEs show is what the commands print."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


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
