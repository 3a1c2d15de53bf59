"""Rows come in order, each with its text or with why there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.cli.rows.reading import HEAD, InputRow, field_chooser, read_rows
from adapter_platform.core.errors import DataError
from adapter_platform.core.registry import BadRow, Brought, Record, Registry, Rows
from adapter_platform.core.settings import load_settings
from adapter_platform.plugins.manager import load_plugins


@pytest.fixture
def registry() -> Registry:
    return load_plugins(load_settings()).registry


def rows(path: Path, registry: Registry) -> list[InputRow]:
    return list(read_rows(str(path), field_chooser(str(path)), registry))


def test_each_line_of_a_text_file_is_a_text(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes("\ufeff数据清洗\r\nsecond, line\n".encode())
    assert [row.text for row in rows(path, registry)] == ["数据清洗", "second, line"]


def test_a_line_that_is_blank_or_not_utf8_is_a_problem_in_its_place(
    tmp_path: Path, registry: Registry
) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes(b"one\n  \n\xff\xfe\nfour\n")
    found = rows(path, registry)
    assert [row.text for row in found] == ["one", None, None, "four"]
    assert found[1].problem == f"{path}:2: the text is empty"
    assert found[2].problem == f"{path}:3: the line is not UTF-8"


def test_a_table_keeps_its_columns(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id,text\n7,hello\n", encoding="utf-8")
    (row,) = rows(path, registry)
    assert (dict(row.fields), row.text) == ({"id": "7", "text": "hello"}, "hello")


def test_a_table_of_one_column_needs_no_name_for_it(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "in.csv"
    path.write_text("question\nhello\n", encoding="utf-8")
    assert [row.text for row in rows(path, registry)] == ["hello"]


def test_a_missing_column_is_said_with_those_that_there_are(
    tmp_path: Path, registry: Registry
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id,question\n7,hello\n", encoding="utf-8")
    with pytest.raises(DataError, match="has no column 'text'") as raised:
        rows(path, registry)
    assert raised.value.hint is not None
    assert "'question'" in raised.value.hint


def test_json_values_that_are_no_texts_are_problems_and_numbers_are_texts(
    tmp_path: Path, registry: Registry
) -> None:
    path = tmp_path / "in.jsonl"
    lines = ['{"text": "a"}', '{"text": 3}', '{"text": ["a"]}', '{"other": 1}', "not json"]
    path.write_text("\n".join([*lines, '{"text": "\\ud800"}']), encoding="utf-8")
    found = rows(path, registry)
    assert [row.text for row in found] == ["a", "3", None, None, None, None]
    assert all(row.problem.startswith(str(path)) for row in found[2:])


def test_a_first_object_without_a_key_is_a_problem_of_its_row_alone(
    tmp_path: Path, registry: Registry
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{}\n{"question": "a"}\n{"question": "b"}\n', encoding="utf-8")
    assert [row.text for row in rows(path, registry)] == [None, "a", "b"]


class Odd:
    """A source whose `read` is what it is given."""

    name = "odd"
    suffixes = (".odd",)

    def __init__(self, read: Callable[[str], Any]) -> None:
        self.read = read


@pytest.mark.parametrize("header", [["id", "text"], None])
def test_rows_are_read_as_they_are_handed_on_a_few_ahead_where_there_is_no_header(
    header: list[str] | None,
) -> None:
    read: list[int] = []

    def records(_: str) -> Iterator[Record | BadRow]:
        for i in range(50_000):
            read.append(i)
            yield BadRow(f"odd:{i}", "broken")
        yield Record("odd:50000", {"id": 6})
        yield Record("odd:50001", {"id": 7, "text": "hello"})

    def source(location: str) -> Iterator[Record | BadRow]:
        return Rows(records(location), header) if header else records(location)

    registry = Registry(sources={"odd": Brought(Odd(source), "acme", "1")})
    found = read_rows("odd:x", field_chooser("odd:x"), registry)
    for number, row in zip(range(50_000), found, strict=False):
        assert number < len(read) <= number + (1 if header else HEAD)
        assert row.problem == f"odd:{number}: broken"
    assert [row.text for row in found] == [None, "hello"]


def test_a_header_without_the_column_is_said_before_any_row(
    tmp_path: Path, registry: Registry
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id,question\nbroken\n7,hello\n", encoding="utf-8")
    with pytest.raises(DataError, match="has no column 'text'"):
        next(read_rows(str(path), field_chooser(str(path)), registry))


def test_a_first_line_without_the_text_costs_the_others_nothing(
    tmp_path: Path, registry: Registry
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": 1}\n{"id": 2, "text": "where is it"}\n{"id": 3, "text": "hi"}\n')
    first, *others = rows(path, registry)
    assert first.text is None
    assert first.problem.endswith("x.jsonl:1: the text is empty")
    assert [row.text for row in others] == ["where is it", "hi"]


def test_lines_that_all_have_one_field_need_no_name_for_it(
    tmp_path: Path, registry: Registry
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"question": "where is it"}\n{"question": "hi"}\n')
    assert [row.text for row in rows(path, registry)] == ["where is it", "hi"]


def test_a_field_that_no_line_has_is_said_with_all_that_there_are(
    tmp_path: Path, registry: Registry
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": 1}\n{"question": "hi"}\n')
    with pytest.raises(DataError, match="no column 'text'") as error:
        rows(path, registry)
    assert "'id', 'question'" in str(error.value.hint)
