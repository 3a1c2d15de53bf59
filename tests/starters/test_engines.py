"""The shipped adapters, mixed in one batch on the default base: every engine gives their logits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.numpy import load_file

from adapter_platform.core.bases import Base
from adapter_platform.core.engine.choice import ColdStart, Engines
from adapter_platform.core.engine.encoder import load_encoder, pad, pooled
from adapter_platform.core.engine.protocol import Row
from adapter_platform.core.heads import Head
from adapter_platform.core.registry import NullListener
from adapter_platform.core.settings import Settings
from adapter_platform.core.store.source import AdapterSource
from adapter_platform.core.tokens import TextEncoder
from adapter_platform.plugins import open_platform

NAMES = ("data_eng", "support", "feedback", "question_type")
PHRASES = (
    "数据清洗流程是什么？",
    "I was charged twice for the same order, and nobody answers.",
    "更新之后应用一直闪退",
    "Кто изобрёл телефон?",
    "カートに入れた商品が消えました。",
    "¿Cuándo llega mi paquete?",
    "لماذا السماء زرقاء",
    "데이터베이스가 너무 느려요",
    "SELECT id, COUNT(*) FROM t GROUP BY 1;",
    "Spark 任务 skew 了 😕",
)
TEXTS, LONGEST = 40, 120  # tokens, special ones included
FIRST = 4  # the fewest that a text has
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shipped(
    embedded_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Base, list[AdapterSource]]]:
    store = tmp_path_factory.mktemp("starters") / "store"
    with open_platform(cache=embedded_cache, store=store) as platform:
        sources = [platform.resolve(name) for name in NAMES]
        yield platform.bases.for_adapter(sources[0].manifest)[0], sources


@pytest.fixture(scope="module")
def rows(shipped: tuple[Base, list[AdapterSource]], embedded_cache: Path) -> list[Row]:
    """Texts of one token to very many, in many languages, for each adapter in turn."""
    base, sources = shipped
    encoder = TextEncoder(base, embedded_cache)
    made = [Row(encoder.encode(["a"], LONGEST)[0].ids, sources[0])]
    for number in range(1, TEXTS):
        phrases = [PHRASES[(number + i) % len(PHRASES)] for i in range(16)]
        length = FIRST + (LONGEST - FIRST) * number**3 // (TEXTS - 1) ** 3  # most are short
        (encoded,) = encoder.encode([" ".join(phrases)], length)
        made.append(Row(encoded.ids, sources[number % len(sources)]))
    return made


def counted(
    source: AdapterSource, tokens: Sequence[int], dtype: type[np.floating[Any]]
) -> np.ndarray:
    """What the tokens' own weights add, by their TF-IDF: a dictionary's way to the same sums."""
    if not source.manifest.token_bag:
        return np.zeros(1, dtype)
    bag = load_file(source.path / "token_bag.safetensors")
    place = {token: i for i, token in enumerate(bag["tokens"].tolist())}
    times = Counter(place[token] for token in tokens if token in place)
    if not times:
        return np.zeros(1, dtype)
    x = np.array([(1 + np.log(n)) * bag["idf"][i] for i, n in times.items()], dtype)
    return x / np.linalg.norm(x) @ bag["weight"][list(times)].astype(dtype)


@pytest.fixture(scope="module")
def plain(
    shipped: tuple[Base, list[AdapterSource]], rows: list[Row]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What plain PEFT and the tokens' own weights say, text by text: in float32, and in float64."""
    base, sources = shipped
    model = PeftModel.from_pretrained(load_encoder(base, CPU), str(sources[0].path), "v0").eval()
    for number, source in enumerate(sources[1:], start=1):
        model.load_adapter(str(source.path), f"v{number}")

    def logits(dtype: type[np.floating[Any]]) -> list[np.ndarray]:
        found: list[np.ndarray] = [np.empty(0)] * len(rows)
        for number, source in enumerate(sources):
            model.set_adapter(f"v{number}")
            head = Head.load(source.path)
            for i in [i for i, row in enumerate(rows) if row.adapter is source]:
                ids, mask = pad([rows[i].tokens], base.pad_id, CPU)
                with torch.no_grad():
                    (state,) = pooled(model, ids, mask, head.pooling).numpy()
                found[i] = head.weight.astype(dtype) @ state + head.bias
                found[i] += counted(source, rows[i].tokens, dtype)
        return found

    single = logits(np.float32)
    model.double()
    return single, logits(np.float64)


@pytest.fixture(scope="module")
def exact(plain: tuple[list[np.ndarray], list[np.ndarray]]) -> list[np.ndarray]:
    return plain[1]


@pytest.fixture(scope="module")
def ask(
    shipped: tuple[Base, list[AdapterSource]],
) -> Iterator[Callable[[Sequence[Row], str], list[np.ndarray]]]:
    """``ask(rows, "packed")``: their logits."""
    engines = Engines(shipped[0], Settings(threads=1), NullListener(), ColdStart(0))

    def logits(asked: Sequence[Row], engine: str) -> list[np.ndarray]:
        return [answer.logits for answer, _ in engines.answers(asked, engine)]

    yield logits
    engines.close()


def test_texts_are_from_one_token_to_very_many(rows: list[Row]) -> None:
    lengths = [len(row.tokens) for row in rows]
    assert (min(lengths), max(lengths)) == (3, LONGEST)
    assert len(set(lengths)) >= TEXTS / 2


def test_every_engines_error_against_float64_is_at_most_twice_that_of_plain_peft(
    ask: Callable[..., list[np.ndarray]],
    rows: list[Row],
    plain: tuple[list[np.ndarray], list[np.ndarray]],
) -> None:
    single, exact = plain
    assert max(np.abs(logits).max() for logits in exact) >= 5
    allowed = 2 * _largest_error(single, exact)
    for engine in ("peft", "packed", "numpy"):
        found = ask(rows, engine)
        assert _largest_error(found, exact) <= allowed, engine
        for ours, true in zip(found, exact, strict=True):
            if np.diff(np.sort(true))[-1] > 1e-4:
                assert ours.argmax() == true.argmax()


def _largest_error(found: Sequence[np.ndarray], exact: Sequence[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(found, exact, strict=True))


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(picks=st.lists(st.integers(0, TEXTS - 1), min_size=1, max_size=8))
@pytest.mark.parametrize("engine", ["packed", "numpy", "peft"])
def test_whoever_else_is_in_the_batch(
    ask: Callable[..., list[np.ndarray]],
    rows: list[Row],
    exact: list[np.ndarray],
    engine: str,
    picks: list[int],
) -> None:
    found = ask([rows[pick] for pick in picks], engine)
    for pick, ours in zip(picks, found, strict=True):
        np.testing.assert_allclose(ours, exact[pick], rtol=1e-4, atol=1e-4)
