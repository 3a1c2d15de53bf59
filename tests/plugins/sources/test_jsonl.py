"""JSON Lines: every line is a row or a reason; a list of objects will do in a .json file."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapter_platform.core.errors import DataError
from adapter_platform.core.registry import BadRow, Record
from adapter_platform.plugins.sources.jsonl import JsonlSource

Write = Callable[[str, str | bytes], str]
GOOD = '{"text": "好", "label": ["a", "b"], "n": 1}\n'


def test_objects_keep_their_own_types(write: Write) -> None:
    path = write("a.jsonl", "\ufeff" + GOOD + "\n\n")
    assert list(JsonlSource().read(path)) == [
        Record(f"{path}:1", {"text": "好", "label": ["a", "b"], "n": 1})
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a", }', "this is not JSON: "),
        ('{"text": "a"', "this is not JSON: Expecting ',' delimiter (column 13)"),
        ('["a", "b"]', "it holds a list, not an object"),
        ("null", "it holds null, not an object"),
        ("12", "it holds a number, not an object"),
        ('{"text": "a", "text": "b"}', "this is not JSON that can be used: the key 'text'"),
        ("[" * 100_000, "this is not JSON that can be used: it is nested too deeply"),
        (
            '{"n": ' + "1" * 5000 + "}",
            "this is not JSON that can be used: a number has too many digits",
        ),
        ("", "the line is empty"),
        ('{"text": "\0"}', "the line holds a NUL byte"),
    ],
)
def test_one_broken_line_costs_no_other(write: Write, line: str, reason: str) -> None:
    path = write("a.jsonl", GOOD + line + "\n" + GOOD * 2)
    rows = list(JsonlSource().read(path))
    assert [type(row) for row in rows] == [Record, BadRow, Record, Record]
    assert isinstance(rows[1], BadRow)
    assert rows[1].where == f"{path}:2"
    assert rows[1].reason.startswith(reason)


def test_a_json_file_may_hold_a_list_of_objects(write: Write) -> None:
    path = write("a.json", '\n[\n  {"text": "a"},\n  ["b"]\n]\n')
    assert list(JsonlSource().read(path)) == [
        Record(f"{path}:item 1", {"text": "a"}),
        BadRow(f"{path}:item 2", "it holds a list, not an object"),
    ]


def test_a_json_file_may_hold_lines_of_objects(write: Write) -> None:
    path = write("a.json", GOOD * 2)
    assert [row.where for row in JsonlSource().read(path)] == [f"{path}:1", f"{path}:2"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{\n  "data": [{"text": "a"}]\n}', "neither a list of objects nor one object a line"),
        ('"text"', "neither a list of objects nor one object a line"),
        ('[{"text": "a"},\n {"text": }]', r"is not JSON.*\(line 2, column 11\)"),
        (b'[{"text": "\xff"}]', "is not UTF-8"),
    ],
)
def test_any_other_json_file_is_refused(write: Write, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(JsonlSource().read(write("a.json", content)))
