"""PolyLoRA (``pip install polylora``): linear layers that look up each row's adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

from ..row import NotHere
from .batches import Heads, mean, pad

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from adapter_platform.core.engine.protocol import Row
    from adapter_platform.core.store.source import AdapterSource

    from ..bench import Bench

HOW = "pip install --no-deps polylora==0.1.1 (its triton is for CUDA)"


def loaded(bench: Bench, sources: Sequence[AdapterSource]) -> Any:
    """The base with all adapters in its fast cache. Raises `NotHere`."""
    if find_spec("polylora") is None:
        raise NotHere(HOW)
    from polylora import PolyLoraConfig, PolyLoraModel

    targets = ["query", "key", "value", "dense"]
    config = PolyLoraConfig(max_gpu_adapters=len(sources), max_rank=8, target_modules=targets)
    model = PolyLoraModel(bench.encoder(), config).eval()
    for source in sources:
        model.load_adapter_from_disk(source.manifest.name, str(source.path))
    return model


def polylora(
    bench: Bench, sources: Sequence[AdapterSource], rows: Sequence[Row]
) -> Callable[[], NDArray[np.float32]]:
    """All rows at once, each with its adapter's name. Raises `NotHere`."""
    key = ("polylora", *(source.content_hash for source in sources))
    model, heads = bench.keep(key, lambda: loaded(bench, sources)), Heads(sources)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].tokens))
    names = [rows[i].adapter.manifest.name for i in order]
    tokens = [rows[i].tokens for i in order]
    places = heads.places([rows[i].adapter for i in order])
    back = torch.tensor(order).argsort()

    def answer() -> NDArray[np.float32]:
        with torch.inference_mode():
            ids, mask = pad(tokens, bench.base.pad_id)
            output = model(input_ids=ids, attention_mask=mask, adapter_ids=names)
            return heads.logits(mean(output.last_hidden_state, mask), places)[back].numpy()

    return answer
