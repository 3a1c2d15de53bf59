"""32 texts of 16 tokens over some of 64 adapters, beside those who mix adapters otherwise."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..fixtures.adapters import WITHOUT_ATTENTION_OUTPUT, Shape
from ..fixtures.texts import dealt, random_tokens
from ..measured import Measured
from ..peers.adapterhub import AdapterHub
from ..peers.floor import floor
from ..peers.merged_models import merged_models
from ..peers.peft_model import by_name, grouped
from ..peers.polylora_model import polylora
from ..row import Row
from ..timing import clocked

if TYPE_CHECKING:
    from adapter_platform.core.engine.protocol import Row as EngineRow
    from adapter_platform.core.store.source import AdapterSource

    from ..bench import Bench

TEXTS, LENGTH, LOADED = 32, 16, 64
WITHOUT = Shape(modules=WITHOUT_ATTENTION_OUTPUT)


def batch(bench: Bench, used: int) -> tuple[list[AdapterSource], list[EngineRow]]:
    """All adapters, and 32 texts over the first `used` of them. Ours has all of them loaded."""
    sources = bench.adapters(LOADED)
    tokens = random_tokens(bench.base, TEXTS, LENGTH)
    bench.engine.logits(dealt(tokens * (LOADED // TEXTS), sources))
    return sources, dealt(tokens, sources[:used])


def over_floor(used: int, bench: Bench) -> Measured:
    """The floor has one adapter, so its answers are compared where that is asked."""
    sources, rows = batch(bench, used)
    answer = floor(bench, sources[0], [row.tokens for row in rows])
    bench.check([row for row in rows if row.adapter is sources[0]], answer()[::used])
    engine = bench.engine
    return bench.compare(lambda: engine.logits(rows), answer)


def over_models(used: int, bench: Bench) -> Measured:
    _, rows = batch(bench, used)
    return bench.compare_answers(rows, merged_models(bench, rows))


def over_grouped(used: int, bench: Bench) -> Measured:
    sources, rows = batch(bench, used)
    return bench.compare_answers(rows, grouped(bench, sources, rows))


def over_names(used: int, bench: Bench) -> Measured:
    sources, rows = batch(bench, used)
    return bench.compare_answers(rows, by_name(bench, sources, rows))


def over_polylora(used: int, bench: Bench) -> Measured:
    sources, rows = batch(bench, used)
    return bench.compare_answers(rows, polylora(bench, sources, rows))


def over_adapterhub(used: int, bench: Bench) -> Measured:
    """Both without the adapters' part at the attention's output, where AdapterHub has none."""
    sources = bench.adapters(LOADED, WITHOUT)
    tokens = random_tokens(bench.base, TEXTS, LENGTH)
    rows = sorted(dealt(tokens, sources[:used]), key=lambda row: row.adapter.path)
    engine = bench.engine
    with AdapterHub(bench, sources, rows, WITHOUT.rank) as peer:
        bench.check(rows, peer.logits())
        return bench.compare_clocked(clocked(lambda: engine.logits(rows)), peer.seconds)


WHAT = "32 texts x 16 tokens over {} of 64 adapters"
FLOOR = {1: (1.15, 1.00), 8: (1.20, 1.08), 32: (1.35, 1.20)}
GROUPED = {8: (3.0, 5.0), 32: (10.0, 15.0)}
NAMES = {1: (1.4, 1.8), 8: (1.4, 1.8), 16: (1.4, 1.8), 32: (2.0, 2.5)}
OTHERS = {8: (1.25, 1.45), 32: (1.25, 1.45)}

ROWS = (
    *(
        Row(
            f"floor-{used}",
            f"{WHAT.format(used)}: time",
            "one merged transformers model",
            partial(over_floor, used),
            "at most",
            *bounds,
        )
        for used, bounds in FLOOR.items()
    ),
    *(
        Row(
            f"set-adapter-{used}",
            f"{WHAT.format(used)}: speed-up",
            "PEFT, grouped set_adapter",
            partial(over_grouped, used),
            "at least",
            *bounds,
        )
        for used, bounds in GROUPED.items()
    ),
    *(
        Row(
            f"adapter-names-{used}",
            f"{WHAT.format(used)}: speed-up",
            "PEFT, adapter_names=",
            partial(over_names, used),
            "at least",
            *bounds,
        )
        for used, bounds in NAMES.items()
    ),
    *(
        Row(
            f"polylora-{used}",
            f"{WHAT.format(used)}: speed-up",
            "PolyLoRA",
            partial(over_polylora, used),
            "at least",
            *bounds,
        )
        for used, bounds in OTHERS.items()
    ),
    *(
        Row(
            f"model-each-{used}",
            f"{WHAT.format(used)}: speed-up",
            "one merged model an adapter",
            partial(over_models, used),
            "at least",
            None,
        )
        for used in (8, 32)
    ),
    *(
        Row(
            f"adapterhub-{used}",
            f"{WHAT.format(used)}: speed-up",
            "AdapterHub, BatchSplit",
            partial(over_adapterhub, used),
            "at least",
            *bounds,
        )
        for used, bounds in OTHERS.items()
    ),
)
