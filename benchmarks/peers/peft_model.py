"""PEFT with many adapters in one model: switched by `set_adapter`, or named row by row."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from peft import PeftModel

from .batches import Heads, mean, named, pad

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from adapter_platform.core.engine.protocol import Row
    from adapter_platform.core.store.source import AdapterSource

    from ..bench import Bench
    from .batches import Answer


def loaded(encoder: Any, sources: Sequence[AdapterSource]) -> Any:
    """A `PeftModel` that holds the adapters, each under its name."""
    first, *others = sources
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PeftModel.from_pretrained(encoder, str(first.path), first.manifest.name)
        for source in others:
            model.load_adapter(str(source.path), source.manifest.name, low_cpu_mem_usage=True)
    return model.eval()


def shared(bench: Bench, sources: Sequence[AdapterSource]) -> Any:
    """The same, loaded once a base: it takes PEFT a while."""
    key = ("peft", *(source.content_hash for source in sources))
    return bench.keep(key, lambda: loaded(bench.encoder(), sources))


def grouped(bench: Bench, sources: Sequence[AdapterSource], rows: Sequence[Row]) -> Answer:
    """Each adapter's rows by themselves, switching in between.

    Args:
        sources: all adapters that are loaded.
    """
    model, heads = shared(bench, sources), Heads(sources)
    order = sorted(range(len(rows)), key=lambda i: (rows[i].adapter.path, len(rows[i].tokens)))
    groups = [
        (rows[picks[0]].adapter, [rows[i].tokens for i in picks])
        for _, group in groupby(order, key=lambda i: rows[i].adapter.path)
        if (picks := list(group))
    ]
    back = torch.tensor(order).argsort()

    def answer() -> NDArray[np.float32]:
        found = []
        with torch.inference_mode():
            for source, tokens in groups:
                model.set_adapter(source.manifest.name, inference_mode=True)
                ids, mask = pad(tokens, bench.base.pad_id)
                states = model(input_ids=ids, attention_mask=mask).last_hidden_state
                weight, bias = heads.of(source)
                found.append(torch.nn.functional.linear(mean(states, mask), weight, bias))
            return torch.cat(found)[back].numpy()

    return answer


def by_name(bench: Bench, sources: Sequence[AdapterSource], rows: Sequence[Row]) -> Answer:
    """All rows at once, each with its adapter's name in ``adapter_names``."""
    model, heads = shared(bench, sources), Heads(sources)
    order = sorted(range(len(rows)), key=lambda i: (rows[i].adapter.path, len(rows[i].tokens)))
    return named(model, heads, [rows[i] for i in order], order, bench.base.pad_id, "adapter_names")


def alone(
    bench: Bench, source: AdapterSource, tokens: Sequence[Sequence[int]], length: int | None
) -> Answer:
    """One adapter, loaded alone, on texts padded to `length` or to the longest."""
    model = shared(bench, [source])
    weight, bias = Heads([source]).of(source)

    def answer() -> NDArray[np.float32]:
        with torch.inference_mode():
            ids, mask = pad(tokens, bench.base.pad_id, length)
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
            return torch.nn.functional.linear(mean(states, mask), weight, bias).numpy()

    return answer
