"""docs/answers.md names every field, column and warning that there is."""

from __future__ import annotations

import re
from pathlib import Path

from adapter_platform.cli.rows.answering import Question
from adapter_platform.core.predictions import Prediction

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "answers.md").read_text(encoding="utf-8")
FIELDS, WARNINGS, FILES = re.split(r"\n\| warning \|.*|\n## Files", PAGE)


def named(part: str) -> set[str]:
    return set(re.findall(r"`([a-z_]+)`", part))


def first_cells(part: str) -> set[str]:
    cells = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in named(cell)}


def test_every_field_of_an_answer_is_named_and_no_other() -> None:
    prediction = Prediction(
        text="", label=None, labels=(), confidence=0.0, probabilities={}, adapter="", version=1,
        base="", engine="",
    )  # fmt: skip
    assert first_cells(FIELDS) == set(prediction.to_dict())


def test_every_warning_is_named() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "core").rglob("*.py"))
    codes = set(re.findall(r'Notice\(\s*"([a-z_]+)"', code))
    assert first_cells(WARNINGS) == codes


def test_every_column_that_a_file_gains_is_named() -> None:
    columns = {*Question("a@1", "multi", top_k=3).columns, *Question("auto", "").columns}
    assert columns <= named(FILES)
