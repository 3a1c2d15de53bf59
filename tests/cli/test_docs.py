"""The page about the command says what the command says."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_command_md_is_what_its_generator_prints() -> None:
    page = runpy.run_path(str(DOCS / "make_command_md.py"))["page"]()
    assert (DOCS / "command.md").read_text(encoding="utf-8") == page, (
        "python docs/make_command_md.py > docs/command.md"
    )


def test_every_command_of_ours_is_on_the_page() -> None:
    text = (DOCS / "command.md").read_text(encoding="utf-8")
    lines = ["classify", "doctor", "data check", "data suggest", "domains show"]
    lines += ["bases verify", "plugins list"]
    lines += [f"adapters {name}" for name in ("list", "show", "train", "tune", "eval", "compare")]
    lines += [f"adapters {name}" for name in ("import", "export", "promote", "rollback", "remove")]
    lines += ["adapters verify", "adapters gc"]
    for line in lines:
        assert f"## platform {line}\n" in text
