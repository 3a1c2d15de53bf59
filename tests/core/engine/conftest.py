"""Engines of every kind over the tiny base, and what plain PEFT says of the same texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from peft import PeftModel

from adapter_platform.core.bases import Base
from adapter_platform.core.engine.encoder import load_encoder, pad, pooled
from adapter_platform.core.engine.lora import LoraReader
from adapter_platform.core.engine.numpy_engine import NumpyEngine
from adapter_platform.core.engine.packed import PackedEngine
from adapter_platform.core.engine.peft import PeftEngine
from adapter_platform.core.engine.protocol import Engine, Row
from adapter_platform.core.heads import Head
from adapter_platform.core.registry import NullListener
from adapter_platform.core.store.manifest import Manifest
from adapter_platform.core.store.source import AdapterSource

Kind = Literal["packed", "numpy", "peft"]
MakeAdapter = Callable[..., AdapterSource]
MakeEngine = Callable[..., Engine]
CPU = torch.device("cpu")
ADAPTER = 15_500  # bytes of one of rank 4 on the tiny base, rounded up


class Hears(NullListener):
    """Remembers what was loaded, and may do something about it."""

    def __init__(self, then: Callable[[], object] | None = None) -> None:
        self.loaded: list[str] = []
        self.then = then

    def after_adapter_loaded(self, manifest: Manifest, engine: str) -> None:
        self.loaded.append(f"{manifest.reference} on {engine}")
        if self.then:
            self.then()


def make_packed(base: Base, listener: Any = None, **options: Any) -> PackedEngine:
    usual = {"device": CPU, "room": 16 * ADAPTER, "batch_tokens": 256, "threads": 1}
    return PackedEngine(
        LoraReader(base), listener=listener or NullListener(), **{**usual, **options}
    )


def make_numpy(
    base: Base, listener: Any = None, room: int = 16 * ADAPTER, batch_tokens: int = 256
) -> NumpyEngine:
    return NumpyEngine(LoraReader(base), listener or NullListener(), room, batch_tokens)


def make_peft(base: Base, listener: Any = None, resident: int = 16) -> PeftEngine:
    return PeftEngine(base, CPU, listener or NullListener(), resident, 256, threads=1)


MAKE_LORA: dict[str, MakeEngine] = {"packed": make_packed, "numpy": make_numpy}


@pytest.fixture(params=["packed", "numpy", "peft"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param  # type: ignore[no-any-return]  # pytest's own is untyped


@pytest.fixture
def make_engine(kind: Kind) -> Iterator[MakeEngine]:
    """``make_engine(base, listener, held)``: `held` is how many adapters may stay, about."""
    made: list[Engine] = []

    def make(base: Base, listener: Any = None, held: int = 16) -> Engine:
        if kind == "peft":
            made.append(make_peft(base, listener, held))
        else:
            made.append(MAKE_LORA[kind](base, listener, room=held * ADAPTER))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def engine(make_engine: MakeEngine, tiny: Base) -> Engine:
    return make_engine(tiny)


def texts(count: int, seed: int = 0) -> list[tuple[int, ...]]:
    """Token rows of many lengths, as the tiny tokenizer makes them: [CLS] ... [SEP]."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 30, count)
    return [(2, *(int(t) for t in random.integers(5, 150, n)), 3) for n in lengths]


def ask(engine: Engine, source: AdapterSource, rows: Sequence[tuple[int, ...]]) -> np.ndarray:
    return np.stack(engine.logits([Row(row, source) for row in rows]))


def plain(
    base: Base, source: AdapterSource, rows: Sequence[tuple[int, ...]], dtype: Any = torch.float32
) -> np.ndarray:
    """What PEFT says by itself: the adapter alone on a base of its own, the texts padded."""
    head = Head.load(source.path)
    weight, bias = (torch.from_numpy(x).to(dtype) for x in (head.weight, head.bias))
    states = torch.from_numpy(plain_pooled(base, source, rows, dtype)).to(dtype)
    return (states @ weight.T + bias).double().numpy()


def plain_pooled(
    base: Base, source: AdapterSource, rows: Sequence[tuple[int, ...]], dtype: Any = torch.float32
) -> np.ndarray:
    """The states that the head reads, likewise."""
    model = PeftModel.from_pretrained(load_encoder(base, CPU), str(source.path)).eval().to(dtype)
    ids, mask = pad(rows, base.pad_id, CPU)
    with torch.no_grad():
        return pooled(model, ids, mask, Head.load(source.path).pooling).double().numpy()


def republish(source: AdapterSource, **changes: Any) -> AdapterSource:
    """The adapter after its files were changed on purpose: the manifest agrees with them."""
    manifest = replace(source.manifest, **changes).write(source.path)
    return AdapterSource(source.path, manifest, manifest.content_hash)


def edit_config(source: AdapterSource, **changes: Any) -> AdapterSource:
    path = source.path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return republish(source)
