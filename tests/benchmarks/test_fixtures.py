"""Adapters, stores and plugins made for the occasion."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter_platform.core.errors import AdapterCorrupt
from adapter_platform.core.settings import load_settings
from adapter_platform.plugins.manager import load_plugins
from benchmarks.bench import Bench
from benchmarks.fixtures.adapters import QUERY_VALUE, Shape, renamed
from benchmarks.fixtures.stores import filled, install_plugins
from benchmarks.fixtures.texts import random_tokens, real_texts, tokenized
from benchmarks.rows.loading import residents


def test_an_adapter_under_another_name_is_read_and_hashed_again(bench: Bench) -> None:
    (source,) = bench.adapters(1, Shape(rank=2, modules=QUERY_VALUE))
    first, second, third = renamed([source], 3)
    held = residents(bench)
    one, fresh = held.get(first)
    other, fresh_too = held.get(second)
    assert fresh
    assert fresh_too
    assert one is not other
    tensors = source.path / "adapter_model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(AdapterCorrupt):
        held.get(third)


def test_adapters_of_one_shape_are_published_once(bench: Bench) -> None:
    first = bench.adapters(2)
    assert bench.adapters(2) == first
    assert len({source.content_hash for source in first}) == 2
    assert bench.adapters(2, Shape(rank=1))[0].path != first[0].path


def test_a_filled_store_resolves_its_adapters(bench: Bench, tmp_path: Path) -> None:
    sources = bench.adapters(2)
    store = filled(tmp_path / "filled", sources)
    assert store.names() == [source.manifest.name for source in sources]


def test_installed_bystanders_are_found_and_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(install_plugins(tmp_path / "site", 3)))
    found = [i for i in load_plugins(load_settings()).infos if i.name.startswith("bystander")]
    assert [(info.failure, info.hooks) for info in found] == [(None, ("on_predictions",))] * 3


def test_texts_are_as_many_and_as_long_as_asked(bench: Bench) -> None:
    assert [len(row) for row in random_tokens(bench.base, 3, 16)] == [16] * 3
    texts = real_texts(20_000)
    assert len(texts) == 20_000
    assert len(set(texts)) > 10_000
    assert max(map(len, tokenized(bench.base, texts[:50], 12))) <= 12
