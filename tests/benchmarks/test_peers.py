"""Every peer gives the answers that we give, else its times would mean nothing."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch

from adapter_platform.core.engine.protocol import Row
from benchmarks.bench import Bench, WrongAnswer, check_alike
from benchmarks.fixtures.texts import dealt
from benchmarks.peers.adapterhub import AdapterHub
from benchmarks.peers.floor import floor
from benchmarks.peers.merged_models import merged_models
from benchmarks.peers.peft_model import alone, by_name, grouped
from benchmarks.peers.polylora_model import polylora
from benchmarks.row import NotHere


def mixed(bench: Bench, adapters: int = 3) -> tuple[Sequence[Any], list[Row]]:
    random = np.random.default_rng(0)
    tokens = [tuple(random.integers(5, 100, n).tolist()) for n in (3, 9, 5, 9, 2, 7, 7)]
    sources = bench.adapters(adapters)
    return sources, dealt(tokens, sources)


def ours(bench: Bench, rows: Sequence[Row]) -> np.ndarray:
    return np.stack(bench.engine.logits(rows))


def test_the_floor_is_the_adapter_merged_and_changes_nobodys_base(bench: Bench) -> None:
    sources, rows = mixed(bench, adapters=1)
    before = [tensor.clone() for tensor in bench.encoder().parameters()]
    answer = floor(bench, sources[0], [row.tokens for row in rows])
    np.testing.assert_allclose(answer(), ours(bench, rows), atol=1e-3)
    assert all(map(torch.equal, before, bench.encoder().parameters()))


@pytest.mark.parametrize("peer", [grouped, by_name, polylora])
def test_peers_that_mix_adapters_answer_as_we_do(bench: Bench, peer: Any) -> None:
    if peer is polylora and find_spec("polylora") is None:
        with pytest.raises(NotHere, match="pip install"):
            peer(bench, *mixed(bench))
        return
    sources, rows = mixed(bench)
    np.testing.assert_allclose(peer(bench, sources, rows)(), ours(bench, rows), atol=1e-3)


def test_a_merged_model_for_each_adapter_answers_as_we_do(bench: Bench) -> None:
    _, rows = mixed(bench)
    np.testing.assert_allclose(merged_models(bench, rows)(), ours(bench, rows), atol=1e-3)


@pytest.mark.parametrize("length", [None, 32])
def test_padding_changes_no_answer(bench: Bench, length: int | None) -> None:
    sources, rows = mixed(bench, adapters=1)
    answer = alone(bench, sources[0], [row.tokens for row in rows], length)
    np.testing.assert_allclose(answer(), ours(bench, rows), atol=1e-3)


def test_adapterhub_is_not_here_without_a_python_that_has_it(bench: Bench) -> None:
    with pytest.raises(NotHere, match="--adapterhub"):
        AdapterHub(bench, *mixed(bench), rank=8)


def test_a_peer_with_another_adapter_is_not_timed(bench: Bench) -> None:
    sources, rows = mixed(bench)
    wrong = floor(bench, sources[1], [row.tokens for row in rows])
    with pytest.raises(WrongAnswer, match="logits are"):
        bench.compare_answers(dealt([row.tokens for row in rows], [sources[0]]), wrong)


def test_answers_of_another_shape_are_wrong() -> None:
    with pytest.raises(WrongAnswer, match=r"\(2, 3\)"):
        check_alike(np.zeros((2, 4), np.float32), np.zeros((2, 3), np.float32))
    with pytest.raises(WrongAnswer):
        check_alike(np.ones((2, 4), np.float32), np.full((2, 4), np.nan, np.float32))
