"""Adapters in memory: loaded once, forgotten on request, and nobody's Ctrl-C but one's own."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapter_platform.core.engine.resident import Residents
from adapter_platform.core.errors import PlatformError
from adapter_platform.core.store.source import AdapterSource

from .conftest import MakeAdapter


@dataclass(frozen=True)
class Loaded:
    nbytes: int = 10


def test_an_adapter_that_is_forgotten_is_loaded_anew_and_has_given_its_room_back(
    tiny_base: Path, make_adapter_dir: MakeAdapter
) -> None:
    one, other = make_adapter_dir(tiny_base, "one"), make_adapter_dir(tiny_base, "other")
    held: Residents[Loaded] = Residents(lambda _: Loaded(), room=10)
    assert held.get(one)[1]
    assert not held.get(one)[1]
    held.forget(one.content_hash)
    held.forget(one.content_hash)  # what is not held is forgotten already
    assert held.get(other)[1]
    assert not held.get(other)[1], "the first one's bytes are not counted any more"
    assert held.get(one)[1]
    assert held.get(other)[1], "there is room for one"


def test_a_callers_interrupt_is_not_another_callers(
    tiny_base: Path, make_adapter_dir: MakeAdapter
) -> None:
    source = make_adapter_dir(tiny_base)
    loading, interrupted = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def load(_: AdapterSource) -> Loaded:
        loading.set()
        interrupted.wait(10)
        raise KeyboardInterrupt

    held: Residents[Loaded] = Residents(load, room=10)

    def ask() -> None:
        try:
            held.get(source)
        except (KeyboardInterrupt, PlatformError) as error:
            errors.append(error)

    first = threading.Thread(target=ask)
    first.start()
    assert loading.wait(10)
    # Whoever comes while another is loading waits for this.
    waiting = held._loading[source.content_hash]
    interrupted.set()
    first.join()
    assert [type(error) for error in errors] == [KeyboardInterrupt]
    with pytest.raises(PlatformError, match="was interrupted"):
        waiting.result()
