"""What texts are sliced by when nobody asked: their length, and their script."""

from __future__ import annotations

from adapter_platform.core.examples import Example
from adapter_platform.core.training.slices import ENOUGH, LENGTH, SCRIPT, WORD, slices


def sizes(texts: list[str], name: str) -> dict[str, int]:
    found = slices([Example(text, ("a",)) for text in texts])
    return {value: len(rows) for value, rows in found.get(name, {}).items()}


def test_lengths_are_thirds_of_the_texts_with_their_bounds_as_names() -> None:
    texts = [" ".join(["word"] * n) for n in range(1, 31)]
    assert sizes(texts, LENGTH) == {
        "up to 10 words": 10, "11 to 20 words": 10, "21 words and more": 10
    }  # fmt: skip


def test_a_chinese_character_is_as_long_as_an_english_word() -> None:
    assert WORD.findall("用Spark做数据清洗, don't") == [
        "用", "Spark", "做", "数", "据", "清", "洗", "don", "t"
    ]  # fmt: skip
    mixed = ["数据"] * 10 + ["clean data"] * 10 + ["数据清洗流程"] * 10
    assert sizes(mixed, LENGTH) == {"up to 2 words": 20, "3 words and more": 10}


def test_texts_of_one_length_or_too_few_of_them_are_not_cut() -> None:
    assert sizes(["two words"] * 40, LENGTH) == {}
    assert sizes([" ".join(["word"] * n) for n in range(1, 10)], LENGTH) == {}


def test_scripts_are_told_by_most_words_of_a_text() -> None:
    texts = ["用 Airflow 调度 DAG"] * 11 + ["How do I schedule a DAG?"] * 12 + ["привет"] * ENOUGH
    assert sizes(texts, SCRIPT) == {"Latin": 12, "Chinese or Japanese": 11, "Cyrillic": 10}


def test_a_script_of_few_texts_and_texts_without_letters_are_no_slice() -> None:
    assert sizes(["plain words"] * 20 + ["数据"] * 3 + ["42 :)"] * 20, SCRIPT) == {}
    assert sizes(["plain words"] * 20 + ["数据"] * 10 + ["42 :)"] * 20, SCRIPT) == {
        "Latin": 20, "Chinese or Japanese": 10
    }  # fmt: skip


def test_a_column_of_the_data_is_not_hidden_by_a_slice_of_the_same_name() -> None:
    texts = ["plain words"] * 20 + ["数据"] * 20
    fields = [{"script": "one" if i % 2 else "two", "lang": "x"} for i in range(40)]
    found = slices([Example(t, (), fields=f) for t, f in zip(texts, fields, strict=True)])
    assert list(found) == ["script"]
    assert set(found["script"]) == {"one", "two"}
