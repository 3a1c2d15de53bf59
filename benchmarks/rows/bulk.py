"""Many texts: the rate of a stream beside the engine's own, and what a long file takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter_platform.core.engine.encoder import building_quietly
from adapter_platform.core.platform import Platform
from adapter_platform.plugins.testing import make_tiny_base

from .. import peak_memory as peak_script
from ..bench import Bench, Options, WrongAnswer
from ..fixtures.stores import filled
from ..fixtures.texts import dealt, real_texts, tokenized
from ..row import DEFAULT, Measured, NotHere, Row
from ..timing import clocked, interleave

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adapter_platform.core.engine.protocol import Row as EngineRow
    from adapter_platform.core.predictions import Prediction

ADAPTERS = 4
SLICES, TEXTS = 10, 10_000
QUICK_SLICES, QUICK_TEXTS = 3, 768
LINES, QUICK_LINES = 100_000, 10_000
CHECKED = 64
PEAKS = 3


def stream_rate(bench: Bench) -> Measured:
    """Texts in, predictions out, beside tokens in, logits out; slice by slice in turn."""
    quick = bench.options.quick
    slices, size = (QUICK_SLICES, QUICK_TEXTS) if quick else (SLICES, TEXTS)
    sources = bench.adapters(ADAPTERS)
    store = filled(bench.scratch / "bulk", sources)
    settings = bench.settings.model_copy(update={"store": store.root})
    names = [source.manifest.name for source in sources]
    texts = real_texts(slices * size)
    limit = sources[0].manifest.max_length
    rows = dealt(tokenized(bench.base, texts, limit), sources)
    pairs = [(text, names[i % ADAPTERS]) for i, text in enumerate(texts)]
    with Platform(settings, bench.registry) as platform:
        _check(list(platform.classify_stream(pairs[:CHECKED])), rows, bench)
        parts = [slice(start, start + size) for start in range(0, len(texts), size)]
        mine, theirs = iter(parts), iter(parts)

        def ours() -> None:
            for _ in platform.classify_stream(pairs[next(mine)]):
                pass

        def engines() -> None:
            bench.engine.logits(rows[next(theirs)])

        stream, engine = interleave([clocked(ours), clocked(engines)], slices, warm_ups=0)
    rate = len(texts) / sum(stream)
    note = f"{len(texts):,} texts over {ADAPTERS} adapters; ours {rate:.0f} a second"
    return Measured(stream, engine, note=note)


def _check(answers: list[Prediction], rows: list[EngineRow], bench: Bench) -> None:
    logits = bench.engine.logits(rows[: len(answers)])
    for answer, row, found in zip(answers, rows, logits, strict=False):
        if answer.label != row.adapter.manifest.scheme.classes[found.argmax()]:
            raise WrongAnswer("the stream and the engine give different labels")


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
        "a stream of real questions: rate",
        "the engine on tokens in memory",
        stream_rate,
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
