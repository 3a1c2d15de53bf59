"""What listeners cost that listen to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from adapter_platform.core.platform import Platform
from adapter_platform.core.predictions import Prediction
from adapter_platform.plugins.hookspecs import hookimpl
from adapter_platform.plugins.manager import load_plugins

from ..fixtures.stores import filled
from ..fixtures.texts import real_texts
from ..measured import Measured
from ..row import DEFAULT, Row
from ..timing import clocked, interleave

if TYPE_CHECKING:
    from adapter_platform.core.registry import Listener

    from ..bench import Bench

TEXTS = 32


class Bystander:
    """A plugin that hears every batch and does nothing."""

    @hookimpl
    def on_predictions(self, predictions: Sequence[Prediction]) -> None:
        """Nothing."""


def listened(count: int, bench: Bench) -> Measured:
    """32 questions through `Platform.classify`, with `count` hooks and without any listener."""
    (source,) = bench.adapters(1)
    store = bench.keep("hooks", lambda: filled(bench.scratch / "hooks", [source]))
    settings = bench.settings.model_copy(update={"store": store.root})
    plugins = load_plugins(settings, {f"bystander{i}": Bystander() for i in range(count)})
    texts = real_texts(TEXTS)

    def opened(listener: Listener | None) -> Platform:
        return Platform(settings, bench.registry, listener)

    with opened(plugins.listener) as ours, opened(None) as peer:
        sides = [clocked(partial(p.classify, texts, source.manifest.name)) for p in (ours, peer)]
        mine, theirs = interleave(sides, 4 * bench.options.rounds)
    return Measured(mine, theirs, note=f"{TEXTS} texts through Platform.classify")


ROWS = tuple(
    Row(
        f"hooks-{count}",
        f"{count} no-op hooks: time",
        "no listener",
        partial(listened, count),
        "at most",
        must,
        None,
        DEFAULT,
    )
    for count, must in ((0, 1.02), (5, 1.10))
)
