"""Loading adapters, and what it costs to have many."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from peft import PeftModel

from adapter_platform.core.engine.bert import read_bert
from adapter_platform.core.engine.lora import read_lora
from adapter_platform.core.engine.protocol import Row as EngineRow
from adapter_platform.core.engine.resident import Residents
from adapter_platform.core.engine.torch_weights import TorchLora

from ..bench import CPU, ROOM, check_alike
from ..fixtures.adapters import QUERY_VALUE, Shape, renamed
from ..fixtures.texts import dealt, random_tokens
from ..measured import Measured
from ..row import BOTH, DEFAULT, Row
from ..timing import Clocked, clocked, interleave

if TYPE_CHECKING:
    from adapter_platform.core.store.source import AdapterSource

    from ..bench import Bench, FloatArray

LOADS, QUICK_LOADS = 200, 30
MANY, QUICK_MANY = 10_000, 1_000
SMALL = Shape(rank=1, modules=QUERY_VALUE)
FILES = 64
TEXTS, LENGTH, USED = 32, 16, 8
REQUESTS = 2


def residents(bench: Bench) -> Residents[TorchLora]:
    """Adapters read, checked and kept as the packed engine does."""
    bert = read_bert(bench.base)
    return Residents(lambda source: TorchLora.of(read_lora(source, bert), CPU), ROOM)


def load_many(bench: Bench) -> Measured:
    """Ours and PEFT's in turn, adapter by adapter; the figure is the sum."""
    count = QUICK_LOADS if bench.options.quick else LOADS
    sources = bench.adapters(count)
    ours, encoder = residents(bench), bench.encoder()
    mine = theirs = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PeftModel.from_pretrained(encoder, str(sources[0].path), sources[0].manifest.name)
        ours.get(sources[0])
        for source in sources[1:]:
            mine += clocked(partial(ours.get, source))()
            theirs += clocked(partial(_load_into, model, source))()
    note = f"the sum of {count} loads, once"
    return Measured([mine], [theirs], judged=not bench.options.quick, note=note)


def _load_into(model: PeftModel, source: AdapterSource) -> None:
    model.load_adapter(str(source.path), source.manifest.name, low_cpu_mem_usage=True)


def load_last(bench: Bench) -> Measured:
    """One more adapter beside very many, and beside nine: read, hashed, kept, and dropped again."""
    count = QUICK_MANY if bench.options.quick else MANY
    sources = bench.adapters(FILES, SMALL)
    few, many = residents(bench), residents(bench)
    for source in renamed(sources, 9):
        few.get(source)
    *others, last = renamed(sources, count)
    for source in others:
        many.get(source)
    sides = [_one_more(many, last), _one_more(few, last)]
    mine, theirs = interleave(sides, 10 * bench.options.rounds)
    note = f"{count:,} small adapters over {FILES} files; the last and the 10th in turn"
    return Measured(mine, theirs, note=note)


def _one_more(held: Residents[TorchLora], source: AdapterSource) -> Clocked:
    load = clocked(partial(held.get, source))

    def seconds() -> float:
        took = load()
        held.forget(source.content_hash)
        return took

    return seconds


def many_loaded(bench: Bench) -> Measured:
    """The same batch by an engine with a thousand adapters in memory, and by one with ten."""
    sources = bench.adapters(FILES)
    few, many = bench.new_engine(), bench.new_engine()
    (start,) = random_tokens(bench.base, 1, 2)
    thousand = list(renamed(sources, 1000))
    for engine, held in ((many, thousand), (few, thousand[:10])):
        engine.logits([EngineRow(start, source) for source in held])
    rows = dealt(random_tokens(bench.base, TEXTS, LENGTH), thousand[:USED])
    _same(many.logits(rows), few.logits(rows))
    ours, peer = partial(many.logits, rows), partial(few.logits, rows)
    return bench.compare(ours, peer, note=f"{TEXTS} texts over {USED}")


def evicting(bench: Bench) -> Measured:
    """Adapters drawn at random from four times as many as have room, and all with room."""
    sources = bench.adapters(FILES)
    ours = residents(bench)
    size = ours.get(sources[0])[0].nbytes
    cramped, roomy = bench.new_engine(room=size * FILES // 4), bench.new_engine()
    tokens = random_tokens(bench.base, TEXTS, LENGTH)
    roomy.logits(dealt(tokens * (FILES // TEXTS), sources))
    draws = [_requests(sources, seed, tokens) for seed in range(bench.options.rounds + 2)]
    _same(cramped.logits(draws[0][0]), roomy.logits(draws[0][0]))
    sides = [clocked(_each(engine.logits, draws)) for engine in (cramped, roomy)]
    mine, theirs = interleave(sides, bench.options.rounds)
    note = f"requests of {TEXTS} texts over {USED} adapters drawn from {FILES}, room for a quarter"
    return Measured(mine, theirs, note=note)


def _requests(
    sources: list[AdapterSource], seed: int, tokens: list[tuple[int, ...]]
) -> list[list[EngineRow]]:
    dice = random.Random(seed)
    return [dealt(tokens, dice.sample(sources, USED)) for _ in range(REQUESTS)]


def _each(
    answer: Callable[[list[EngineRow]], object], draws: list[list[list[EngineRow]]]
) -> Callable[[], None]:
    """A call that answers the next draw's requests, each time another draw's."""
    left = iter(draws)

    def call() -> None:
        for request in next(left):
            answer(request)

    return call


def _same(ours: Sequence[FloatArray], others: Sequence[FloatArray]) -> None:
    check_alike(np.stack(ours), np.stack(others))


ROWS = (
    Row(
        "load-200",
        "load 200 adapters: speed-up",
        "PEFT, load_adapter",
        load_many,
        "at least",
        50.0,
        120.0,
        BOTH,
    ),
    Row(
        "load-10000th",
        "load the 10,000th adapter: time",
        "the 10th",
        load_last,
        "at most",
        1.2,
        1.05,
        DEFAULT,
    ),
    Row(
        "loaded-1000",
        "a batch with 1,000 adapters loaded: time",
        "10 loaded",
        many_loaded,
        "at most",
        1.10,
        1.03,
        DEFAULT,
    ),
    Row(
        "lru-4x",
        "a working set of 4 times the room: time",
        "all in memory",
        evicting,
        "at most",
        2.0,
        1.3,
        DEFAULT,
    ),
)
