"""Tables line up whatever the script, and hold nothing that a terminal would act on."""

from __future__ import annotations

from adapter_platform.cli.render.table import (
    Table,
    plain,
    shorten,
    stacked,
    width,
    without_empty_columns,
)


def test_chinese_characters_count_two_cells_so_that_columns_line_up() -> None:
    table = Table.of(("text", "label"), [("数据清洗", "a"), ("clean", "b")])
    lines = plain(table)
    assert [width(line[: line.index(end)]) for line, end in zip(lines[1:], "ab", strict=True)] == [
        10,
        10,
    ]


def test_combining_marks_and_joiners_take_no_cell() -> None:
    assert width("é") == 1
    assert width("e\u0301") == 1
    assert width("क्\u200d") == 1


def test_numbers_are_aligned_to_the_right_and_nothing_trails() -> None:
    lines = plain(Table.of(("n>", "x"), [("1", ""), ("100", "")]))
    assert lines == ["  n  x", "  1", "100"]


def test_escape_sequences_in_data_reach_no_terminal() -> None:
    (row,) = Table.of(("a",), [("\x1b[31mred\x1b[0m\nnext\tcell",)]).rows
    assert row == ("\\x1b[31mred\\x1b[0m next cell",)


def test_what_hides_or_turns_text_round_is_shown_and_what_joins_letters_stays() -> None:
    hidden = ("\u202e", "\u200b", "\u2028", "\u2029", "\ufeff", "\ud800")
    (row,) = Table.of(("",) * len(hidden), [hidden]).rows
    assert " ".join(row) == r"\u202e \u200b \u2028 \u2029 \ufeff \ud800"
    joined = ("نمی\u200cخواهم", "👩\u200d💻", "🏴\U000e0067\U000e0062\U000e007f", "مرحبا\u200f!")
    assert Table.of(("",) * len(joined), [joined]).rows == (joined,)


def test_a_long_text_is_cut_by_cells_not_by_characters() -> None:
    assert shorten("数据清洗流程", 7) == "数据清…"
    assert shorten("short", 7) == "short"


def test_columns_that_say_nothing_take_no_room_on_a_screen() -> None:
    table = Table.of(("name", "remark", "n>"), [("a", "", "1"), ("b", "", "2")])
    assert without_empty_columns(table).headings == ("name", "n>")


def test_a_screen_too_narrow_for_columns_gets_a_block_a_row() -> None:
    table = Table.of(("name", "n>"), [("a", "1"), ("b", "")])
    assert stacked(table) == ["name  a", "n     1", "", "name  b"]
