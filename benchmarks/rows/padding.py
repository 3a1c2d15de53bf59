"""One adapter on questions of real lengths, beside PEFT on padded batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..fixtures.texts import dealt, real_texts, tokenized
from ..measured import Measured
from ..peers.floor import floor
from ..peers.peft_model import alone
from ..row import Row

if TYPE_CHECKING:
    from ..bench import Bench

TEXTS, MIXED, LONGEST = 32, 8, 128


def over_padded(bench: Bench) -> Measured:
    """As classifiers do that ask their tokenizer for ``padding="max_length"``."""
    return _measure(bench, min(LONGEST, bench.base.max_positions))


def over_dynamic(bench: Bench) -> Measured:
    return _measure(bench, None)


def _measure(bench: Bench, length: int | None) -> Measured:
    (source,) = bench.adapters(1)
    limit = min(LONGEST, bench.base.max_positions)
    tokens = tokenized(bench.base, real_texts(TEXTS), limit)
    mean = sum(map(len, tokens)) / len(tokens)
    note = f"{TEXTS} texts, {mean:.0f} tokens on average, {max(map(len, tokens))} at most"
    peer = alone(bench, source, tokens, length)
    return bench.compare_answers(dealt(tokens, [source]), peer, note=note)


def over_merged(bench: Bench) -> Measured:
    """Eight adapters beside a merged model of one, which pays for padding alone."""
    limit = min(LONGEST, bench.base.max_positions)
    tokens = tokenized(bench.base, real_texts(TEXTS), limit)
    sources = bench.adapters(MIXED)
    rows = dealt(tokens, sources)
    answer = floor(bench, sources[0], tokens)
    bench.check(rows[::MIXED], answer()[::MIXED])
    engine = bench.engine
    return bench.compare(lambda: engine.logits(rows), answer)


TITLE = "questions of real lengths, one adapter: speed-up"

ROWS = (
    Row(
        "floor-real",
        f"{TEXTS} questions of real lengths over {MIXED} adapters: time",
        "one merged transformers model",
        over_merged,
        "at most",
        None,
    ),
    Row("padded-128", TITLE, "PEFT, padded to 128", over_padded, "at least", 5.0, 8.0),
    Row(
        "dynamic-padding", TITLE, "PEFT, padded to the longest", over_dynamic, "at least", 1.5, 2.0
    ),
)
