"""What a file had stays in it; what we add stands beside it under names of its own."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence

import pytest

from adapter_platform.cli.rows.writing import HEAD, free_names, make_writer
from adapter_platform.core.errors import DataError

OURS = ("label", "confidence", "warnings")


def written(format_: str, rows: list[dict[str, object]], shared: Sequence[str] = ()) -> str:
    file = io.StringIO()
    writer = make_writer(format_, file, OURS, shared=shared)
    for fields in rows:
        writer.write(fields, {"label": "x", "confidence": 0.5, "warnings": []})
    writer.finish()
    return file.getvalue()


def test_a_name_that_the_input_has_is_prefixed_until_it_is_free() -> None:
    taken = ["text", "label", "predicted_label"]
    assert free_names(("label", "confidence"), taken) == {
        "label": "predicted_predicted_label",
        "confidence": "confidence",
    }


def test_a_table_has_the_input_columns_then_ours() -> None:
    text = written("csv", [{"text": 'a, "b"\nc', "id": "1"}])
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"text": 'a, "b"\nc', "id": "1", "label": "x", "confidence": "0.5", "warnings": ""}
    ]


def test_rows_that_could_not_be_read_do_not_decide_the_columns() -> None:
    text = written("tsv", [{}, {"text": "a"}])
    assert text.splitlines() == ["text\tlabel\tconfidence\twarnings", "\tx\t0.5\t", "a\tx\t0.5\t"]


def test_json_lines_keep_types_and_are_not_escaped() -> None:
    (line,) = written("jsonl", [{"text": "数据", "n": 3, "label": None}]).splitlines()
    assert "数据" in line
    assert json.loads(line) == {
        "text": "数据",
        "n": 3,
        "label": None,
        "predicted_label": "x",
        "confidence": 0.5,
        "warnings": [],
    }


def test_what_is_no_finite_number_is_null_in_json_and_itself_in_a_table() -> None:
    row = {"text": "a", "x": math.nan, "y": {"z": [-math.inf, 1.5]}, "n": math.inf}

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    found = json.loads(written("jsonl", [row]), parse_constant=refuse)
    assert (found["x"], found["y"], found["n"]) == (None, {"z": [None, 1.5]}, None)
    (cells,) = csv.DictReader(io.StringIO(written("csv", [row])))
    assert (cells["x"], cells["n"]) == ("nan", "inf")
    assert json.loads(cells["y"], parse_constant=refuse) == {"z": [None, 1.5]}


def test_a_late_column_is_refused_in_a_table_and_kept_in_json_lines() -> None:
    rows: list[dict[str, object]] = [{"text": "a"}] * HEAD + [{"text": "b", "confidence": 1}]
    with pytest.raises(DataError, match="'confidence' appears only after"):
        written("csv", rows)
    last = json.loads(written("jsonl", rows).splitlines()[-1])
    assert last["confidence"] == 1
    assert last["predicted_confidence"] == 0.5


def test_no_rows_give_a_table_its_header_and_json_lines_nothing() -> None:
    assert written("csv", []) == "label,confidence,warnings\n"
    assert written("csv", [], ["text", "label"]) == (
        "text,label,predicted_label,confidence,warnings\n"
    )
    assert written("jsonl", []) == ""


def test_columns_that_are_known_stand_however_many_rows_could_not_be_read() -> None:
    rows: list[dict[str, object]] = [{}] * (HEAD + 1) + [{"id": "1", "text": "a"}]
    table = list(csv.DictReader(io.StringIO(written("csv", rows, ["id", "text"]))))
    assert [row["id"] for row in table] == [""] * (HEAD + 1) + ["1"]
