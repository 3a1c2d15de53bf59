"""The settings reach the engines: how many adapters they hold, how much they run at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from adapter_platform.core.bases import Base
from adapter_platform.core.engine.choice import ColdStart, Engines
from adapter_platform.core.engine.protocol import Row
from adapter_platform.core.registry import NullListener
from adapter_platform.core.settings import Settings
from adapter_platform.core.store.manifest import Manifest
from adapter_platform.core.store.source import AdapterSource


class Hears(NullListener):
    def __init__(self) -> None:
        self.loaded: list[str] = []

    def after_adapter_loaded(self, manifest: Manifest, engine: str) -> None:
        self.loaded.append(f"{manifest.name} by {engine}")


@pytest.fixture
def loads(
    tiny: Base, tiny_base: Path, make_adapter_dir: Callable[..., AdapterSource]
) -> Iterator[Callable[..., list[str]]]:
    """``loads("aba", "packed", threads=2)``: what is loaded while these adapters answer in turn."""
    adapters = {name: make_adapter_dir(tiny_base, name) for name in "ab"}
    opened: list[Engines] = []

    def run(names: Sequence[str], engine: str, **settings: Any) -> list[str]:
        hears = Hears()
        engines = Engines(tiny, Settings(**{"threads": 1, **settings}), hears, ColdStart(0))
        opened.append(engines)
        for name in names:
            engines.answers([Row((2, 20, 3), adapters[name])], engine)
        return hears.loaded

    yield run
    for engines in opened:
        engines.close()


def test_peft_resident_is_how_many_adapters_a_peft_model_holds(
    loads: Callable[..., list[str]],
) -> None:
    a, b = "a by peft", "b by peft"
    assert loads("abab", "peft", peft_resident=1) == [a, b, a, b]
    assert loads("abab", "peft", peft_resident=2) == [a, b]


def test_adapter_megabytes_is_how_much_the_packed_engine_holds(
    loads: Callable[..., list[str]],
) -> None:
    a, b = "a by packed", "b by packed"
    assert loads("abab", "packed", adapter_megabytes=0) == [a, b, a, b]
    assert loads("abab", "packed", adapter_megabytes=1) == [a, b]


@pytest.mark.parametrize("engine", ["packed", "peft"])
def test_threads_are_torchs_for_a_forward_pass(
    loads: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    before = torch.get_num_threads()
    chosen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    for setting, threads in ((before + 1, before + 1), (0, before)):
        chosen.clear()
        loads("a", engine, threads=setting)
        assert chosen[0] == threads
