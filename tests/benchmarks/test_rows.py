"""Rows measure what they say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bench import Bench, WrongAnswer
from benchmarks.rows import bulk
from benchmarks.rows.bulk import file_rate, peak
from benchmarks.rows.loading import load_last
from benchmarks.rows.memory import growth

MEGABYTE = 1_000_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counted as Linux does")
def test_a_peak_is_the_commands_own_and_not_of_whoever_measures_it() -> None:
    here = bytearray(200 * MEGABYTE)
    idle, busy = (
        peak([sys.executable, "-c", code]) for code in ("", f"x = b'1' * {100 * MEGABYTE}")
    )
    assert idle < 60 * MEGABYTE < len(here)
    assert busy - idle > 80 * MEGABYTE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="read from /proc")
def test_memory_grows_by_what_adapters_take_at_least(bench: Bench) -> None:
    found = growth(bench)
    assert found.ours[0] > 0.9 * found.peers[0] > 0


def test_the_last_of_a_thousand_and_the_tenth_are_loaded_in_turn(bench: Bench) -> None:
    found = load_last(bench)
    assert len(found.ours) == len(found.peers) == 10 * bench.options.rounds
    assert "1,000" in found.note


def test_files_are_answered_beside_the_engine_slice_by_slice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "QUICK_TEXTS", bulk.CHECKED + 6)
    found = file_rate(bench)
    assert len(found.ours) == len(found.peers) == bulk.QUICK_SLICES
    assert min(found.ours + found.peers) > 0
    assert "210 texts over 4 adapters" in found.note
    answered = sorted((bench.scratch / "bulk").glob("*-answered.jsonl"))
    assert sum(len(file.read_text().splitlines()) for file in answered) == 210 + bulk.CHECKED


def test_an_answer_of_a_file_that_is_not_the_engines_fails_the_row(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "QUICK_TEXTS", bulk.CHECKED)
    logits = bench.engine.logits
    monkeypatch.setattr(bench.engine, "logits", lambda rows: [-row for row in logits(rows)])
    with pytest.raises(WrongAnswer, match="different labels"):
        file_rate(bench)


def test_a_text_of_a_file_without_an_answer_fails_the_row(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "QUICK_TEXTS", bulk.CHECKED + 6)
    texts = bulk.real_texts
    monkeypatch.setattr(bulk, "real_texts", lambda count: [*texts(count)[:-3], " ", "a", "b"])
    with pytest.raises(WrongAnswer, match=r"has no answer: .*the text is empty"):
        file_rate(bench)


def test_answers_are_compared_to_the_end_of_a_file(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "QUICK_TEXTS", bulk.CHECKED + 6)
    read = bulk._read

    def last_is_wrong(path: Path) -> list[dict[str, Any]]:
        answers = read(path)
        if len(answers) > bulk.CHECKED:
            answers[-1]["label"] = "none of them"
        return answers

    monkeypatch.setattr(bulk, "_read", last_is_wrong)
    with pytest.raises(WrongAnswer, match="different labels"):
        file_rate(bench)
