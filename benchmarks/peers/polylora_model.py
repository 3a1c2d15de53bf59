"""PolyLoRA (``pip install polylora``): linear layers that look up each row's adapter.

Its kernels are for CUDA; on a CPU it runs its reference, row after row.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ..row import NotHere
from .batches import Heads, named

if TYPE_CHECKING:
    from adapter_platform.core.engine.protocol import Row
    from adapter_platform.core.store.source import AdapterSource

    from ..bench import Bench
    from .batches import Answer

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


def polylora(bench: Bench, sources: Sequence[AdapterSource], rows: Sequence[Row]) -> Answer:
    """All rows at once, each with its adapter's name. Raises `NotHere`."""
    key = ("polylora", *(source.content_hash for source in sources))
    model, heads = bench.keep(key, lambda: loaded(bench, sources)), Heads(sources)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].tokens))
    return named(model, heads, [rows[i] for i in order], order, bench.base.pad_id, "adapter_ids")
