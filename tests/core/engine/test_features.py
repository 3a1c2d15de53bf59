"""What the bare base makes of texts: the same from every engine, whatever is loaded beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from adapter_platform.core.bases import Base, Bases
from adapter_platform.core.engine.choice import ColdStart, Engines
from adapter_platform.core.engine.encoder import load_encoder, pad, pooled
from adapter_platform.core.engine.protocol import Engine
from adapter_platform.core.errors import AdapterUnsupported, RecipeError, UsageError
from adapter_platform.core.heads import Pooling
from adapter_platform.core.registry import NullListener, Registry
from adapter_platform.core.settings import Settings

from .conftest import CPU, MakeAdapter, MakeEngine, ask, texts


def plain_states(base: Base, rows: list[tuple[int, ...]], pooling: Pooling) -> np.ndarray:
    """What transformers' encoder says in float64."""
    ids, mask = pad(rows, base.pad_id, CPU)
    with torch.no_grad():
        return pooled(load_encoder(base, CPU).double(), ids, mask, pooling).numpy()


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_they_are_the_encoders_own_in_the_rows_order(
    tiny: Base, engine: Engine, pooling: Pooling
) -> None:
    rows = texts(40)  # several batches
    found = engine.features(rows, pooling)
    assert (found.shape, found.dtype) == ((40, tiny.hidden_size), np.float32)
    np.testing.assert_allclose(found, plain_states(tiny, rows, pooling), atol=1e-5)


def test_adapters_in_memory_leave_them_alone(
    tiny_base: Path, tiny: Base, engine: Engine, make_adapter_dir: MakeAdapter
) -> None:
    rows = texts(6)
    before = engine.features(rows, "mean")
    adapters = [make_adapter_dir(tiny_base, f"n{i}", seed=i) for i in range(2)]
    answers = [ask(engine, adapter, rows) for adapter in adapters]
    np.testing.assert_array_equal(engine.features(rows, "mean"), before)
    np.testing.assert_allclose(ask(engine, adapters[0], rows), answers[0], atol=1e-5)


def test_no_texts_have_none(tiny: Base, engine: Engine) -> None:
    assert engine.features([], "mean").shape == (0, tiny.hidden_size)


def test_a_pooler_that_the_base_has_not_is_refused(
    tiny_base_without_pooler: Path, tmp_path: Path, make_engine: MakeEngine
) -> None:
    base = Bases(Registry(), tmp_path / "cache").resolve(str(tiny_base_without_pooler))
    engine = make_engine(base)
    with pytest.raises(RecipeError, match="has no pooler"):
        engine.features(texts(2), "pooler")
    assert len(engine.features(texts(2), "mean")) == 2  # and it lives on


def test_a_closed_engine_reads_nothing_more(tiny: Base, make_engine: MakeEngine) -> None:
    engine = make_engine(tiny)
    engine.features(texts(1), "mean")
    engine.close()
    with pytest.raises(UsageError, match="closed"):
        engine.features(texts(1), "mean")


def roberta(directory: Path, tokenizer: Path) -> Base:
    """A tiny base of another architecture, with another's tokenizer."""
    from transformers import RobertaConfig, RobertaModel

    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = RobertaConfig(
        vocab_size=160, intermediate_size=32, max_position_embeddings=64, pad_token_id=0, **shape
    )
    torch.manual_seed(0)
    RobertaModel(config, add_pooling_layer=False).save_pretrained(directory)
    shutil.copy(tokenizer / "tokenizer.json", directory)
    return Bases(Registry(), directory / "cache").resolve(str(directory))


def test_auto_runs_on_peft_what_the_packed_engine_does_not_know(tiny: Base, tmp_path: Path) -> None:
    settings = Settings(store=tmp_path / "store", cache=tmp_path / "cache", threads=1)
    for base, expected in ((tiny, "packed"), (roberta(tmp_path / "roberta", tiny.path), "peft")):
        engines = Engines(base, settings, NullListener(), ColdStart(0))
        found, name = engines.features(texts(3), "mean", "auto")
        assert (found.shape, name) == ((3, base.hidden_size), expected)
        np.testing.assert_allclose(found, plain_states(base, texts(3), "mean"), atol=1e-5)
        if expected == "peft":
            with pytest.raises(AdapterUnsupported, match="'roberta', not BERT"):
                engines.features(texts(1), "mean", "packed")
        engines.close()
