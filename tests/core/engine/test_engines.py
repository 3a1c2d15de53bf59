"""What every engine keeps to: exact beside any neighbour, from any thread, and after a fork."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from adapter_platform.core.bases import Base, Bases
from adapter_platform.core.engine.protocol import Engine, Row
from adapter_platform.core.errors import (
    AdapterCorrupt,
    AdapterNotFound,
    AdapterUnsupported,
    UsageError,
)
from adapter_platform.core.heads import Head
from adapter_platform.core.registry import Registry
from adapter_platform.core.store.source import AdapterSource

from .conftest import (
    Hears,
    Kind,
    MakeAdapter,
    MakeEngine,
    ask,
    edit_config,
    plain,
    plain_pooled,
    republish,
    texts,
)


def test_heads_of_different_sizes_and_poolings_answer_in_one_call(
    tiny_base: Path, tiny: Base, engine: Engine, make_adapter_dir: MakeAdapter
) -> None:
    sources = [
        make_adapter_dir(tiny_base, f"n{n}", labels=n, seed=n, pooling=pooling)
        for n, pooling in ((2, "mean"), (7, "cls"), (13, "pooler"))
    ]
    rows = texts(12)
    mixed = [Row(row, sources[i % 3]) for i, row in enumerate(rows)]
    answers = engine.logits(mixed)
    assert [len(answer) for answer in answers] == [2, 7, 13] * 4
    expected = [plain(tiny, source, rows) for source in sources]
    for i, answer in enumerate(answers):
        assert answer.dtype == np.float32
        np.testing.assert_allclose(answer, expected[i % 3][i], atol=1e-4)


def test_an_answer_has_the_state_that_the_head_read(
    tiny_base: Path, tiny: Base, engine: Engine, make_adapter_dir: MakeAdapter
) -> None:
    sources = [
        make_adapter_dir(tiny_base, f"n{n}", labels=n, seed=n, pooling=pooling)
        for n, pooling in ((2, "mean"), (7, "cls"), (13, "pooler"))
    ]
    rows = texts(12)
    answers = engine.answers([Row(row, sources[i % 3]) for i, row in enumerate(rows)])
    expected = [plain_pooled(tiny, source, rows) for source in sources]
    for i, answer in enumerate(answers):
        assert answer.pooled.dtype == np.float32
        assert answer.pooled.shape == (tiny.hidden_size,)
        np.testing.assert_allclose(answer.pooled, expected[i % 3][i], atol=1e-4)
        head = Head.load(sources[i % 3].path)
        np.testing.assert_allclose(head.logits(answer.pooled), answer.logits, atol=1e-4)


def test_half_precision_files_answer_in_float32(
    tiny_base: Path, tiny: Base, engine: Engine, make_adapter_dir: MakeAdapter
) -> None:
    source = make_adapter_dir(tiny_base)
    path = source.path / "adapter_model.safetensors"
    save_file({key: value.half() for key, value in load_file(path).items()}, path)
    source = republish(source)
    rows = texts(6)
    np.testing.assert_allclose(ask(engine, source, rows), plain(tiny, source, rows), atol=1e-4)


@pytest.mark.parametrize("name", ["a", "lora", "lora_A", "default", "base_layer", "query"])
def test_an_adapters_name_means_nothing(
    tiny_base: Path, tiny: Base, engine: Engine, make_adapter_dir: MakeAdapter, name: str
) -> None:
    other = make_adapter_dir(tiny_base, "other", seed=5)
    source = make_adapter_dir(tiny_base, name, seed=6)
    rows = texts(4)
    for adapter in (other, source, other):
        np.testing.assert_allclose(
            ask(engine, adapter, rows), plain(tiny, adapter, rows), atol=1e-4
        )


def test_a_call_may_ask_more_adapters_than_are_held(
    tiny_base: Path, tiny: Base, make_engine: MakeEngine, make_adapter_dir: MakeAdapter
) -> None:
    engine = make_engine(tiny, held=1)
    sources = [make_adapter_dir(tiny_base, f"n{i}", seed=i) for i in range(3)]
    rows = texts(9)
    answers = engine.logits([Row(row, sources[i % 3]) for i, row in enumerate(rows)])
    expected = [plain(tiny, source, rows) for source in sources]
    for i, answer in enumerate(answers):
        np.testing.assert_allclose(answer, expected[i % 3][i], atol=1e-4)
    again = engine.logits([Row(row, sources[i % 3]) for i, row in enumerate(rows)])
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(again, answers, strict=True))


def test_a_changed_file_is_found_before_anything_is_loaded(
    tiny_base: Path, engine: Engine, make_adapter_dir: MakeAdapter
) -> None:
    for name in ("adapter_model.safetensors", "head.safetensors", "adapter_config.json"):
        source = make_adapter_dir(tiny_base)
        path = source.path / name
        path.write_bytes(path.read_bytes()[:-1] + b" ")
        with pytest.raises(AdapterCorrupt, match=f"{name} has changed"):
            ask(engine, source, texts(1))


def test_a_repaired_adapter_answers_again(
    tiny_base: Path, engine: Engine, make_adapter_dir: MakeAdapter
) -> None:
    source = make_adapter_dir(tiny_base)
    path = source.path / "head.safetensors"
    whole = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(AdapterCorrupt):
        ask(engine, source, texts(1))
    path.write_bytes(whole)
    assert ask(engine, source, texts(1)).shape == (1, 3)


def test_a_removed_adapter_is_not_found(
    engine: Engine, tiny_base: Path, tmp_path: Path, make_adapter_dir: MakeAdapter
) -> None:
    source = replace(make_adapter_dir(tiny_base), path=tmp_path / "gone")
    with pytest.raises(AdapterNotFound):
        ask(engine, source, texts(1))


def _without_one(tensors: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(tensors.items())[1:])


def _with_a_head(tensors: dict[str, Any]) -> dict[str, Any]:
    return tensors | {"base_model.model.classifier.weight": torch.zeros(3, 32)}


def _of_another_width(tensors: dict[str, Any]) -> dict[str, Any]:
    return {key: torch.zeros(tensor.shape[0] + 1, 32) for key, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("change", "error", "part"),
    [
        (_without_one, AdapterCorrupt, "lacks the tensor"),
        (_with_a_head, AdapterCorrupt, "classifier.weight"),
        (_of_another_width, AdapterUnsupported, "cannot load support@1 on this base"),
    ],
)
def test_tensors_that_do_not_fit_are_found_and_cost_the_neighbours_nothing(
    tiny_base: Path,
    tiny: Base,
    engine: Engine,
    make_adapter_dir: MakeAdapter,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    error: type[Exception],
    part: str,
) -> None:
    neighbour = make_adapter_dir(tiny_base, "neighbour", seed=4)
    rows = texts(3)
    before = ask(engine, neighbour, rows)
    source = make_adapter_dir(tiny_base)
    path = source.path / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)
    source = republish(source)
    for _ in range(2):
        with pytest.raises(error, match=part):
            ask(engine, source, rows)
        assert np.array_equal(ask(engine, neighbour, rows), before)


def test_files_that_the_manifest_does_not_know_are_not_read(
    tiny_base: Path, engine: Engine, make_adapter_dir: MakeAdapter
) -> None:
    source = make_adapter_dir(tiny_base)
    files = {k: v for k, v in source.manifest.files.items() if k != "adapter_model.safetensors"}
    manifest = replace(source.manifest, files=files)
    with pytest.raises(AdapterCorrupt, match=r"lists no adapter_model.safetensors"):
        ask(engine, AdapterSource(source.path, manifest, manifest.content_hash), texts(1))


def test_pickled_weights_are_not_read(
    tiny_base: Path, engine: Engine, make_adapter_dir: MakeAdapter
) -> None:
    source = make_adapter_dir(tiny_base)
    path = source.path / "adapter_model.safetensors"
    torch.save(load_file(path), source.path / "adapter_model.bin")
    path.unlink()
    with pytest.raises(AdapterCorrupt) as caught:
        ask(engine, republish(source), texts(1))
    assert "only safetensors" in (caught.value.hint or "")


def test_a_head_of_another_size_than_the_scheme_is_found(
    tiny_base: Path, engine: Engine, make_adapter_dir: MakeAdapter
) -> None:
    source = make_adapter_dir(tiny_base)
    Head("mean", np.zeros((2, 32), np.float32), np.zeros(2, np.float32)).save(source.path)
    with pytest.raises(AdapterCorrupt, match="the head of support@1"):
        ask(engine, republish(source), texts(1))


def test_a_pooler_head_on_a_base_without_pooler_is_refused(
    tiny_base_without_pooler: Path,
    tmp_path: Path,
    make_engine: MakeEngine,
    make_adapter_dir: MakeAdapter,
) -> None:
    base = Bases(Registry(), tmp_path / "cache").resolve(str(tiny_base_without_pooler))
    engine = make_engine(base)
    source = make_adapter_dir(tiny_base_without_pooler, pooling="pooler")
    with pytest.raises(AdapterUnsupported, match="has none"):
        ask(engine, source, texts(1))


def test_a_call_with_one_bad_adapter_fails_and_another_callers_does_not(
    tiny_base: Path, engine: Engine, make_adapter_dir: MakeAdapter
) -> None:
    good = make_adapter_dir(tiny_base, "good")
    bad = edit_config(make_adapter_dir(tiny_base, "bad"), init_lora_weights="olora")
    rows = texts(2)
    alone = ask(engine, good, rows)
    outcomes: list[Any] = [None] * 8

    def call(i: int) -> None:
        try:
            outcomes[i] = engine.logits([Row(rows[0], good), Row(rows[1], (bad, good)[i % 2])])
        except AdapterUnsupported as error:
            outcomes[i] = error

    threads = [threading.Thread(target=call, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert all(isinstance(outcome, AdapterUnsupported) for outcome in outcomes[::2])
    for outcome in outcomes[1::2]:
        np.testing.assert_allclose(np.stack(outcome), alone, atol=1e-5)


def test_sixteen_threads_get_the_answers_of_one(
    tiny_base: Path,
    tiny: Base,
    kind: Kind,
    make_engine: MakeEngine,
    make_adapter_dir: MakeAdapter,
) -> None:
    engine = make_engine(tiny, held=3)
    methods = ("LORA", "LORA", "DORA", "IA3") if kind == "peft" else ("LORA",) * 4
    sources = [
        make_adapter_dir(tiny_base, f"n{i}", method=method, labels=i + 2, seed=i)
        for i, method in enumerate(methods)
    ]
    rows = texts(40)
    expected = [plain(tiny, source, rows) for source in sources]
    wrong: list[str] = []

    def call(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(40):
            picks = [(int(random.integers(40)), int(random.integers(4))) for _ in range(2)]
            answers = engine.logits([Row(rows[r], sources[s]) for r, s in picks])
            for (r, s), answer in zip(picks, answers, strict=True):
                if np.abs(answer - expected[s][r]).max() > 1e-4:
                    wrong.append(f"row {r}, adapter {s}")

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def test_what_other_threads_build_while_adapters_and_bases_load_has_weights(
    tiny_base: Path, tiny: Base, make_engine: MakeEngine, make_adapter_dir: MakeAdapter
) -> None:
    init = torch.nn.init.kaiming_uniform_
    sources = [make_adapter_dir(tiny_base, f"n{i}", seed=i) for i in range(4)]
    engines = [make_engine(tiny) for _ in range(3)]
    loads = [
        threading.Thread(target=ask, args=(engine, source, texts(1)))
        for engine in engines
        for source in sources
    ]
    for load in loads:
        load.start()
    empty = 0
    while any(load.is_alive() for load in loads):
        empty += torch.nn.Linear(2, 2).weight.is_meta
    assert empty == 0
    assert torch.nn.init.kaiming_uniform_ is init


def test_a_listener_hears_of_a_load_once_and_may_itself_ask(
    tiny_base: Path, tiny: Base, make_engine: MakeEngine, make_adapter_dir: MakeAdapter
) -> None:
    first, second = (make_adapter_dir(tiny_base, name, seed=i) for i, name in enumerate("ab"))
    hears = Hears()
    engine = make_engine(tiny, hears)
    hears.then = lambda: ask(engine, second, texts(1))
    ask(engine, first, texts(1))
    ask(engine, first, texts(1))
    assert hears.loaded == [f"a@1 on {engine.name}", f"b@1 on {engine.name}"]


def test_a_call_without_rows_gives_no_answers(engine: Engine) -> None:
    assert engine.logits([]) == []


def test_a_closed_engine_says_so(
    tiny_base: Path, tiny: Base, make_engine: MakeEngine, make_adapter_dir: MakeAdapter
) -> None:
    engine = make_engine(tiny)
    source = make_adapter_dir(tiny_base)
    ask(engine, source, texts(1))
    engine.close()
    engine.close()
    with pytest.raises(UsageError, match="closed"):
        ask(engine, source, texts(1))


def test_calls_that_wait_get_their_answers_before_the_end(
    tiny_base: Path, tiny: Base, make_engine: MakeEngine, make_adapter_dir: MakeAdapter
) -> None:
    engine = make_engine(tiny)
    source = make_adapter_dir(tiny_base)
    ask(engine, source, texts(1))
    outcomes: list[Any] = []

    def call() -> None:
        try:
            outcomes.append(ask(engine, source, texts(20)))
        except UsageError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    engine.close()
    for thread in threads:
        thread.join(20)
    assert len(outcomes) == 8
    assert all(isinstance(o, UsageError) or o.shape == (20, 3) for o in outcomes)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on_where_its_parent_was(
    tiny_base: Path, engine: Engine, make_adapter_dir: MakeAdapter
) -> None:
    source = make_adapter_dir(tiny_base)
    rows = texts(30)
    expected = ask(engine, source, rows)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, np.ascontiguousarray(ask(engine, source, rows)).tobytes())
        finally:
            os._exit(0)
    os.close(write)
    try:
        ready, _, _ = select.select([read], [], [], 30)
        assert ready, "the child gave no answer"
        answer = np.frombuffer(os.read(read, 1 << 16), np.float32).reshape(expected.shape)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    assert np.array_equal(ask(engine, source, rows), expected)
