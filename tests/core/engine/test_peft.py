"""The peft engine: exact beside any neighbour, from any thread, over a base that stays as it is."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapter_platform.core.bases import Base
from adapter_platform.core.engine.encoder import load_encoder
from adapter_platform.core.engine.peft import PeftEngine
from adapter_platform.core.engine.peft_groups import Group
from adapter_platform.core.errors import AdapterUnsupported, PlatformError

from .conftest import CPU, Hears, MakeAdapter, ask, edit_config, make_peft, plain, texts

LOADED = "adapter_platform.core.engine.peft"


@pytest.fixture
def engine(tiny: Base) -> Iterator[PeftEngine]:
    running = make_peft(tiny)
    yield running
    running.close()


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
    expected = [(source, plain(tiny, source, rows)) for source in (one, two, lora)]
    cramped = make_peft(tiny, resident=1)  # where a neighbour of the same kind pushes it out
    for running in (engine, cramped):
        alone = ask(running, lora, rows)
        encoder = running._loaded_encoder()
        before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
        for source, exact in expected * 2:
            np.testing.assert_allclose(ask(running, source, rows), exact, atol=1e-4)
        assert np.array_equal(ask(running, lora, rows), alone)
        after = encoder.state_dict()
        assert list(after) == list(before)
        assert all(torch.equal(after[name], before[name]) for name in before)
    cramped.close()


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


GROWTH = """
import os
from pathlib import Path
import torch
from adapter_platform.core.engine.peft_groups import skeleton

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

encoder = torch.nn.Sequential(torch.nn.Embedding(20_000, 512), torch.nn.Linear(512, 512))
size = sum(p.numel() * p.element_size() for p in encoder.parameters())
before = resident()
groups = [skeleton(encoder) for _ in range(5)]
shared = resident() - before
groups.append(skeleton(encoder, "all"))
print(shared / size, (resident() - before) / size)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_by_a_base_with_each_group() -> None:
    """In a process of its own, which has no freed memory to take."""
    done = subprocess.run(
        [sys.executable, "-c", GROWTH], stdout=subprocess.PIPE, text=True, check=True
    )
    shared, with_a_copy = map(float, done.stdout.split())
    assert shared < 1 / 4
    assert with_a_copy > 1 / 2


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
    engine = make_peft(tiny, resident=2)
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


def test_the_last_adapter_of_a_group_takes_it_along(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter
) -> None:
    engine = make_peft(tiny, resident=1)
    one, two = (make_adapter_dir(tiny_base, f"n{i}", method="VERA", seed=i) for i in range(2))
    rows = texts(2)
    before = ask(engine, one, rows)
    ask(engine, two, rows)  # each is in a group of its own
    assert len(engine._groups) == 1
    assert set(engine._held) == {two.content_hash}
    assert np.array_equal(ask(engine, one, rows), before)
    engine.close()


def test_a_device_without_memory_says_for_what_and_is_tried_again(
    tiny_base: Path,
    tiny: Base,
    engine: PeftEngine,
    make_adapter_dir: MakeAdapter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b = (make_adapter_dir(tiny_base, name, seed=i) for i, name in enumerate("ab"))
    rows = texts(3)

    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    for what, owner, name, asked in (
        (f"the base '{tiny.id}'", torch.nn.Module, "to", a),
        ("the adapter b@1", torch.nn.Module, "to", b),
        ("a batch of 3 texts", torch.nn.functional, "layer_norm", a),
    ):
        with monkeypatch.context() as device:
            device.setattr(owner, name, full)
            with pytest.raises(PlatformError, match=f"has not the memory for {what}") as caught:
                ask(engine, asked, rows)
        assert "--device cpu" in (caught.value.hint or "")
        for adapter in (asked, a):
            answers = ask(engine, adapter, rows)
            np.testing.assert_allclose(answers, plain(tiny, adapter, rows), atol=1e-4)


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
    with pytest.raises(AdapterUnsupported, match=r"support@1") as caught:
        ask(engine, source, texts(1))
    assert part in caught.value.message


def test_a_prompt_that_peft_would_leave_out_is_refused(
    tiny_base: Path, engine: PeftEngine, make_adapter_dir: MakeAdapter
) -> None:
    source = edit_config(make_adapter_dir(tiny_base, method="PROMPT_TUNING"), task_type=None)
    with pytest.raises(AdapterUnsupported, match="leave its prompt out"):
        ask(engine, source, texts(1))


def test_a_known_failure_does_not_make_the_neighbours_load_again(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter
) -> None:
    hears = Hears()
    engine = make_peft(tiny, hears)
    bad = edit_config(make_adapter_dir(tiny_base, "bad"), target_modules=["nowhere"])
    good = make_adapter_dir(tiny_base, "good", seed=1)
    for _ in range(3):
        ask(engine, good, texts(1))
        with pytest.raises(AdapterUnsupported, match="bad@1"):
            ask(engine, bad, texts(1))
    assert hears.loaded == ["good@1 on peft"] * 2
    engine.close()


# --- threads, listeners, forks, the end -------------------------------------------------------
