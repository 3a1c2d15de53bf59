"""The Python of docs/data.md does what the page says."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from adapter_platform.core.data.example import Problem
from adapter_platform.plugins.testing import PluginConformance

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
READING, SOURCE = (
    textwrap.dedent(block)
    for block in re.findall(
        r"(?:^    .*\n|^\n(?=\n?    ))+", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    if "import" in block
)


def test_examples_are_read_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "text,label\nmoney back,refund\nmoney back,delivery\nwhere is it,delivery\n,refund\n"
    Path("train.csv").write_text(rows, encoding="utf-8")
    Path("test.csv").write_text("text,label\na new one,refund\n", encoding="utf-8")
    shown: dict[str, Any] = {}
    *lines, last = READING.strip().splitlines()
    exec("\n".join(lines), shown)
    (conflict,) = eval(last, shown)
    assert conflict.text == "money back"
    (problem,) = shown["dataset"].problems
    assert isinstance(problem, Problem)
    assert problem.where == "train.csv:5"


class TestTheSource(PluginConformance):
    """What the page shows passes the author kit."""

    locations: ClassVar[Mapping[str, str]] = {"lines": "texts.txt"}

    @pytest.fixture(autouse=True)
    def _written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("texts.txt").write_text("refund money back\nnothing\n", encoding="utf-8")
        module = ModuleType("lines")
        exec(SOURCE, vars(module))
        type(self).plugin = module

    def test_a_line_without_a_label_is_a_bad_row(self, registry: Any) -> None:
        good, bad = registry.sources["lines"].value.read("texts.txt")
        assert good.fields == {"text": "money back", "label": "refund"}
        assert (bad.where, bad.reason) == ("texts.txt:2", "the line has no blank behind a label")
