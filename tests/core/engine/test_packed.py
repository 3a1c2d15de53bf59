"""The packed engine, and NumPy in its place: exact for every LoRA, and plain about the rest."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from adapter_platform.core.bases import Base, Bases
from adapter_platform.core.engine import forward
from adapter_platform.core.engine.lora import LoraReader
from adapter_platform.core.engine.packed import PackedEngine
from adapter_platform.core.engine.protocol import Row
from adapter_platform.core.errors import (
    AdapterCorrupt,
    AdapterUnsupported,
    BaseUnavailable,
    PlatformError,
)
from adapter_platform.core.registry import Registry
from adapter_platform.core.store.source import AdapterSource
from adapter_platform.plugins.testing import make_tiny_base

from .conftest import (
    ADAPTER,
    Hears,
    MakeAdapter,
    MakeEngine,
    ask,
    edit_config,
    make_numpy,
    make_packed,
    plain,
    republish,
    texts,
)

LOADED = "adapter_platform.core.engine.resident"
SHAPES = (
    {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48},
    {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 1, "intermediate_size": 96},
    {"hidden_size": 40, "num_hidden_layers": 1, "num_attention_heads": 5, "intermediate_size": 8},
)
BACKENDS: dict[str, MakeEngine] = {
    "numpy": make_numpy,
    "packed": make_packed,
    "gathered": partial(make_packed, gather_above=0),
}


@pytest.fixture
def engine(tiny: Base) -> Iterator[PackedEngine]:
    running = make_packed(tiny)
    yield running
    running.close()


# --- exactness --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shaped_bases(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Random BERTs of several shapes that read 512 tokens."""
    made = []
    for number, shape in enumerate(SHAPES):
        directory = make_tiny_base(tmp_path_factory.mktemp("shaped") / str(number))
        vocabulary = json.loads((directory / "config.json").read_text())["vocab_size"]
        torch.manual_seed(number)
        config = BertConfig(
            vocab_size=vocabulary, max_position_embeddings=512, initializer_range=0.2, **shape
        )
        BertModel(config).save_pretrained(directory)
        made.append(directory)
    return made


RANKS = st.integers(1, 9)
MODULES = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "pooler.dense"]
NUMBER = count()


@st.composite
def loras(draw: st.DrawFn) -> dict[str, Any]:
    """Settings of a LoRA adapter, its labels and its pooling."""
    targets = draw(
        st.lists(st.sampled_from(MODULES), min_size=1, unique=True)
        | st.sampled_from([["query", "key", "value", "dense"], "all-linear", r".*\.(key|dense)"])
    )
    lora: dict[str, Any] = {"target_modules": targets, "r": draw(RANKS)}
    lora["lora_alpha"] = draw(st.integers(1, 32))
    lora["use_rslora"] = draw(st.booleans())
    if draw(st.booleans()):
        lora["rank_pattern"] = {draw(st.sampled_from(["key", "dense", "query"])): draw(RANKS)}
        lora["alpha_pattern"] = {r"layer\.0\..*\.value": 3, "output.dense": 7}
    if isinstance(targets, list) and "pooler.dense" not in targets and draw(st.booleans()):
        lora["layers_to_transform"] = draw(st.sampled_from([0, [0]]))
    return {
        "settings": lora,
        "labels": draw(st.integers(2, 40)),
        "pooling": draw(st.sampled_from(["mean", "cls", "pooler"])),
        "seed": draw(st.integers(0, 1000)),
    }


LENGTHS = st.lists(st.integers(1, 20) | st.sampled_from([8, 8, 8, 100, 511, 512]), max_size=12)


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    shape=st.integers(0, len(SHAPES) - 1),
    adapters=st.lists(loras(), min_size=1, max_size=3),
    lengths=LENGTHS,
    budget=st.sampled_from([1, 64, 4096]),
    backend=st.sampled_from(["numpy", "packed", "gathered"]),
    seed=st.integers(0, 1000),
)
def test_any_mix_of_texts_and_adapters_answers_as_peft_does_in_float64(
    shaped_bases: list[Path],
    tmp_path: Path,
    make_adapter_dir: MakeAdapter,
    shape: int,
    adapters: list[dict[str, Any]],
    lengths: list[int],
    budget: int,
    backend: str,
    seed: int,
) -> None:
    directory = shaped_bases[shape]
    base = Bases(Registry(), directory / "cache").resolve(str(directory))
    sources = [make_adapter_dir(directory, f"n{next(NUMBER)}", **lora) for lora in adapters]
    random = np.random.default_rng(seed)
    rows = [
        Row(tuple(random.integers(5, 150, n).tolist()), sources[random.integers(len(sources))])
        for n in lengths
    ]
    rows += rows[:2]  # a text may come twice
    engine = BACKENDS[backend](base, batch_tokens=budget)
    answers = engine.logits(rows)
    engine.close()
    assert len(answers) == len(rows)
    for source in sources:
        mine = [i for i, row in enumerate(rows) if row.adapter is source]
        if mine:
            exact = plain(base, source, [rows[i].tokens for i in mine], torch.float64)
            ours = np.stack([answers[i] for i in mine])
            np.testing.assert_allclose(ours, exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())


@pytest.mark.parametrize("backend", ["numpy", "packed", "gathered"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_its_error_against_float64_is_at_most_twice_that_of_plain_peft(
    tiny_base: Path,
    tiny: Base,
    make_adapter_dir: MakeAdapter,
    pooling: str,
    backend: str,
) -> None:
    engine = BACKENDS[backend](tiny)
    ours, theirs = [], []
    for seed in range(4):  # in one random model a single text may be ill-conditioned
        source = make_adapter_dir(tiny_base, f"n{seed}", pooling=pooling, labels=5, seed=seed)
        rows = texts(40, seed)
        exact = plain(tiny, source, rows, torch.float64)
        assert np.abs(exact).max() >= 5
        answers = ask(engine, source, rows)
        ours.append(answers - exact)
        theirs.append(plain(tiny, source, rows) - exact)
        clear = np.diff(np.sort(exact, axis=1))[:, -1] > 1e-4
        assert (answers.argmax(1) == exact.argmax(1))[clear].all()
    engine.close()
    assert np.std(ours) <= 2 * np.std(theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_base_in_half_precision_answers_as_in_peft(
    tiny_base: Path, tmp_path: Path, make_adapter_dir: MakeAdapter, dtype: torch.dtype
) -> None:
    directory = _another_base(tiny_base, tmp_path, lambda tensors: _to(tensors, dtype))
    _check_against_peft(directory, tmp_path, make_adapter_dir)


def test_a_base_saved_with_a_head_and_tensorflows_names_answers_as_in_peft(
    tiny_base: Path, tmp_path: Path, make_adapter_dir: MakeAdapter
) -> None:
    def renamed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        old = {f"bert.{name}": tensor for name, tensor in tensors.items()}
        for name in list(old):
            if "LayerNorm" in name:
                new = name.replace(".weight", ".gamma").replace(".bias", ".beta")
                old[new] = old.pop(name)
        return old | {"cls.predictions.bias": torch.zeros(9)}

    directory = _another_base(tiny_base, tmp_path, renamed)
    _check_against_peft(directory, tmp_path, make_adapter_dir)


def test_a_base_in_several_files_answers_as_in_peft(
    tiny_base: Path, tmp_path: Path, make_adapter_dir: MakeAdapter
) -> None:
    directory = tmp_path / "base"
    shutil.copytree(tiny_base, directory)
    BertModel.from_pretrained(tiny_base).save_pretrained(directory, max_shard_size="20KB")
    (directory / "model.safetensors").unlink()
    assert len(list(directory.glob("model-*.safetensors"))) > 1
    _check_against_peft(directory, tmp_path, make_adapter_dir)


def _another_base(
    tiny_base: Path,
    tmp_path: Path,
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    **config: Any,
) -> Path:
    directory = tmp_path / "base"
    shutil.copytree(tiny_base, directory)
    path = directory / "model.safetensors"
    save_file(change(load_file(path)), path, {"format": "pt"})
    file = directory / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return directory


def _to(tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {name: tensor.to(dtype) for name, tensor in tensors.items()}


def _check_against_peft(directory: Path, tmp_path: Path, make_adapter_dir: MakeAdapter) -> None:
    base = Bases(Registry(), tmp_path / "cache").resolve(str(directory))
    engines = [make(base) for make in BACKENDS.values()]
    for pooling in ("mean", "pooler"):
        source = make_adapter_dir(directory, pooling, pooling=pooling)
        rows = texts(8)
        expected = plain(base, source, rows)
        for engine in engines:
            np.testing.assert_allclose(ask(engine, source, rows), expected, atol=1e-4, rtol=1e-4)
    for engine in engines:
        engine.close()


# --- what it does not run -----------------------------------------------------------------------

OTHERS = ["DORA", "ADALORA", "IA3", "LOHA", "LOKR", "OFT", "VERA", "LN_TUNING", "PROMPT_TUNING"]


@pytest.mark.parametrize("method", OTHERS)
def test_other_methods_are_refused_in_a_sentence(
    tiny_base: Path,
    tiny: Base,
    engine: PackedEngine,
    make_adapter_dir: MakeAdapter,
    method: str,
) -> None:
    source = make_adapter_dir(tiny_base, method=method)
    sentence = LoraReader(tiny).refuses(source)
    assert sentence
    assert "support@1" in sentence
    with pytest.raises(AdapterUnsupported) as caught:
        ask(engine, source, texts(1))
    assert caught.value.message == sentence
    assert "--engine peft" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("made_with", "part"),
    [
        ({"bias": "lora_only"}, "biases"),
        ({"bias": "all"}, "biases"),
        ({"lora_bias": True}, "'lora_bias'"),
        ({"layer_replication": [(0, 2), (0, 2)]}, "'layer_replication'"),
        ({"trainable_token_indices": {"word_embeddings": [7]}}, "'trainable_token_indices'"),
        ({"target_modules": ["query", "word_embeddings"]}, "LoRA on embeddings"),
    ],
)
def test_lora_with_more_to_it_is_refused_in_a_sentence(
    tiny_base: Path,
    engine: PackedEngine,
    make_adapter_dir: MakeAdapter,
    made_with: dict[str, Any],
    part: str,
) -> None:
    source = make_adapter_dir(tiny_base, settings=made_with)
    with pytest.raises(AdapterUnsupported, match=part):
        ask(engine, source, texts(1))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"init_lora_weights": "pissa"}, "changes the base's weights"),
        ({"modules_to_save": ["pooler"]}, "holds a head"),
        ({"task_type": "SEQ_CLS"}, "holds a head"),
        ({"fan_in_fan_out": True}, "'fan_in_fan_out'"),
        ({"next_years_setting": 1}, "'next_years_setting'"),
        ({"alora_invocation_tokens": [1]}, "'alora_invocation_tokens'"),
    ],
)
def test_a_configuration_that_means_something_else_is_refused(
    tiny_base: Path,
    engine: PackedEngine,
    make_adapter_dir: MakeAdapter,
    changes: dict[str, Any],
    part: str,
) -> None:
    source = edit_config(make_adapter_dir(tiny_base), **changes)
    with pytest.raises(AdapterUnsupported, match=part):
        ask(engine, source, texts(1))


def test_rank_and_alpha_that_a_configuration_leaves_out_are_pefts(
    tiny_base: Path, engine: PackedEngine, make_adapter_dir: MakeAdapter
) -> None:
    source = make_adapter_dir(tiny_base, settings={"r": 8, "lora_alpha": 8})
    expected = ask(engine, source, texts(5))
    path = source.path / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    del config["r"], config["lora_alpha"]
    path.write_text(json.dumps(config), encoding="utf-8")
    shorter = republish(source)
    np.testing.assert_array_equal(ask(engine, shorter, texts(5)), expected)


@pytest.mark.parametrize("wanted", ["(", 7])
def test_modules_that_are_named_in_no_way_are_a_damage(
    tiny_base: Path, engine: PackedEngine, make_adapter_dir: MakeAdapter, wanted: object
) -> None:
    source = edit_config(make_adapter_dir(tiny_base), target_modules=wanted)
    with pytest.raises(AdapterCorrupt, match="names its modules in no way"):
        ask(engine, source, texts(1))


def test_a_pooler_head_is_refused_before_it_is_asked_where_the_base_has_no_pooler(
    tiny_base_without_pooler: Path, tmp_path: Path, make_adapter_dir: MakeAdapter
) -> None:
    base = Bases(Registry(), tmp_path / "cache").resolve(str(tiny_base_without_pooler))
    reader = LoraReader(base)
    pooler = make_adapter_dir(tiny_base_without_pooler, pooling="pooler")
    assert "its base has none" in (reader.refuses(pooler) or "")
    assert reader.refuses(make_adapter_dir(tiny_base_without_pooler, "mean")) is None


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"model_type": "electra"}, "'electra'"),
        ({"hidden_act": "relu"}, "'relu'"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"is_decoder": True}, "decoder"),
    ],
)
def test_a_base_that_is_another_model_is_refused_in_a_sentence(
    tiny_base: Path,
    tmp_path: Path,
    make_adapter_dir: MakeAdapter,
    config: dict[str, Any],
    part: str,
) -> None:
    source = make_adapter_dir(tiny_base)
    directory = _another_base(tiny_base, tmp_path, dict, **config)
    engine = make_packed(Bases(Registry(), tmp_path / "cache").resolve(str(directory)))
    with pytest.raises(AdapterUnsupported, match=part):
        ask(engine, source, texts(1))
    engine.close()


def test_a_base_that_lacks_a_tensor_says_which(
    tiny_base: Path, tmp_path: Path, make_adapter_dir: MakeAdapter
) -> None:
    source = make_adapter_dir(tiny_base)
    gone = "encoder.layer.1.output.dense.bias"
    directory = _another_base(
        tiny_base, tmp_path, lambda tensors: {k: t for k, t in tensors.items() if k != gone}
    )
    engine = make_packed(Bases(Registry(), tmp_path / "cache").resolve(str(directory)))
    with pytest.raises(BaseUnavailable, match=gone):
        ask(engine, source, texts(1))
    engine.close()


# --- memory -------------------------------------------------------------------------------------


def test_the_least_recently_used_adapter_goes_when_there_are_too_many_bytes(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    hears = Hears()
    engine = make_packed(tiny, hears, room=2 * ADAPTER)
    a, b, c = (make_adapter_dir(tiny_base, name, seed=i) for i, name in enumerate("abc"))
    rows = texts(3)
    with caplog.at_level(logging.INFO, LOADED):
        for adapter in (a, b, a, c, a, b):
            np.testing.assert_allclose(
                ask(engine, adapter, rows), plain(tiny, adapter, rows), atol=1e-4
            )
    assert hears.loaded == [f"{name}@1 on packed" for name in "abcb"]
    done = [record.message.split()[0] for record in caplog.records]
    assert done == ["loaded", "loaded", "loaded", "evicted", "loaded", "evicted"]
    engine.close()


def test_an_adapter_larger_than_the_room_answers_all_the_same(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter
) -> None:
    engine = make_packed(tiny, room=0)
    source = make_adapter_dir(tiny_base)
    np.testing.assert_allclose(
        ask(engine, source, texts(3)), plain(tiny, source, texts(3)), atol=1e-4
    )
    engine.close()


def test_a_device_without_memory_for_the_base_or_an_adapter_says_so_and_is_tried_again(
    tiny_base: Path,
    tiny: Base,
    make_adapter_dir: MakeAdapter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = make_packed(tiny)
    source = make_adapter_dir(tiny_base)
    room, given = 0, torch.from_numpy

    def from_numpy(array: np.ndarray) -> torch.Tensor:
        if array.nbytes > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return given(array)

    with monkeypatch.context() as full:
        full.setattr(torch, "from_numpy", from_numpy)
        for left, what in ((0, "the adapter support@1"), (4096, f"the base '{tiny.id}'")):
            room = left
            with pytest.raises(PlatformError, match="has not the memory for") as caught:
                ask(engine, source, texts(3))
            assert caught.value.message.endswith(what)
            assert "--device cpu" in (caught.value.hint or "")
    np.testing.assert_allclose(
        ask(engine, source, texts(3)), plain(tiny, source, texts(3)), atol=1e-4
    )
    assert budgets(caplog) == [], "no batch was at fault, so none is smaller from then on"
    engine.close()


def test_a_device_without_memory_for_a_batch_takes_halves_of_it_and_goes_on_so(
    tiny_base: Path,
    tiny: Base,
    make_adapter_dir: MakeAdapter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = texts(60)
    source = make_adapter_dir(tiny_base)
    expected = plain(tiny, source, rows)
    engine = make_packed(tiny, batch_tokens=400)
    given = torch.empty

    def empty(*size: int, **options: Any) -> torch.Tensor:
        if size[0] > 40:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return given(*size, **options)

    with monkeypatch.context() as full:
        full.setattr(torch, "empty", empty)
        np.testing.assert_allclose(ask(engine, source, rows), expected, atol=1e-4)
        _check_halved(budgets(caplog), 400, 40)
        caplog.clear()
        np.testing.assert_allclose(ask(engine, source, rows), expected, atol=1e-4)
        assert budgets(caplog) == []
        with pytest.raises(PlatformError, match="memory for a text of 50 tokens"):
            ask(engine, source, [(2,) * 50])
    engine.close()


def budgets(caplog: pytest.LogCaptureFixture) -> list[int]:
    """The tokens at once to which batches were cut down, one after the other."""
    said = (re.fullmatch(r"out of memory: now at most (\d+) .*", r.message) for r in caplog.records)
    return [int(found[1]) for found in said if found]


def _check_halved(found: list[int], budget: int, fits: int) -> None:
    """Each budget is at most half of the one before, down to the first that fits, and none is more
    than halved: a batch is about as large as its budget.
    """
    assert found
    before = budget
    for after in found:
        assert before / 4 <= after <= before / 2 or after == before <= fits
        before = after
    assert before <= fits


def test_callers_who_want_one_adapter_at_once_have_it_read_once(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter
) -> None:
    hears = Hears()
    engine = make_packed(tiny, hears)
    source = make_adapter_dir(tiny_base)
    ready = threading.Barrier(12)

    def call() -> None:
        ready.wait()
        ask(engine, source, texts(1))

    threads = [threading.Thread(target=call) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert hears.loaded == ["support@1 on packed"]
    engine.close()


def test_short_low_rank_products_run_on_one_thread_and_all_else_on_the_threads_asked_for(
    shaped_bases: list[Path],
    make_adapter_dir: MakeAdapter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, set[int]] = {"mm": set(), "layer_norm": set()}

    def spied(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            seen[name].add(torch.get_num_threads())
            return call(*args, **options)

        return run

    monkeypatch.setattr(torch, "mm", spied("mm", torch.mm))
    monkeypatch.setattr(forward, "layer_norm", spied("layer_norm", forward.layer_norm))
    directory = shaped_bases[0]
    base = Bases(Registry(), directory / "cache").resolve(str(directory))
    adapters = [make_adapter_dir(directory, name) for name in "ab"]
    before = torch.get_num_threads()
    engine = make_packed(base, batch_tokens=4096, threads=3)
    try:
        engine.logits([Row((2,) * 50, adapter) for adapter in adapters])
        assert seen == {"mm": {1}, "layer_norm": {3}}
        seen["mm"].clear()
        monkeypatch.setattr(forward, "SHORT", 100 * 12 * 32)  # A of rank 4 for three targets
        engine.logits([Row((2,) * 400, adapters[0]), Row((2,) * 9, adapters[1])])
        assert seen == {"mm": {1, 3}, "layer_norm": {3}}, "by adapter"
    finally:
        engine.close()
        torch.set_num_threads(before)  # for threads that begin later


def test_it_needs_neither_transformers_nor_peft(
    tiny_base: Path, make_adapter_dir: MakeAdapter
) -> None:
    source = make_adapter_dir(tiny_base)
    script = f"""
import sys, torch
from pathlib import Path
from adapter_platform.core.bases import Bases
from adapter_platform.core.engine.lora import LoraReader
from adapter_platform.core.engine.packed import PackedEngine
from adapter_platform.core.engine.protocol import Row
from adapter_platform.core.registry import NullListener, Registry
from adapter_platform.core.store.manifest import Manifest
from adapter_platform.core.store.source import AdapterSource
directory = Path({str(source.path)!r})
manifest = Manifest.read(directory)
base = Bases(Registry(), directory / "cache").resolve({str(tiny_base)!r})
engine = PackedEngine(LoraReader(base), torch.device("cpu"), NullListener(), 1 << 30, 256, 1)
print(len(engine.logits([Row((2, 9, 3), AdapterSource(directory, manifest, "x"))])[0]))
print(sorted({{"transformers", "peft"}} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["3", "[]"]


# --- on a GPU -----------------------------------------------------------------------------------

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def _many(tiny_base: Path, make_adapter_dir: MakeAdapter, number: int) -> list[AdapterSource]:
    return [make_adapter_dir(tiny_base, f"n{i}", labels=i + 2, seed=i) for i in range(number)]


@needs_cuda
@pytest.mark.parametrize("number", [1, 20])
def test_a_gpu_gives_the_same_answers(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter, number: int
) -> None:
    sources = _many(tiny_base, make_adapter_dir, number)
    rows = [Row(text, sources[i % number]) for i, text in enumerate(texts(60))]
    here, there = make_packed(tiny), make_packed(tiny, device=torch.device("cuda"))
    for ours, theirs in zip(there.logits(rows), here.logits(rows), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3, rtol=1e-3)
    here.close()
    there.close()


@needs_cuda
def test_a_gpu_without_room_for_the_batch_answers_in_halves_as_one_with_room_does_at_once(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    (source,) = _many(tiny_base, make_adapter_dir, 1)
    rows = [Row(text, source) for text in texts(4000)]
    tokens = sum(len(row.tokens) for row in rows)
    options = {"device": torch.device("cuda"), "batch_tokens": tokens}
    torch.cuda.reset_peak_memory_stats()
    roomy = make_packed(tiny, **options)
    expected = roomy.logits(rows)
    roomy.close()
    assert budgets(caplog) == []
    torch.cuda.empty_cache()
    kept = torch.cuda.memory_reserved()  # cuBLAS keeps a workspace
    room = kept + 2 * (torch.cuda.max_memory_allocated() - kept) // 3
    total = torch.cuda.mem_get_info()[1]
    cramped = make_packed(tiny, **options)
    try:
        torch.cuda.set_per_process_memory_fraction(room / total)
        answers = cramped.logits(rows)
        _check_halved(budgets(caplog), tokens, tokens // 2)
        caplog.clear()
        again = cramped.logits(rows)
        assert budgets(caplog) == [], "what has been learnt is kept"
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        cramped.close()
    for found in (answers, again):
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-3, rtol=1e-3)
