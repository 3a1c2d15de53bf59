"""One adapter on questions of real lengths, beside PEFT on padded batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..fixtures.texts import dealt, real_texts, tokenized
from ..peers.peft_model import alone
from ..row import Measured, Row

if TYPE_CHECKING:
    from ..bench import Bench

TEXTS, LONGEST = 32, 128


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


TITLE = "questions of real lengths, one adapter: speed-up"

ROWS = (
    Row("padded-128", TITLE, "PEFT, padded to 128", over_padded, "at least", 5.0, 8.0),
    Row(
        "dynamic-padding", TITLE, "PEFT, padded to the longest", over_dynamic, "at least", 1.5, 2.0
    ),
)
