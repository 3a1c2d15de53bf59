"""Bulk runs: stopped at any moment, the same command goes on and ends with the very same file."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter_platform.cli.rows import answering, partial
from adapter_platform.cli.rows.answering import Meanings, Question, Tally, answer_rows
from adapter_platform.cli.rows.reading import InputRow
from adapter_platform.core.store.store import Store

Run = Callable[..., Result]
Spawn = Callable[..., "subprocess.CompletedProcess[str]"]

STOPPED = Path(__file__).with_name("stopped.py")
ROWS = 700
LINE = ("-i", "in.csv", "-o", "out.csv", "--adapter-field", "who", "-k", "2")
SLOW = """
import sys, time
from adapter_platform.cli.rows import answering, partial
partial.SECONDS = 0.0
answering.CHUNK = 256
answer = answering.answer
def slow(*arguments):
    time.sleep(0.001)
    return answer(*arguments)
answering.answer = slow
from adapter_platform.cli.main import main
sys.argv = ["platform", *sys.argv[1:]]
main()
"""


@pytest.fixture
def place(tmp_path: Path, store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a file whose rows name three adapters, nobody, or lack a text."""
    directory = tmp_path / "place"
    directory.mkdir()
    monkeypatch.chdir(directory)
    write(directory / "in.csv", ROWS)
    return directory


def write(path: Path, rows: int, more: str = "") -> None:
    who = ("desk", "topics", "tags", "desk@1", "nobody", "")
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "text", "who"])
        for i in range(rows):
            text = "" if i % 97 == 5 else f'how is 数据 number {i}, "{i % 13}"\nof {"x" * (i % 40)}'
            table.writerow([i, text + more, who[i % 6]])


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks are small and each is made safe on the disk at once."""
    monkeypatch.setattr(partial, "SECONDS", 0.0)
    monkeypatch.setattr(answering, "CHUNK", 256)


@pytest.fixture
def whole(run: Run, place: Path, at_once: None) -> bytes:
    """What a run that nothing stops writes."""
    assert run("classify", *LINE[:2], "-o", "whole.csv", *LINE[4:]).exit_code == 0
    written = Path("whole.csv").read_bytes()
    Path("whole.csv").unlink()
    return written


def files(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def stop(monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException) -> None:
    """The command fails with `error` when it has answered so many rows."""
    answer, seen = answering.answer, iter(range(after))

    def stopping(*arguments: Any) -> dict[str, Any]:
        if next(seen, None) is None:
            raise error
        return answer(*arguments)

    monkeypatch.setattr(answering, "answer", stopping)


# --- adapters by row ------------------------------------------------------------------------------


def test_a_column_may_name_each_rows_adapter_and_a_bad_name_costs_its_row_alone(
    run: Run, place: Path
) -> None:
    result = run("classify", *LINE)
    assert result.exit_code == 0
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [str(i) for i in range(ROWS)]
    assert [(row["adapter"], row["version"]) for row in rows[:4]] == [
        ("desk", "2"),
        ("topics", "1"),
        ("tags", "1"),
        ("desk", "1"),
    ]
    assert rows[1]["label"] in ("data/cleaning", "data/quality", "chat")
    assert rows[4]["error"].startswith("in.csv:10: there is no adapter named 'nobody'")
    assert rows[4]["label"] == rows[4]["adapter"] == ""
    assert "the text is empty" in rows[102]["error"]
    assert "names no adapter" in rows[11]["error"]
    assert "'who' names no adapter" in rows[11]["error"]


def test_the_adapter_of_the_command_line_answers_where_the_column_is_empty(
    run: Run, place: Path
) -> None:
    run("classify", *LINE, "-a", "tags")
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["adapter"] for row in rows[11::6] if not row["error"]} == {"tags"}
    assert json.loads(rows[2]["labels"] or "[]") or rows[2]["label"] == ""


def test_rows_with_their_own_adapters_are_answered_as_in_python(run: Run, place: Path) -> None:
    from adapter_platform.plugins import open_platform

    run("classify", *LINE)
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["error"]]
    with open_platform() as platform:
        names = [f"{row['adapter']}@{row['version']}" for row in rows]
        expected = platform.classify([row["text"] for row in rows], names)
    for row, prediction in zip(rows, expected, strict=True):
        assert row["label"] == (prediction.label or "")
        assert float(row["confidence"]) == pytest.approx(prediction.confidence, abs=1e-5)


# --- stopped and gone on --------------------------------------------------------------------------


def test_killed_before_any_change_of_a_file_the_next_run_ends_with_the_same_bytes(
    place: Path, whole: bytes, tmp_path: Path
) -> None:
    line = [sys.executable, str(STOPPED), str(place), str(tmp_path / "out"), *LINE]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=300)
    moments = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    *killed, last = moments
    assert len(killed) > 12
    assert {status for _, *status in killed for status in status} == {-signal.SIGKILL, 0}
    assert last[1] == 0
    went_on = 0
    for number, *_ in moments:
        copy = tmp_path / "out" / str(number)
        assert (copy / "out.csv").read_bytes() == whole
        assert files(copy) == ["in.csv", "out.csv", "said.log"]
        went_on += "going on after them" in (copy / "said.log").read_text(encoding="utf-8")
    assert went_on > 4


def spawn_slowly(*words: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", SLOW, "classify", *words]
    return subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert path.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_signal_while_rows_are_written_loses_no_row_and_doubles_none(
    run: Run, place: Path, whole: bytes, number: signal.Signals
) -> None:
    with spawn_slowly(*LINE) as process:
        wait_for(place / ".out.csv.partial.json")
        process.send_signal(number)
        _, said = process.communicate()
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    if number == signal.SIGINT:
        assert said.splitlines()[-2].endswith("the same command goes on from it")
        assert said.endswith("interrupted\n")
    assert not Path("out.csv").exists()
    said = run("classify", *LINE).stderr
    assert re.search(r"an earlier run has answered (256|512) rows, going on after them", said)
    assert Path("out.csv").read_bytes() == whole
    assert files(place) == ["in.csv", "out.csv"]


def test_the_tally_at_the_end_counts_the_rows_of_both_runs(
    run: Run, place: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop(patch, 300, KeyboardInterrupt())
        assert run("classify", *LINE).exit_code == 130
    again = run("classify", *LINE).stderr
    Path("out.csv").unlink()
    assert again.splitlines()[1:] == run("classify", *LINE).stderr.splitlines()


@pytest.fixture
def half(run: Run, place: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was stopped after 256 rows were safe."""
    with monkeypatch.context() as patch:
        stop(patch, 300, KeyboardInterrupt())
        assert run("classify", *LINE).exit_code == 130
    assert files(place) == [".out.csv.partial", ".out.csv.partial.json", "in.csv"]


CHANGES: dict[str, Callable[[Path, Callable[..., Any]], tuple[str, ...]]] = {}


def changes(why: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def keep(change: Callable[..., Any]) -> Callable[..., Any]:
        CHANGES[why] = change
        return change

    return keep


@changes("the input has changed")
def other_input(store: Path, publish: Callable[..., Any]) -> tuple[str, ...]:
    write(Path("in.csv"), ROWS, more="!")
    return LINE


@changes("desk is another adapter now")
def other_version(store: Path, publish: Callable[..., Any]) -> tuple[str, ...]:
    publish(Store(store), "desk", seed=9)
    return LINE


@changes("nobody is another adapter now")
def other_nobody(store: Path, publish: Callable[..., Any]) -> tuple[str, ...]:
    publish(Store(store), "nobody", seed=9)
    return LINE


@changes("tags@1 is asked now")
def other_adapter(store: Path, publish: Callable[..., Any]) -> tuple[str, ...]:
    return (*LINE, "-a", "tags")


@changes("it was asked otherwise")
def other_options(store: Path, publish: Callable[..., Any]) -> tuple[str, ...]:
    return (*LINE[:-1], "1")


@pytest.mark.parametrize("why", CHANGES)
def test_rows_that_would_be_others_now_are_begun_anew_and_it_says_why(
    why: str,
    run: Run,
    half: None,
    store_dir: Path,
    publish_random: Callable[..., Any],
) -> None:
    line = CHANGES[why](store_dir, publish_random)
    result = run("classify", *line)
    assert result.exit_code == 0
    assert f"has answered 256 rows, but {why}: starting over" in result.stderr
    again = Path("out.csv").read_bytes()
    Path("out.csv").unlink()
    run("classify", *line)
    assert Path("out.csv").read_bytes() == again


def test_a_run_goes_on_in_quiet_when_it_shall_be_quiet(run: Run, half: None, whole: bytes) -> None:
    assert run("classify", *LINE, "-q").stderr == ""
    assert Path("out.csv").read_bytes() == whole


@pytest.mark.parametrize("journal", ["", "{", "[]", '{"format": 99}', '{"format": 1, "size": "x"}'])
def test_a_journal_that_cannot_be_read_is_begun_anew(
    run: Run, half: None, whole: bytes, journal: str
) -> None:
    Path(".out.csv.partial.json").write_text(journal, encoding="utf-8")
    assert run("classify", *LINE).exit_code == 0
    assert Path("out.csv").read_bytes() == whole


def test_rows_that_were_cut_short_are_begun_anew(run: Run, half: None, whole: bytes) -> None:
    os.truncate(".out.csv.partial", 10)
    assert run("classify", *LINE).exit_code == 0
    assert Path("out.csv").read_bytes() == whole


def test_what_fails_before_a_chunk_is_whole_leaves_nothing(
    run: Run, place: Path, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(monkeypatch, 100, KeyboardInterrupt())
    assert run("classify", *LINE).exit_code == 130
    assert files(place) == ["in.csv"]


def test_a_pipe_is_not_gone_on_with_as_nobody_knows_what_it_held(
    run: Run, place: Path, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(monkeypatch, 300, KeyboardInterrupt())
    lines = "".join(f"line {i}\n" for i in range(ROWS))
    assert run("classify", "-a", "desk", "-o", "out.csv", stdin=lines).exit_code == 130
    assert files(place) == ["in.csv"]


def test_a_disk_that_fills_up_is_said_and_the_rest_is_done_when_there_is_room(
    run: Run, place: Path, whole: bytes
) -> None:
    size = len(whole) * 4 // 5
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
    line = [sys.executable, "-B", "-c", limit + SLOW, "classify", *LINE]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: out.csv cannot be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("out.csv").exists()
    assert "going on after them" in run("classify", *LINE).stderr
    assert Path("out.csv").read_bytes() == whole
    assert files(place) == ["in.csv", "out.csv"]


def test_a_second_run_to_the_same_output_is_refused_and_the_first_ends_well(
    run: Run, place: Path, whole: bytes
) -> None:
    with spawn_slowly(*LINE) as process:
        wait_for(place / ".out.csv.partial.json")
        second = run("classify", *LINE)
        process.communicate()
    assert second.exit_code == 1
    assert "error: another run is writing out.csv" in second.stderr
    assert process.returncode == 0
    assert Path("out.csv").read_bytes() == whole
    assert files(place) == ["in.csv", "out.csv"]


def test_the_file_that_was_there_stays_until_the_new_one_is_whole(
    run: Run, place: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Path("out.csv")
    old.write_text("old", encoding="utf-8")
    old.chmod(0o640)
    with monkeypatch.context() as patch:
        stop(patch, 300, KeyboardInterrupt())
        run("classify", *LINE)
    assert old.read_text(encoding="utf-8") == "old"
    assert Path(".out.csv.partial").stat().st_mode & 0o777 == 0o600
    run("classify", *LINE)
    assert old.read_bytes() == whole
    assert old.stat().st_mode & 0o777 == 0o640


def test_json_lines_go_on_too(
    run: Run, place: Path, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("-i", "in.csv", "-o", "out.jsonl", "--adapter-field", "who")
    run("classify", *line)
    expected = Path("out.jsonl").read_bytes()
    with monkeypatch.context() as patch:
        stop(patch, 300, KeyboardInterrupt())
        run("classify", *line)
    assert "going on after them" in run("classify", *line).stderr
    assert Path("out.jsonl").read_bytes() == expected


# --- rows without a text --------------------------------------------------------------------------


def write_gap(path: Path, broken: str, before: int = 0) -> None:
    """`before` texts, a thousand rows that are `broken`, and ten texts."""
    texts = [f"{i},how is data number {i},desk\n" for i in range(before + 10)]
    lines = ["id,text,who\n", *texts[:before], *([broken] * 1000), *texts[before:]]
    path.write_text("".join(lines), encoding="utf-8")


@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("broken", ["7,,desk\n", "7,text,nobody\n", "a row of one cell\n"])
def test_rows_without_a_text_are_kept_while_no_text_follows(
    run: Run, place: Path, at_once: None, monkeypatch: pytest.MonkeyPatch, broken: str, before: int
) -> None:
    write_gap(Path("in.csv"), broken, before)
    assert run("classify", *LINE).exit_code == 0
    whole = Path("out.csv").read_bytes()
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        errors = [bool(row["error"]) for row in csv.DictReader(file)]
    assert errors == [False] * before + [True] * 1000 + [False] * 10
    Path("out.csv").unlink()
    with monkeypatch.context() as patch:
        stop(patch, before, KeyboardInterrupt())
        assert run("classify", *LINE).exit_code == 130
    assert "has answered 768 rows, going on after them" in run("classify", *LINE).stderr
    assert Path("out.csv").read_bytes() == whole


class Counts:
    """A writer that keeps nothing but how many rows it was given."""

    columns: list[str] | None = None

    def __init__(self) -> None:
        self.rows = 0

    def write(self, fields: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
        self.rows += 1

    def finish(self) -> None:
        pass


@pytest.mark.parametrize("first", ["a text", None])
def test_few_rows_are_held_however_many_have_no_text(
    place: Path, monkeypatch: pytest.MonkeyPatch, first: str | None
) -> None:
    from adapter_platform.plugins import open_platform

    monkeypatch.setattr(answering, "CHUNK", 64)
    writer, held, seen = Counts(), 0, []

    def rows() -> Iterator[InputRow]:
        nonlocal held
        for i in range(50_000):
            held = max(held, i - writer.rows)
            text = {0: first, 49_999: "the last"}.get(i)
            yield InputRow({"text": text}, text, "" if text else "no text")

    with open_platform() as platform:
        meanings = Meanings(platform)
        question = Question(*meanings.asked("desk"))
        for tally in answer_rows(platform, question, rows(), writer, meanings, Tally()):
            seen.append(tally.rows)
    assert held < 3 * 64
    assert seen == [*range(64, 50_000, 64), 50_000]
    assert (tally.answered, tally.failed) == ((2, 49_998) if first else (1, 49_999))


# --- how far it is --------------------------------------------------------------------------------


def test_elsewhere_than_on_a_terminal_a_line_now_and_then_says_how_far_it_is(
    run: Run, place: Path, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapter_platform.cli import progress

    monkeypatch.setattr(progress, "SECONDS", 0.0)
    said = run("classify", *LINE).stderr
    assert f"classified: 0 of {ROWS}\n" in said
    assert f" of {ROWS}, 1 s left\n" in said
    assert f"classified: {ROWS} of {ROWS}\n" in said
    piped = run("classify", "-a", "desk", "-o", "out.csv", stdin="x\n" * 600).stderr
    assert "classified: 512\n" in piped
    assert " of " not in piped
