"""Many texts: the rate of a file beside the engine's own, and what a long file takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter_platform.cli.bulk import Job, answer_all
from adapter_platform.cli.rows.answering import Meanings, Question
from adapter_platform.core.engine.encoder import building_quietly
from adapter_platform.core.platform import Platform
from adapter_platform.plugins.testing import make_tiny_base

from .. import peak_memory as peak_script
from ..bench import Bench, Options, WrongAnswer
from ..fixtures.stores import filled
from ..fixtures.texts import dealt, real_texts, tokenized
from ..measured import Measured
from ..row import DEFAULT, NotHere, Row
from ..timing import clocked, interleave

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adapter_platform.core.engine.protocol import Row as EngineRow

ADAPTERS = 4
SLICES, TEXTS = 10, 10_000
QUICK_SLICES, QUICK_TEXTS = 3, 768
LINES, QUICK_LINES = 100_000, 10_000
CHECKED = 64
PEAKS = 3


def file_rate(bench: Bench) -> Measured:
    """JSON lines in, JSON lines out, as ``platform classify --input FILE --output FILE`` goes about
    it, beside tokens in, logits out; slice by slice in turn.
    """
    quick = bench.options.quick
    slices, size = (QUICK_SLICES, QUICK_TEXTS) if quick else (SLICES, TEXTS)
    sources = bench.adapters(ADAPTERS)
    folder = bench.scratch / "bulk"
    store = filled(folder / "store", sources)
    settings = bench.settings.model_copy(update={"store": store.root})
    texts = real_texts(slices * size)
    limit = sources[0].manifest.max_length
    rows = dealt(tokenized(bench.base, texts, limit), sources)
    files = [
        _written(folder / f"{start}.jsonl", texts, rows, start, start + size)
        for start in range(0, len(texts), size)
    ]
    first = _written(folder / "first.jsonl", texts, rows, 0, CHECKED)
    with Platform(settings, bench.registry) as platform:
        _check(_answered(platform, first), rows, bench)
        mine = iter(files)
        theirs = iter([rows[start : start + size] for start in range(0, len(rows), size)])
        ours, engine = interleave(
            [
                clocked(lambda: _answer(platform, next(mine))),
                clocked(lambda: bench.engine.logits(next(theirs))),
            ],
            slices,
            warm_ups=0,
        )
    for number, file in enumerate(files):
        answers = _read(_target(file))
        if len(answers) != size:
            raise WrongAnswer(f"{len(answers)} of {size} texts are answered")
        at = [i * (size - 1) // (CHECKED - 1) for i in range(CHECKED)]
        _check([answers[i] for i in at], [rows[number * size + i] for i in at], bench)
    rate = len(texts) / sum(ours)
    note = f"{len(texts):,} texts over {ADAPTERS} adapters; ours {rate:.0f} a second"
    return Measured(ours, engine, note=note)


def _written(path: Path, texts: list[str], rows: list[EngineRow], start: int, end: int) -> Path:
    """A file of those texts, each with the name of its adapter."""
    with path.open("w", encoding="utf-8") as file:
        for text, row in zip(texts[start:end], rows[start:end], strict=True):
            line = {"text": text, "adapter": row.adapter.manifest.name}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return path


def _target(path: Path) -> Path:
    return path.with_name(f"{path.stem}-answered.jsonl")


def _answer(platform: Platform, path: Path) -> None:
    question = Question(None, "", adapter_field="adapter")
    job = Job(question, [], str(path), "text", _target(path), json=False, quiet=True)
    answer_all(platform, job, Meanings(platform))


def _answered(platform: Platform, path: Path) -> list[dict[str, Any]]:
    _answer(platform, path)
    return _read(_target(path))


def _read(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of answers; raises `WrongAnswer` where one has none."""
    with path.open(encoding="utf-8") as file:
        answers = [json.loads(line) for line in file]
    for answer in answers:
        if answer["error"] is not None:
            raise WrongAnswer(f"a text has no answer: {answer['error']}")
    return answers


def _check(answers: list[dict[str, Any]], rows: list[EngineRow], bench: Bench) -> None:
    """Raises `WrongAnswer` where an answer is not the engine's."""
    logits = bench.engine.logits(rows[: len(answers)])
    for answer, row, found in zip(answers, rows, logits, strict=False):
        manifest = row.adapter.manifest
        if answer["predicted_adapter"] != manifest.name:
            raise WrongAnswer(f"another than {manifest.name} has answered")
        if answer["label"] != manifest.scheme.classes[found.argmax()]:
            raise WrongAnswer("the file and the engine give different labels")


def peak_memory(bench: Bench) -> Measured:
    """``platform classify --input FILE --output FILE`` on a tiny base, whose own memory hides
    nothing.
    """
    if not sys.platform.startswith("linux"):
        raise NotHere("peak memory is counted as Linux does")
    short = QUICK_LINES if bench.options.quick else LINES
    folder = bench.scratch / "lines"
    with building_quietly():
        tiny = make_tiny_base(folder / "tiny")
    side = Bench(str(tiny), Options(threads=1, rounds=1), folder)
    filled(folder / "store", side.adapters(1))
    side.close()
    _peak(folder, short)  # the first run derives what later ones find in the cache
    pairs = [(_peak(folder, 10 * short), _peak(folder, short)) for _ in range(PEAKS)]
    note = f"{10 * short:,} lines over {short:,}, a tiny base"
    longer, shorter = zip(*pairs, strict=True)
    return Measured(list(longer), list(shorter), unit="bytes", note=note)


def _peak(folder: Path, lines: int) -> float:
    """Of the command on a file of so many lines, which must all have been answered."""
    source, target = folder / f"{lines}.txt", folder / f"{lines}.jsonl"
    with source.open("w", encoding="utf-8") as file:
        file.writelines(_lines(lines))
    command = ["-m", "adapter_platform.cli", "classify", "--quiet"]
    command += ["--adapter", "lora_0000", "--input", str(source), "--output", str(target)]
    environment = os.environ | {"PLATFORM_STORE": str(folder / "store"), "OMP_NUM_THREADS": "1"}
    found = peak([sys.executable, *command], env=environment, cwd=folder)
    with target.open(encoding="utf-8") as file:
        answered = sum(1 for _ in file)
    if answered != lines:
        raise WrongAnswer(f"{lines} lines have {answered} answers")
    source.unlink()
    target.unlink()
    return found


def peak(command: list[str], **options: Any) -> float:
    """Bytes that a process has had in memory at most; what it prints is lost."""
    line = [sys.executable, peak_script.__file__, *command]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True, **options)
    return float(done.stdout.split()[-1])


def _lines(count: int) -> Iterator[str]:
    return (f"line {number % 97} of {number % 89}\n" for number in range(count))


ROWS = (
    Row(
        "bulk-rate",
        "a file of real questions: rate",
        "the engine on tokens in memory",
        file_rate,
        "at least",
        0.85,
        0.95,
        DEFAULT,
    ),
    Row(
        "bulk-memory",
        "peak memory of a file ten times as long",
        "the shorter file",
        peak_memory,
        "at most",
        1.05,
        1.01,
        DEFAULT,
    ),
)
