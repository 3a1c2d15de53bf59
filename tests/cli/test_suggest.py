"""`platform data suggest` picks texts to label: useful ones, each of another sort, none twice."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from adapter_platform.plugins import open_platform
from adapter_platform.plugins.testing import make_tiny_base

from .sorts import SORTS

Run = Callable[..., Result]

ALL = [text for texts in SORTS.values() for text in texts]
SORT_OF = {text: sort for sort, texts in SORTS.items() for text in texts}


def table(path: Path, texts: list[str], column: str = "text") -> Path:
    """A CSV file with a text and a number in each row."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", column])
        writer.writerows(enumerate(texts))
    return path


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(autouse=True)
def small_base(tiny_base: Path, platform_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_BASE", str(tiny_base))


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return table(tmp_path / "pool.csv", ALL)


def test_without_an_adapter_the_first_texts_are_of_every_sort(pool: Path, answer: Any) -> None:
    found = rows_of(answer("data", "suggest", pool, "--base", "minilm", "-n", 4))
    assert {SORT_OF[row["text"]] for row in found} == set(SORTS)
    assert list(found[0]) == ["id", "text", "stands_for"]
    assert sum(int(row["stands_for"]) for row in found) == len(ALL)
    assert all(ALL[int(row["id"])] == row["text"] for row in found)


def test_sorts_that_are_labelled_are_passed_over(pool: Path, tmp_path: Path, answer: Any) -> None:
    known = [*SORTS["weather"][:4], *SORTS["music"][:4]]
    labelled = table(tmp_path / "labelled.csv", known, "question")
    line = ("data", "suggest", pool, "--base", "minilm", "-n", 2, "--labelled", labelled)
    found = rows_of(answer(*line))
    assert {SORT_OF[row["text"]] for row in found} == {"cooking", "banking"}


def test_the_adapter_is_unsure_of_what_it_asks_for(
    pool: Path, store_dir: Path, answer: Any
) -> None:
    found = rows_of(answer("data", "suggest", pool, "--adapter", "desk", "-n", 2))
    assert list(found[0]) == ["id", "text", "predicted", "confidence", "uncertainty", "stands_for"]
    with open_platform() as platform:
        manifest = platform.resolve("desk").manifest
        probabilities = manifest.scheme.probabilities(platform.logits(ALL, "desk"))
        top = np.sort(probabilities, axis=1)
        unsure = 1 - (top[:, -1] - top[:, -2])
        for row in found:
            i = int(row["id"])
            prediction = platform.classify(row["text"], "desk")
            assert row["predicted"] == prediction.label
            assert float(row["confidence"]) == pytest.approx(prediction.confidence, abs=1e-4)
            assert float(row["uncertainty"]) == pytest.approx(unsure[i], abs=1e-4)
            assert (unsure > unsure[i]).sum() < 20
    assert float(found[0]["uncertainty"]) >= float(found[1]["uncertainty"])


@pytest.mark.parametrize("adapter", ["desk", None])
def test_no_text_twice_nor_one_that_is_labelled_nor_the_like(
    run: Run, tmp_path: Path, store_dir: Path, adapter: str | None
) -> None:
    near = "please tell me the forecast for the weekend"  # as good as a labelled one
    texts = [*ALL[:6], ALL[0].upper(), ALL[1] + " ?", ALL[2] + "s", near]
    labelled = table(tmp_path / "labelled.csv", [ALL[3], ALL[4]])
    asked = ["--adapter", adapter] if adapter else []
    pool = table(tmp_path / "pool.csv", texts)
    result = run("data", "suggest", pool, *asked, "--labelled", labelled)
    assert result.exit_code == 0, result.output
    assert sorted(row["text"] for row in rows_of(result.stdout)) == sorted(
        [ALL[0], ALL[1], ALL[2], ALL[5]]
    )
    assert "2 texts left out: labelled already" in result.stderr
    assert "2 texts left out: repeated" in result.stderr
    assert "1 text left out: all but the same as labelled ones" in result.stderr
    assert "1 text left out: all but the same as others" in result.stderr
    assert "4 texts of 10 to label" in result.stderr
    assert "fewer than 50" in result.stderr


def test_the_data_of_the_adapters_domain_is_labelled_unless_other_is_named(
    run: Run, pool: Path, tmp_path: Path, store_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "plugins" / "desk"
    folder.mkdir(parents=True)
    rows = [f"{text},{label}" for text, label in zip(ALL[:40], "ab" * 20, strict=True)]
    (folder / "desk.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    (folder / "domain.toml").write_text('name = "desk"\ndata = { train = "desk.csv" }\n')
    monkeypatch.setenv("PLATFORM_PLUGINS_DIR", str(folder.parent))
    found = rows_of(run("data", "suggest", pool, "--adapter", "desk").stdout)
    assert sorted(row["text"] for row in found) == sorted(ALL[40:])
    other = table(tmp_path / "other.csv", ALL[40:])
    found = rows_of(run("data", "suggest", pool, "--adapter", "desk", "--labelled", other).stdout)
    assert sorted(row["text"] for row in found) == sorted(ALL[:40])
    (folder / "desk.csv").write_text("")
    result = run("data", "suggest", pool, "--adapter", "desk", "-n", 3)
    assert result.exit_code == 0
    assert "the data of the domain 'desk' is not at hand" in result.stderr


def test_what_the_base_cannot_read_is_left_out(run: Run, tmp_path: Path) -> None:
    texts = [*ALL[:5], "Где мой заказ и когда он придёт?", "주문이 어디에 있나요"]
    result = run("data", "suggest", table(tmp_path / "pool.csv", texts), "--base", "minilm")
    assert sorted(row["text"] for row in rows_of(result.stdout)) == sorted(ALL[:5])
    assert "2 texts left out: the base 'minilm' cannot read them" in result.stderr


def test_the_rows_are_written_as_the_suffix_or_the_option_says(
    run: Run, pool: Path, tmp_path: Path
) -> None:
    line = ("data", "suggest", pool, "-n", 3)
    target = tmp_path / "next.jsonl"
    result = run(*line, "--output", target)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"written to {target}" in result.stderr
    lines = target.read_text(encoding="utf-8").splitlines()
    assert lines == run(*line, "--json").stdout.splitlines()
    assert list(json.loads(lines[0])) == ["id", "text", "stands_for"]
    run(*line, "--output", tmp_path / "next.tsv")
    assert (tmp_path / "next.tsv").read_text(encoding="utf-8").startswith("id\ttext\tstands_for\n")
    assert run(*line, "--quiet").stderr == ""


@pytest.mark.parametrize(("adapter", "parts"), [("tags", SORTS), ("topics", SORTS)])
def test_several_labels_and_paths_are_predicted_too(
    pool: Path, store_dir: Path, answer: Any, adapter: str, parts: Any
) -> None:
    found = rows_of(answer("data", "suggest", pool, "--adapter", adapter, "-n", 5))
    with open_platform() as platform:
        for row in found:
            prediction = platform.classify(row["text"], adapter)
            expected = (
                [prediction.label]
                if adapter == "topics"
                else [name for name, _ in prediction.labels]
            )
            assert row["predicted"] == "|".join(str(name) for name in expected)
    assert len(found) == 5


def test_lines_of_a_file_or_a_pipe_and_columns_of_another_name_are_texts(
    run: Run, tmp_path: Path
) -> None:
    lines = tmp_path / "pool.txt"
    lines.write_text("\n".join([*ALL[:6], ""]), encoding="utf-8")
    from_file = run("data", "suggest", lines, "-n", 2)
    assert from_file.stdout.startswith("text\tstands_for\n")
    piped = run("data", "suggest", "-", "-n", 2, stdin=lines.read_text(encoding="utf-8"))
    assert piped.stdout == from_file.stdout
    other = table(tmp_path / "other.csv", ALL[:6], "words")
    assert run("data", "suggest", other).exit_code == 1
    named = run("data", "suggest", other, "--text-column", "words", "-n", 2)
    assert [row["words"] for row in rows_of(named.stdout)] == [
        row["text"] for row in csv.DictReader(io.StringIO(from_file.stdout), delimiter="\t")
    ]


@pytest.mark.parametrize("named", [(), ("--text-column", "question")])
def test_the_column_of_the_text_is_found_though_the_first_line_lacks_it(
    run: Run, tmp_path: Path, named: tuple[str, ...]
) -> None:
    pool = tmp_path / "pool.jsonl"
    lines = [{"id": 1}, *({"id": 2, "question": text} for text in ALL[:3])]
    pool.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    result = run("data", "suggest", pool, *named)
    assert result.exit_code == 0, result.output
    found = [json.loads(line)["question"] for line in result.stdout.splitlines()]
    assert sorted(found) == sorted(ALL[:3])
    assert f"1 row without a text; the first: {pool}:1: the text is empty" in result.stderr


def test_a_table_may_come_through_a_pipe(spawn: Any, pool: Path) -> None:
    with subprocess.Popen(["cat", pool], stdout=subprocess.PIPE) as cat:
        done = spawn("data", "suggest", "csv:/dev/stdin", "-n", 2, stdin=cat.stdout)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["text"] in ALL for line in done.stdout.splitlines()] == [True] * 2


def test_rows_without_a_text_are_said(run: Run, tmp_path: Path) -> None:
    pool = table(tmp_path / "pool.csv", [*ALL[:3], ""])
    result = run("data", "suggest", pool)
    assert len(rows_of(result.stdout)) == 3
    assert f"1 row without a text; the first: {pool}:5: the text is empty" in result.stderr


def test_an_adapter_of_another_base_is_refused(
    run: Run, pool: Path, tmp_path: Path, store_dir: Path
) -> None:
    other = make_tiny_base(tmp_path / "other", seed=3)
    result = run("data", "suggest", pool, "--adapter", "desk", "--base", other)
    assert result.exit_code == 1
    assert "was trained on the base" in result.stderr


def test_the_adapters_base_may_lie_elsewhere(
    run: Run, pool: Path, tmp_path: Path, store_dir: Path, tiny_base: Path
) -> None:
    shutil.copytree(tiny_base, tmp_path / "moved")
    here = run("data", "suggest", pool, "--adapter", "desk", "-n", 3)
    moved = run("data", "suggest", pool, "--adapter", "desk", "-n", 3, "--base", tmp_path / "moved")
    assert moved.exit_code == here.exit_code == 0, moved.output
    assert moved.stdout == here.stdout
