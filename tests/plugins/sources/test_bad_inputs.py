"""What people hand in by mistake: each ends in one sentence that names it, never a traceback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from adapter_platform.core.errors import DataError
from adapter_platform.core.examples import load_examples
from adapter_platform.core.registry import Registry

Write = Callable[[str, str | bytes], str]
ROWS = "text,label\n" + "how do I return this,return\n退货要几天,return\nwhere is it,status\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", "", "is empty"),
        ("empty.jsonl", "", "is empty"),
        ("empty.parquet", "", "is empty"),
        ("bom.csv", "\ufeff", "is empty"),
        ("blank.csv", "\n \n\n", "is empty"),
        ("blank.jsonl", "\n\n", "is empty"),
        ("header.csv", "text,label\n", "has no rows"),
        ("nothing.json", "[]", "has no rows"),
        ("utf16.csv", ROWS.encode("utf-16"), "is UTF-16 text"),
        ("utf32.csv", ROWS.encode("utf-32"), "is UTF-32 text"),
        ("utf16.tsv", ROWS.encode("utf-16-be"), "full of NUL bytes"),
        ("gbk.csv", ("文本,标签\n" + "退货,a\n" * 9).encode("gbk"), "header cannot be read"),
        ("rows_in_gbk.csv", ("text,label\n" + "退货,a\n" * 3).encode("gbk"), "is not UTF-8"),
        ("excel.csv", b"PK\x03\x04" + bytes(200), "a zip archive or an Excel workbook"),
        ("old.csv", b"\xd0\xcf\x11\xe0" + bytes(200), "an old Excel workbook"),
        ("packed.jsonl", b"\x1f\x8b\x08" + bytes(200), "compressed by gzip"),
        ("renamed.csv", b"PAR1" + bytes(200), "a Parquet file"),
        ("renamed.parquet", ROWS, "cannot be read as Parquet"),
        ("twice.csv", "text,label,text\na,b,c\n", "two columns are named 'text'"),
        ("semicolons.csv", "text;label\na;b\n", "is a single column"),
        ("tabs.csv", "text\tlabel\na\tb\n", "is a single column"),
        ("no_header.csv", "how are you,greeting\nbye,farewell\n", "no column for the text"),
        ("no_label.csv", "text,score\na,1\n", "no column for the label; its columns: 'text'"),
        ("ambiguous.csv", "question,content,label\na,b,c\n", "any of the columns 'question', 'co"),
        ("huge.csv", "text,label\n" + "x" * 200_000 + ",a\n", "longer than 131072 characters"),
        ("ragged.csv", "text,label\na,b,c\nd,e,f\ng,h\n", "2 of 3 rows of .* cannot be used"),
        ("no_text.csv", "text,label\n,a\n ,b\nc,d\n", r"the text \(column 'text'\) is empty"),
        ("no_labels.csv", "text,label\na,\nb,\n", "no row of .* has a label"),
        ("lists.json", '[["a", "b"], ["c", "d"]]', "it holds a list, not an object"),
        ("lists.jsonl", '["a", "b"]\n["c", "d"]\n', "it holds a list, not an object"),
        ("object.json", '{"text": ["a"], "label": ["b"]}', "the text is a list"),
        ("broken.jsonl", '{"text": "a", "label"\n', "this is not JSON"),
        ("nested.jsonl", '{"text": {"a": 1}, "label": "x"}\n', "the text is an object"),
        ("objects.jsonl", '{"text": "a", "label": {"x": 1}}\n', "the label is an object"),
        ("surrogate.jsonl", '{"text": "\\ud83d", "label": "x"}\n', "which is no character"),
        ("notes.txt", "hello", "has the suffix '.txt'"),
        ("data", "text,label\na,b\n", "has no suffix"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_sentence(
    registry: Registry, write: Write, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_examples({"all": write(name, content)}, registry)
    assert name in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("/no/such/file.csv", "there is no file /no/such/file.csv"),
        ("jsonl:nosuch", "there is no file nosuch"),
        ("parquet:nosuch", "there is no file nosuch"),
        ("csv:", "is not the name of a file"),
        ("csv:a\0b", "is not the name of a file"),
        ("csv:" + "a" * 5000, "cannot be read: File name too long"),
        ("", "the data's place is empty"),
        ("cvs:data.csv", "there is no data source named 'cvs'"),
        ("https://example.org/data.csv", "there is no data source named 'https'"),
        ("C:\\data\\file.csv", "there is no file"),
    ],
)
def test_a_place_that_is_not_there_is_refused_in_one_sentence(
    registry: Registry, uri: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load_examples({"train": uri}, registry)


@pytest.mark.parametrize("scheme", ["", "csv:", "tsv:", "jsonl:", "parquet:"])
def test_a_directory_is_refused_by_every_source(
    registry: Registry, tmp_path: Path, scheme: str
) -> None:
    with pytest.raises(DataError, match="is a directory"):
        load_examples({"all": f"{scheme}{tmp_path}"}, registry)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read anything")
def test_a_file_that_may_not_be_read_is_refused(registry: Registry, write: Write) -> None:
    path = write("secret.csv", ROWS)
    Path(path).chmod(0)
    with pytest.raises(DataError, match="may not be read"):
        load_examples({"all": path}, registry)


def test_one_broken_line_is_a_problem_and_the_rest_is_used(
    registry: Registry, write: Write
) -> None:
    path = write("a.csv", ROWS.encode().replace(b"where", b"w\xe9re") + b"bye,status\n")
    dataset = load_examples({"all": path}, registry)
    assert len(dataset.examples) == 3
    (problem,) = dataset.problems
    assert problem.where == f"{path}:4"
    assert problem.reason.startswith("the line is not UTF-8: byte")


def test_a_line_of_many_megabytes_costs_itself_alone(registry: Registry, write: Write) -> None:
    path = write("a.csv", ROWS + "x" * (34 * 2**20) + ",status\nbye,status\n")
    dataset = load_examples({"all": path}, registry)
    (problem,) = dataset.problems
    assert (problem.where, problem.reason) == (f"{path}:5", "the line is longer than 16 MB")
    assert dataset.examples[-1].where == f"{path}:6"


def test_a_broken_line_in_a_json_list_is_named(registry: Registry, write: Write) -> None:
    path = write("a.json", b'[\n{"text": "a", "label": "x"},\n{"text": "\xe9", "label": "y"}]')
    with pytest.raises(DataError, match=r"a\.json:3: the line is not UTF-8"):
        load_examples({"all": path}, registry)


def test_a_path_that_looks_like_a_uri_is_a_path_if_it_is_there(
    registry: Registry, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("export:v2.csv", ROWS)
    monkeypatch.chdir(tmp_path)
    assert len(load_examples({"all": "export:v2.csv"}, registry).examples) == 3
