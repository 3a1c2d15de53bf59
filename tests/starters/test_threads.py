"""The four shipped adapters on the embedded base, asked by many threads at once."""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adapter_platform.plugins import domains, open_platform

ROOT = Path(domains.__file__).parent
NAMES = ("data_eng", "support", "feedback", "question_type")
THREADS, CALLS = 16, 200
TEXTS_AN_ADAPTER = 25


def short_texts(name: str) -> list[str]:
    with (ROOT / name / "test.csv").open(encoding="utf-8", newline="") as handle:
        texts = [row["text"] for row in csv.DictReader(handle)]
    return sorted(texts, key=len)[:TEXTS_AN_ADAPTER]


def test_sixteen_threads_of_two_hundred_calls_get_the_answers_of_one_thread(
    embedded_cache: Path, tmp_path: Path
) -> None:
    asked = [(text, name) for name in NAMES for text in short_texts(name)]
    wrong: list[str] = []
    with open_platform(cache=embedded_cache, store=tmp_path / "store") as platform:
        expected = {key: platform.classify(*key) for key in asked}

        def call(thread: int) -> int:
            for i in range(CALLS):
                key = asked[(thread * 37 + i * 29) % len(asked)]
                answer, right = platform.classify(*key), expected[key]
                off = max(abs(p - right.probabilities[n]) for n, p in answer.probabilities.items())
                if answer.label != right.label or off > 1e-5:
                    wrong.append(f"{key}: {answer.label}, off by {off}")
            return CALLS

        with ThreadPoolExecutor(THREADS) as pool:
            done = sum(pool.map(call, range(THREADS)))
    assert (done, wrong) == (THREADS * CALLS, [])
