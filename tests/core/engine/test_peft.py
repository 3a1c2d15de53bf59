"""The peft engine: exact beside any neighbour, from any thread, over a base that stays as it is."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from adapter_platform.core.bases import Base, Bases
from adapter_platform.core.engine.encoder import load_encoder, pad, pooled
from adapter_platform.core.engine.peft import PeftEngine
from adapter_platform.core.engine.peft_groups import Group, skeleton
from adapter_platform.core.engine.protocol import AdapterSource, Row
from adapter_platform.core.errors import (
    AdapterCorrupt,
    AdapterNotFound,
    AdapterUnsupported,
    UsageError,
)
from adapter_platform.core.heads import Head
from adapter_platform.core.registry import NullListener, Registry
from adapter_platform.core.store.manifest import Manifest

MakeAdapter = Callable[..., AdapterSource]
CPU = torch.device("cpu")
LOADED = "adapter_platform.core.engine.peft"


class Hears(NullListener):
    """Remembers what was loaded, and may do something about it."""

    def __init__(self, then: Callable[[], object] | None = None) -> None:
        self.loaded: list[str] = []
        self.then = then

    def after_adapter_loaded(self, manifest: Manifest, engine: str) -> None:
        self.loaded.append(f"{manifest.reference} on {engine}")
        if self.then:
            self.then()


@pytest.fixture
def engine(tiny: Base) -> Iterator[PeftEngine]:
    running = make_engine(tiny)
    yield running
    running.close()


def make_engine(base: Base, listener: Any = None, resident: int = 16) -> PeftEngine:
    return PeftEngine(base, CPU, listener or NullListener(), resident, 256, threads=1)


def texts(count: int, seed: int = 0) -> list[tuple[int, ...]]:
    """Token rows of many lengths, as the tiny tokenizer makes them: [CLS] ... [SEP]."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 30, count)
    return [(2, *(int(t) for t in random.integers(5, 150, n)), 3) for n in lengths]


def ask(engine: PeftEngine, source: AdapterSource, rows: Sequence[tuple[int, ...]]) -> np.ndarray:
    return np.stack(engine.logits([Row(row, source) for row in rows]))


def plain(
    base: Base, source: AdapterSource, rows: Sequence[tuple[int, ...]], dtype: Any = torch.float32
) -> np.ndarray:
    """What PEFT says by itself: the adapter alone on a base of its own, the texts padded."""
    model = PeftModel.from_pretrained(load_encoder(base, CPU), str(source.path)).eval().to(dtype)
    head = Head.load(source.path)
    weight, bias = (torch.from_numpy(x).to(dtype) for x in (head.weight, head.bias))
    ids, mask = pad(rows, base.pad_id, CPU)
    with torch.no_grad():
        answers = pooled(model, ids, mask, head.pooling) @ weight.T + bias
    return answers.double().numpy()


def republish(source: AdapterSource, **changes: Any) -> AdapterSource:
    """The adapter after its files were changed on purpose: the manifest agrees with them."""
    manifest = replace(source.manifest, **changes).write(source.path)
    return AdapterSource(source.path, manifest, manifest.content_hash)


def edit_config(source: AdapterSource, **changes: Any) -> AdapterSource:
    path = source.path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return republish(source)


# --- exactness --------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
@pytest.mark.parametrize("method", ["LORA", "DORA", "IA3"])
def test_its_error_against_float64_is_at_most_twice_that_of_plain_peft(
    tiny_base: Path,
    tiny: Base,
    engine: PeftEngine,
    make_adapter_dir: MakeAdapter,
    method: str,
    pooling: str,
) -> None:
    source = make_adapter_dir(tiny_base, method=method, pooling=pooling, labels=5)
    rows = texts(40)
    exact = plain(tiny, source, rows, torch.float64)
    assert np.abs(exact).max() >= 5
    ours = ask(engine, source, rows)
    theirs = plain(tiny, source, rows)
    assert np.abs(ours - exact).max() <= 2 * np.abs(theirs - exact).max()
    margins = np.diff(np.sort(exact, axis=1))[:, -1]
    clear = margins > 1e-4
    assert (ours.argmax(1) == exact.argmax(1))[clear].all()


def test_heads_of_different_sizes_and_poolings_answer_in_one_call(
    tiny_base: Path, tiny: Base, engine: PeftEngine, make_adapter_dir: MakeAdapter
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


NEIGHBOURS = {
    "small LoRA": ("LORA", {"r": 2, "target_modules": ["query"]}),
    "rsLoRA with patterns": ("LORA", {"use_rslora": True, "rank_pattern": {"key": 3}}),
    "DoRA": ("DORA", {}),
    "LoRA with biases": ("LORA", {"bias": "lora_only"}),
    "LoRA with all biases": ("LORA", {"bias": "all"}),
    "LoRA with tokens": ("LORA", {"trainable_token_indices": {"word_embeddings": [7, 8]}}),
    "LoRA that repeats layers": ("LORA", {"layer_replication": [(0, 2), (0, 2)]}),
    "OSF": ("OSF", {}),
    "SHIRA": ("SHIRA", {}),
    "RANDLORA": ("RANDLORA", {}),
    "VERA": ("VERA", {}),
    "VERA of another seed": ("VERA", {"projection_prng_key": 7}),
    "VBLORA": ("VBLORA", {}),
} | {
    name: (name, {})
    for name in (
        *("ADALORA", "IA3", "LOHA", "LOKR", "OFT", "BOFT", "HRA", "HIRA", "C3A", "DELORA"),
        *("FOURIERFT", "MISS", "LN_TUNING", "PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING"),
    )
}


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_a_neighbour_of_any_method_changes_no_answer_and_no_tensor_of_the_base(
    tiny_base: Path,
    tiny: Base,
    engine: PeftEngine,
    make_adapter_dir: MakeAdapter,
    neighbour: str,
) -> None:
    method, settings = NEIGHBOURS[neighbour]
    rows = texts(6)
    lora = make_adapter_dir(tiny_base, "lora", seed=1)
    one = make_adapter_dir(tiny_base, "one", method=method, settings=settings, seed=2)
    two = make_adapter_dir(tiny_base, "two", method=method, settings=settings, seed=3)
    alone = ask(engine, lora, rows)
    encoder = engine._loaded_encoder()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    for source in (one, two, one, lora, two):
        np.testing.assert_allclose(ask(engine, source, rows), plain(tiny, source, rows), atol=1e-4)
    for source in (one, two):
        engine.unload(source.content_hash)
    assert np.array_equal(ask(engine, lora, rows), alone)
    after = encoder.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_half_precision_files_answer_in_float32(
    tiny_base: Path, tiny: Base, engine: PeftEngine, make_adapter_dir: MakeAdapter
) -> None:
    source = make_adapter_dir(tiny_base)
    path = source.path / "adapter_model.safetensors"
    save_file({key: value.half() for key, value in load_file(path).items()}, path)
    source = republish(source)
    rows = texts(6)
    np.testing.assert_allclose(ask(engine, source, rows), plain(tiny, source, rows), atol=1e-4)


@pytest.mark.parametrize("name", ["a", "lora", "lora_A", "default", "base_layer", "query"])
def test_an_adapters_name_means_nothing_to_peft(
    tiny_base: Path, tiny: Base, engine: PeftEngine, make_adapter_dir: MakeAdapter, name: str
) -> None:
    other = make_adapter_dir(tiny_base, "other", seed=5)
    source = make_adapter_dir(tiny_base, name, seed=6)
    rows = texts(4)
    for adapter in (other, source, other):
        np.testing.assert_allclose(
            ask(engine, adapter, rows), plain(tiny, adapter, rows), atol=1e-4
        )


# --- memory -----------------------------------------------------------------------------------


def test_every_group_runs_on_the_bases_own_tensors(
    tiny_base: Path, engine: PeftEngine, make_adapter_dir: MakeAdapter
) -> None:
    for seed, method in enumerate(("LORA", "DORA", "IA3", "LOHA", "LN_TUNING", "PROMPT_TUNING")):
        ask(engine, make_adapter_dir(tiny_base, method.lower(), method=method, seed=seed), texts(1))
    base = {p.data_ptr() for p in engine._loaded_encoder().parameters()}
    assert len(engine._groups) == 5  # DoRA sits beside LoRA
    for group in engine._groups.values():
        assert base <= {p.data_ptr() for p in group.parameters().values()}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_by_a_base_with_each_group() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    encoder = torch.nn.Sequential(torch.nn.Embedding(20_000, 512), torch.nn.Linear(512, 512))
    size = sum(p.numel() * p.element_size() for p in encoder.parameters())
    before = resident()
    groups = [skeleton(encoder) for _ in range(5)]
    assert resident() - before < size / 4
    groups.append(skeleton(encoder, "all"))
    assert resident() - before > size / 2


def test_a_skeletons_parameters_are_its_own_objects_on_the_same_storage(tiny: Base) -> None:
    encoder = load_encoder(tiny, CPU)
    group = Group("LORA", encoder)
    mine = dict(encoder.named_parameters())
    for name, parameter in group.parameters().items():
        assert parameter.data_ptr() == mine[name].data_ptr()
        assert parameter is not mine[name]


def test_the_least_recently_used_adapter_of_a_group_goes(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make_engine(tiny, resident=2)
    a, b, c = (make_adapter_dir(tiny_base, name, seed=i) for i, name in enumerate("abc"))
    ia3 = make_adapter_dir(tiny_base, "ia3", method="IA3")
    rows = texts(3)
    first = ask(engine, a, rows)
    ask(engine, b, rows)
    ask(engine, ia3, rows)  # another method's places are its own
    ask(engine, a, rows)
    with caplog.at_level(logging.INFO, LOADED):
        ask(engine, c, rows)
    assert [r.message.split(" in ")[0] for r in caplog.records] == [
        "loaded c@1 (LORA)",
        "evicted b@1",
        "switched to c@1",
    ]
    assert set(engine._held) == {x.content_hash for x in (a, c, ia3)}
    for adapter in (b, c, a):
        np.testing.assert_allclose(
            ask(engine, adapter, rows), plain(tiny, adapter, rows), atol=1e-4
        )
    assert np.array_equal(ask(engine, a, rows), first)
    engine.close()


def test_a_call_may_ask_more_adapters_than_are_held(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter
) -> None:
    engine = make_engine(tiny, resident=1)
    sources = [make_adapter_dir(tiny_base, f"n{i}", seed=i) for i in range(3)]
    rows = texts(9)
    answers = engine.logits([Row(row, sources[i % 3]) for i, row in enumerate(rows)])
    expected = [plain(tiny, source, rows) for source in sources]
    for i, answer in enumerate(answers):
        np.testing.assert_allclose(answer, expected[i % 3][i], atol=1e-4)
    assert len(engine._held) == 1
    engine.close()


def test_the_last_adapter_takes_its_group_along(
    tiny_base: Path, engine: PeftEngine, make_adapter_dir: MakeAdapter
) -> None:
    source = make_adapter_dir(tiny_base)
    rows = texts(2)
    before = ask(engine, source, rows)
    engine.unload(source.content_hash)
    assert not engine._groups
    assert not engine._held
    engine.unload("never held")
    assert np.array_equal(ask(engine, source, rows), before)


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"init_lora_weights": "pissa"}, "begins from 'pissa'"),
        ({"init_lora_weights": "pissa_niter_4"}, "begins from 'pissa_niter_4'"),
        ({"init_lora_weights": "olora"}, "change the base's weights"),
        ({"init_lora_weights": "corda"}, "change the base's weights"),
        ({"init_lora_weights": "loftq"}, "change the base's weights"),
        ({"init_lora_weights": "eva"}, "change the base's weights"),
        ({"modules_to_save": ["pooler"]}, "holds a head"),
        ({"task_type": "SEQ_CLS"}, "holds a head"),
        ({"peft_type": "NEXT_YEARS"}, "has no method 'NEXT_YEARS'"),
        ({"next_years_setting": 1}, "the setting 'next_years_setting'"),
        ({"peft_type": "POLY"}, "does not know for POLY"),
        ({"alora_invocation_tokens": [1]}, "generating model"),
    ],
)
def test_what_peft_would_run_wrongly_is_refused_in_a_sentence(
    tiny_base: Path,
    engine: PeftEngine,
    make_adapter_dir: MakeAdapter,
    changes: dict[str, Any],
    part: str,
) -> None:
    source = edit_config(make_adapter_dir(tiny_base), **changes)
    assert part in (engine.refuses(source) or "")
    with pytest.raises(AdapterUnsupported, match=r"support@1") as caught:
        ask(engine, source, texts(1))
    assert part in caught.value.message


def test_what_it_can_run_it_does_not_refuse(
    tiny_base: Path, engine: PeftEngine, make_adapter_dir: MakeAdapter
) -> None:
    assert engine.refuses(make_adapter_dir(tiny_base)) is None


def test_a_prompt_that_peft_would_leave_out_is_refused(
    tiny_base: Path, engine: PeftEngine, make_adapter_dir: MakeAdapter
) -> None:
    source = edit_config(make_adapter_dir(tiny_base, method="PROMPT_TUNING"), task_type=None)
    assert "leave its prompt out" in (engine.refuses(source) or "")


def test_a_changed_file_is_found_before_anything_is_loaded(
    tiny_base: Path, engine: PeftEngine, make_adapter_dir: MakeAdapter
) -> None:
    for name in ("adapter_model.safetensors", "head.safetensors", "adapter_config.json"):
        source = make_adapter_dir(tiny_base)
        path = source.path / name
        path.write_bytes(path.read_bytes()[:-1] + b" ")
        with pytest.raises(AdapterCorrupt, match=f"{name} has changed"):
            ask(engine, source, texts(1))


def test_a_repaired_adapter_answers_again(
    tiny_base: Path, engine: PeftEngine, make_adapter_dir: MakeAdapter
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
    engine: PeftEngine, tiny_base: Path, tmp_path: Path, make_adapter_dir: MakeAdapter
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
    engine: PeftEngine,
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


def test_a_known_failure_does_not_make_the_neighbours_load_again(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter
) -> None:
    hears = Hears()
    engine = make_engine(tiny, hears)
    bad = edit_config(make_adapter_dir(tiny_base, "bad"), target_modules=["nowhere"])
    good = make_adapter_dir(tiny_base, "good", seed=1)
    for _ in range(3):
        ask(engine, good, texts(1))
        with pytest.raises(AdapterUnsupported, match="bad@1"):
            ask(engine, bad, texts(1))
    assert hears.loaded == ["good@1 on peft"] * 2
    engine.close()


def test_files_that_the_manifest_does_not_know_are_not_read(
    tiny_base: Path, engine: PeftEngine, make_adapter_dir: MakeAdapter
) -> None:
    source = make_adapter_dir(tiny_base)
    files = {k: v for k, v in source.manifest.files.items() if k != "adapter_model.safetensors"}
    manifest = replace(source.manifest, files=files)
    with pytest.raises(AdapterCorrupt, match=r"lists no adapter_model.safetensors"):
        ask(engine, AdapterSource(source.path, manifest, manifest.content_hash), texts(1))


def test_pickled_weights_are_not_read(
    tiny_base: Path, engine: PeftEngine, make_adapter_dir: MakeAdapter
) -> None:
    source = make_adapter_dir(tiny_base)
    path = source.path / "adapter_model.safetensors"
    torch.save(load_file(path), source.path / "adapter_model.bin")
    path.unlink()
    with pytest.raises(AdapterCorrupt) as caught:
        ask(engine, republish(source), texts(1))
    assert "only safetensors" in (caught.value.hint or "")


def test_a_head_of_another_size_than_the_scheme_is_found(
    tiny_base: Path, engine: PeftEngine, make_adapter_dir: MakeAdapter
) -> None:
    source = make_adapter_dir(tiny_base)
    Head("mean", np.zeros((2, 32), np.float32), np.zeros(2, np.float32)).save(source.path)
    with pytest.raises(AdapterCorrupt, match="the head of support@1"):
        ask(engine, republish(source), texts(1))


def test_a_pooler_head_on_a_base_without_pooler_is_refused(
    tiny_base_without_pooler: Path, tmp_path: Path, make_adapter_dir: MakeAdapter
) -> None:
    base = Bases(Registry(), tmp_path / "cache").resolve(str(tiny_base_without_pooler))
    engine = make_engine(base)
    source = make_adapter_dir(tiny_base_without_pooler, pooling="pooler")
    with pytest.raises(AdapterUnsupported, match="has none"):
        ask(engine, source, texts(1))
    engine.close()


def test_a_call_with_one_bad_adapter_fails_and_another_callers_does_not(
    tiny_base: Path, engine: PeftEngine, make_adapter_dir: MakeAdapter
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


# --- threads, listeners, forks, the end -------------------------------------------------------


def test_sixteen_threads_get_the_answers_of_one(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter
) -> None:
    engine = make_engine(tiny, resident=3)
    methods = ("LORA", "LORA", "DORA", "IA3")
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
    engine.close()


def test_what_other_threads_build_while_adapters_and_bases_load_has_weights(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter
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
    for engine in engines:
        engine.close()
    assert empty == 0
    assert torch.nn.init.kaiming_uniform_ is init


def test_a_listener_hears_of_a_load_once_and_may_itself_ask(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter
) -> None:
    first, second = (make_adapter_dir(tiny_base, name, seed=i) for i, name in enumerate("ab"))
    hears = Hears()
    engine = make_engine(tiny, hears)
    hears.then = lambda: ask(engine, second, texts(1))
    ask(engine, first, texts(1))
    ask(engine, first, texts(1))
    assert hears.loaded == ["a@1 on peft", "b@1 on peft"]
    engine.close()


def test_a_call_without_rows_gives_no_answers(engine: PeftEngine) -> None:
    assert engine.logits([]) == []


def test_an_unload_of_nothing_changes_nothing_and_a_closed_engine_says_so(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter
) -> None:
    engine = make_engine(tiny)
    source = make_adapter_dir(tiny_base)
    ask(engine, source, texts(1))
    engine.close()
    engine.close()
    with pytest.raises(UsageError, match="closed"):
        ask(engine, source, texts(1))
    with pytest.raises(UsageError, match="closed"):
        engine.unload(source.content_hash)


def test_calls_that_wait_get_their_answers_before_the_end(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter
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
    tiny_base: Path, engine: PeftEngine, make_adapter_dir: MakeAdapter
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
