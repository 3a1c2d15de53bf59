"""`platform classify`: one text, several, a file, a pipe; the same answers as from Python."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter_platform.core.store.manifest import StepRecord
from adapter_platform.core.store.store import Store
from adapter_platform.plugins import open_platform

from_python = open_platform

Run = Callable[..., Result]
Answer = Callable[..., str]
Json = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("store_dir")


def test_one_text_gets_its_label_its_name_for_people_and_how_sure_it_is(answer: Answer) -> None:
    said = answer("classify", "--adapter", "desk", "数据清洗")
    with from_python() as platform:
        prediction = platform.classify("数据清洗", "desk")
    first, *below = said.splitlines()
    assert first.startswith(f"{prediction.label} (")
    assert first.endswith(f"  {100 * prediction.confidence:.1f} %")
    assert len(below) == 3
    assert "█" not in said  # bars are for terminals


def test_a_name_for_people_is_in_the_language_of_the_text(answer: Answer) -> None:
    names = {"refund": ("退款", "Refund"), "delivery": ("配送", "Delivery"), "invoice": ("", "")}
    for text, language in (("数据", 0), ("data", 1)):
        said = answer("classify", "-a", "desk", text)
        label = said.split()[0]
        assert names[label][language] in said


def test_a_hierarchy_shows_the_way_to_the_answer(answer: Answer) -> None:
    _, way, *_ = answer("classify", "-a", "topics", "数据清洗").splitlines()
    assert way.strip().split()[0] in ("data", "chat")


def test_several_texts_give_a_table_in_their_order(answer: Answer) -> None:
    heading, *rows = answer("classify", "-a", "desk", "你好", "x", "a longer one").splitlines()
    assert heading.split() == ["text", "answer", "confidence"]
    assert [row.split("  ")[0] for row in rows] == ["你好", "x", "a longer one"]


def test_json_for_one_text_is_one_object_and_not_escaped(answer: Answer) -> None:
    said = answer("classify", "-a", "topics", "--json", "数据清洗")
    assert "数据清洗" in said
    with from_python() as platform:
        assert json.loads(said) == platform.classify("数据清洗", "topics").to_dict()


def test_json_for_several_texts_is_one_object_a_line(answer: Answer) -> None:
    lines = answer("classify", "-a", "tags", "--json", "a", "b").splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["a", "b"]


def test_top_k_limits_what_is_shown(answer: Answer, as_json: Json) -> None:
    assert len(answer("classify", "-a", "desk", "-k", "1", "x").splitlines()) == 2
    assert len(as_json("classify", "-a", "desk", "-k", "2", "--json", "x")["labels"]) == 2


def test_top_k_gives_each_row_of_a_table_that_many_labels_with_their_scores(
    answer: Answer,
) -> None:
    heading, *rows = answer("classify", "-a", "desk", "-k", "2", "x", "你好").splitlines()
    assert heading.endswith("  top 2")
    with from_python() as platform:
        predictions = platform.classify(["x", "你好"], "desk")
    for row, prediction in zip(rows, predictions, strict=True):
        best, second, _ = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
        shown = ", ".join(f"{name} {100 * share:.1f} %" for name, share in (best, second))
        assert row.endswith(f"  {shown}")


def test_a_version_may_be_named(as_json: Json) -> None:
    one = as_json("classify", "-a", "desk@1", "--json", "x")
    two = as_json("classify", "-a", "desk", "--json", "x")
    assert (one["version"], two["version"]) == (1, 2)
    assert one["probabilities"] != two["probabilities"]


def test_without_a_name_the_default_adapter_answers(as_json: Json) -> None:
    said = as_json("classify", "--json", "x", PLATFORM_DEFAULT_ADAPTER="tags")
    assert said["adapter"] == "tags"


def test_reasons_to_doubt_go_to_standard_error_and_quiet_drops_them(run: Run) -> None:
    long = "x " * 200
    loud = run("classify", "-a", "desk", long)
    assert "warning: the text is longer than the adapter reads" in loud.stderr
    assert "warning" not in loud.stdout
    assert run("classify", "-a", "desk", "-q", long).stderr == ""


def test_a_text_that_was_cut_is_said_by_every_output(
    run: Run, as_json: Json, tmp_path: Path
) -> None:
    long, sentence = "x " * 200, "the text is longer than the adapter reads; the rest did not count"
    one = as_json("classify", "-a", "desk", "--json", long)
    assert one["truncated"] is True
    assert one["warnings"] == [{"code": "truncated", "message": sentence}]
    assert run("classify", "-a", "desk", long).stderr == f"warning: {sentence}\n"
    several = run("classify", "-a", "desk", "short", long).stderr
    assert several.endswith(f": {sentence}\n")
    path = tmp_path / "in.txt"
    path.write_text(f"short\n{long}\n", encoding="utf-8")
    file = run("classify", "-a", "desk", "-i", path, "--json")
    rows = [json.loads(line)["warnings"] for line in file.stdout.splitlines()]
    assert rows == [[], ["truncated"]]
    assert "warning: 1 row with the warning 'truncated'" in file.stderr


def test_verbose_shows_what_is_loaded_on_standard_error(run: Run) -> None:
    for line in (["-v", "classify", "-a", "desk", "x"], ["classify", "-a", "desk", "x", "-v"]):
        result = run(*line)
        assert "loaded desk@2" in result.stderr
        assert "loaded" not in result.stdout
    assert run("classify", "-a", "desk", "x").stderr == ""


def test_an_adapter_that_abstains_says_so(
    run: Run, store_dir: Path, tiny_base: Path, publish_random: Callable[..., Any]
) -> None:
    step = StepRecord("abstain", {"threshold": 1.0}, "postprocess")
    publish_random(Store(store_dir), "shy", seed=7, postprocess=(step,))
    assert run("classify", "-a", "shy", "x").stdout.startswith("no answer (abstained)")


# --- files --------------------------------------------------------------------------------------


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """A CSV with a column that clashes with one of ours, and a row without a text."""
    path = tmp_path / "questions.csv"
    path.write_text('id,text,label\n1,数据清洗,a\n2,,b\n3,"x, y",c\n', encoding="utf-8")
    return path


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_csv_keeps_its_columns_and_gains_ours_in_order(run: Run, questions: Path) -> None:
    result = run("classify", "-a", "desk", "--input", questions)
    rows = read_csv(result.stdout)
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert [row["label"] for row in rows] == ["a", "b", "c"]
    assert [bool(row["predicted_label"]) for row in rows] == [True, False, True]
    assert rows[0]["adapter"] == "desk"
    assert rows[0]["version"] == "2"


def test_a_bad_row_is_an_error_row_and_is_counted_not_fatal(run: Run, questions: Path) -> None:
    result = run("classify", "-a", "desk", "--input", questions)
    assert result.exit_code == 0
    assert read_csv(result.stdout)[1]["error"] == f"{questions}:3: the text is empty"
    assert "2 rows answered" in result.stderr
    assert "warning: 1 row without an answer" in result.stderr


OURS = "confidence,abstained,warnings,adapter,version,error"


@pytest.mark.parametrize(
    ("name", "content", "heading", "rows"),
    [
        ("in.csv", "id,text,label\n", f"id,text,label,predicted_label,{OURS}", 0),
        ("in.csv", "id,text\n1\n2,3,4\n", f"id,text,label,{OURS}", 2),
        ("in.csv", "id,text\n1,\n2,\n", f"id,text,label,{OURS}", 2),
        ("in.tsv", "id\ttext\n", f"id,text,label,{OURS}", 0),
        ("in.tsv", "id\ttext\n1\n", f"id,text,label,{OURS}", 1),
        ("in.txt", "", f"text,label,{OURS}", 0),
        ("in.txt", "\n \n", f"text,label,{OURS}", 2),
        ("in.jsonl", "{\n[]\n", f"label,{OURS}", 2),
        ("in.jsonl", '{"id": 1, "text": ""}\n', f"id,text,label,{OURS}", 1),
    ],
)
def test_a_table_has_its_header_though_no_row_could_be_answered(
    run: Run, tmp_path: Path, name: str, content: str, heading: str, rows: int
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    out = tmp_path / "out.csv"
    result = run("classify", "-a", "desk", "-i", tmp_path / name, "-o", out)
    assert result.exit_code == (1 if rows else 0), result.output
    first, *rest = out.read_text(encoding="utf-8").splitlines()
    assert first == heading
    assert len(rest) == rows
    piped = run("classify", "-a", "desk", "-i", tmp_path / name)
    if name.endswith(".csv"):
        assert piped.stdout == out.read_text(encoding="utf-8")


def test_a_parquet_file_without_rows_gives_a_header_too(run: Run, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, out = tmp_path / "in.parquet", tmp_path / "out.csv"
    columns = {"id": pa.array([], pa.int64()), "text": pa.array([], pa.string())}
    pq.write_table(pa.table(columns), path)
    assert run("classify", "-a", "desk", "-i", path, "-o", out).exit_code == 0
    assert out.read_text(encoding="utf-8") == f"id,text,label,{OURS}\n"


def test_a_header_without_the_texts_column_is_refused_though_there_are_no_rows(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id,question\n", encoding="utf-8")
    result = run("classify", "-a", "desk", "-i", path)
    assert result.exit_code == 1
    assert "has no column 'text'" in result.stderr


def test_an_empty_file_is_refused_and_no_output_is_left(run: Run, tmp_path: Path) -> None:
    for name in ("in.csv", "in.jsonl"):
        path = tmp_path / name
        path.write_text("", encoding="utf-8")
        result = run("classify", "-a", "desk", "-i", path, "-o", tmp_path / "out.csv")
        assert result.exit_code == 1
        assert f"{path} is empty" in result.stderr
        assert not (tmp_path / "out.csv").exists()


def test_only_when_every_row_failed_is_the_exit_code_1(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": ""}\n{"text": []}\n', encoding="utf-8")
    result = run("classify", "-a", "desk", "-i", path)
    assert result.exit_code == 1
    assert [json.loads(line)["label"] for line in result.stdout.splitlines()] == [None, None]


def test_the_answers_to_a_file_are_those_to_its_texts(run: Run, tmp_path: Path) -> None:
    texts = [f"text number {i}" for i in range(300)]  # more than are answered at once
    path = tmp_path / "in.txt"
    path.write_text("\n".join(texts), encoding="utf-8")
    rows = run("classify", "-a", "desk", "-i", path, "--json").stdout.splitlines()
    with from_python() as platform:
        expected = platform.classify(texts, "desk")
    assert [json.loads(row)["text"] for row in rows] == texts
    assert [json.loads(row)["label"] for row in rows] == [p.label for p in expected]


def test_the_output_file_is_of_its_suffix_and_standard_output_stays_empty(
    run: Run, questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    result = run("classify", "-a", "tags", "-i", questions, "-o", out, "-k", "2")
    assert result.stdout == ""
    first = json.loads(out.read_text(encoding="utf-8").splitlines()[0])
    assert isinstance(first["labels"], list)
    assert len(first["top"]) == 2


def test_a_tab_file_is_a_table_on_both_sides(run: Run, tmp_path: Path) -> None:
    path, out = tmp_path / "in.tab", tmp_path / "out.tab"
    path.write_text("id\ttext\n1\thello\n", encoding="utf-8")
    shown = run("classify", "-a", "desk", "-i", path)
    assert shown.stdout.startswith("id\ttext\tlabel\t")
    assert run("classify", "-a", "desk", "-i", path, "-o", out).exit_code == 0
    assert out.read_text(encoding="utf-8") == shown.stdout


def test_a_link_is_written_as_the_file_that_it_names(run: Run, tmp_path: Path) -> None:
    """As /dev/stdout is, where standard output goes to a file."""
    place = tmp_path / "rows.csv"
    place.touch()
    link = tmp_path / "stdout"
    link.symlink_to(place)
    assert run("classify", "-a", "desk", "hello", "-o", link).exit_code == 0
    assert place.read_text(encoding="utf-8").splitlines()[1].startswith("hello,")


def test_rows_go_through_a_device_or_a_named_pipe_of_any_name(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "rows"
    os.mkfifo(place)
    with subprocess.Popen(["cat", place], stdout=subprocess.PIPE, text=True) as cat:
        result = run("classify", "-a", "desk", "hello", "-o", place)
        assert cat.stdout is not None
        assert json.loads(cat.stdout.read())["text"] == "hello"
    assert result.exit_code == 0, result.output


def test_json_lines_keep_values_as_they_were(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "a", "n": [1, {"b": null}]}\n', encoding="utf-8")
    row = json.loads(run("classify", "-a", "desk", "-i", path).stdout)
    assert row["n"] == [1, {"b": None}]


def test_another_column_may_hold_the_text(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.tsv"
    path.write_text("id\tquestion\n1\thello\n", encoding="utf-8")
    result = run("classify", "-a", "desk", "-i", path, "--text-field", "question")
    assert result.stdout.splitlines()[1].startswith("1\thello\t")


def test_a_pipe_without_a_text_is_read_line_by_line(run: Run) -> None:
    for arguments in ((), ("--input", "-")):
        result = run("classify", "-a", "desk", *arguments, stdin="数据\nx\n")
        rows = list(csv.DictReader(io.StringIO(result.stdout), delimiter="\t"))
        assert [row["text"] for row in rows] == ["数据", "x"]


def test_an_empty_pipe_gives_the_header_alone_and_says_so(run: Run) -> None:
    result = run("classify", "-a", "desk", stdin="")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)
    assert result.stdout.startswith("text\tlabel\t")
    assert "there are no rows" in result.stderr


def test_a_half_surrogate_in_json_is_an_error_row_that_json_can_hold(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "a", "x": "\\ud800"}\n{"text": "\\ud800"}\n', encoding="utf-8")
    result = run("classify", "-a", "desk", "-i", path)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert rows[0]["x"] == "\ud800"
    assert rows[1]["error"]
