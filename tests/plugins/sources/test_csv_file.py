"""Tables in text: every row is either read as it stands or reported with its line."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from adapter_platform.core.errors import DataError
from adapter_platform.core.registry import BadRow, Record
from adapter_platform.plugins.sources.csv_file import CsvSource, TsvSource

Write = Callable[[str, str | bytes], str]


def read(path: str) -> list[tuple[int, list[str] | str]]:
    """(line, cells or the reason), from whichever source takes the suffix."""
    source = TsvSource() if path.endswith(".tsv") else CsvSource()
    rows = []
    for row in source.read(path):
        file, _, line = row.where.rpartition(":")
        assert file == path
        cells = list(row.fields.values()) if isinstance(row, Record) else row.reason
        rows.append((int(line), cells))
    return rows


def test_a_row_stands_at_the_line_on_which_it_starts(write: Write) -> None:
    path = write("a.csv", 'text,label\n"two\nlines, and a ""quote""",x\nplain,y\n')
    assert read(path) == [(2, ['two\nlines, and a "quote"', "x"]), (4, ["plain", "y"])]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_will_do_and_the_last_one_may_be_missing(write: Write, end: str) -> None:
    assert read(write("a.csv", f"text,label{end}a,x{end}b,y")) == [(2, ["a", "x"]), (3, ["b", "y"])]


def test_a_byte_order_mark_is_not_part_of_the_first_column(write: Write) -> None:
    (row,) = CsvSource().read(write("a.csv", "\ufeff文本,label\n退货,x\n"))
    assert isinstance(row, Record)
    assert row.fields == {"文本": "退货", "label": "x"}


def test_a_column_without_a_name_gets_one_from_its_place(write: Write) -> None:
    (row,) = CsvSource().read(write("a.csv", ",text,label\n0,a,x\n"))
    assert isinstance(row, Record)
    assert row.fields == {"column_1": "0", "text": "a", "label": "x"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,x,more", "the row has 3 columns, the header 2"),
        ("alone", "the row has 1 column, the header 2"),
        ('"never closed,x', "a quote opens in this row and is never closed"),
        ('"quoted" and on,x', "text follows a closing quote"),
        ("nul\0,x", "the line holds a NUL byte"),
        ("b" * 140_000 + ",x", "a field is longer than 131072 characters"),
        ("", "the line is empty"),
        ("\n\n  ", "lines 3 to 5 are empty"),
    ],
)
def test_one_broken_row_costs_no_other(write: Write, row: str, reason: str) -> None:
    rows = read(write("a.csv", f"text,label\nfirst,x\n{row}\n" + "later,y\n" * 20))
    assert rows[0] == (2, ["first", "x"])
    assert rows[1][0] == 3
    assert str(rows[1][1]).startswith(reason)
    assert [cells for _, cells in rows[2:]] == [["later", "y"]] * 20


def test_rows_after_a_quote_that_is_never_closed_are_read_however_many_follow(write: Write) -> None:
    path = write("a.csv", 'text,label\n"open,x\n' + "a row of some length,y\n" * 20_000)
    rows = read(path)
    assert len(rows) == 20_001
    assert str(rows[0][1]).startswith("a field is longer than")
    assert all(cells == ["a row of some length", "y"] for _, cells in rows[1:])


def test_empty_lines_at_the_end_are_no_rows(write: Write) -> None:
    assert read(write("a.csv", "text,label\na,x\n\n  \n")) == [(2, ["a", "x"])]


def test_a_line_that_is_not_utf8_is_reported_with_its_byte_and_what_it_may_be(write: Write) -> None:
    gbk = "数据清洗".encode("gb18030")
    path = write("a.csv", "text,label\n正常,x\n".encode() + gbk + b",y\n" + b"fine,z\n" * 3)
    rows = read(path)
    assert [line for line, _ in rows] == [2, 3, 4, 5, 6]
    assert rows[1][1] == "the line is not UTF-8: byte 20 of the file, but it would be GB18030 (GBK)"


@pytest.mark.parametrize("rows", [3, 5000])
def test_a_file_in_gb18030_is_refused_with_the_way_to_convert_it(write: Write, rows: int) -> None:
    path = write("a.csv", ("text,label\n" + "数据清洗,x\n" * rows).encode("gb18030"))
    with pytest.raises(DataError, match="is not UTF-8") as caught:
        read(path)
    assert "iconv -f GB18030 -t UTF-8" in str(caught.value.hint)


def test_a_broken_line_inside_a_quoted_field_costs_that_row_alone(write: Write) -> None:
    path = write("a.csv", b'text,label\n"one\n\xff\ntwo",x\nfine,y\n')
    assert [(line, isinstance(cells, str)) for line, cells in read(path)] == [(2, True), (5, False)]


def test_a_tsv_keeps_quotes_that_are_only_characters(write: Write) -> None:
    path = write("a.tsv", 'text\tlabel\n"hi" he said\tx\n"open\ty\n"a\tb ""c"""\tz\nsay "no"\tw\n')
    assert [cells for _, cells in read(path)] == [
        ['"hi" he said', "x"],
        ['"open', "y"],
        ['a\tb "c"', "z"],
        ['say "no"', "w"],
    ]


def test_the_wrong_number_of_tabs_is_a_bad_row(write: Write) -> None:
    (row,) = TsvSource().read(write("a.tsv", "text\tlabel\na\tb\tc\n"))
    assert isinstance(row, BadRow)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    with path.open("w") as file:
        file.write("text,label\n")
        file.writelines(f'"a question about tables, {i}",x\n' for i in range(30_000))
    tracemalloc.start()
    try:
        assert sum(1 for _ in CsvSource().read(str(path))) == 30_000
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
