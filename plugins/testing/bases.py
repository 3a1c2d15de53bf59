"""Random bases that load in a moment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def make_tiny_base(
    directory: Path, *, pooler: bool = True, seed: int = 0, hidden: int = 32
) -> Path:
    """A random two-layer BERT with a word-piece tokenizer over single characters and some words.

    It loads in a moment and answers at random, the same on every run.
    """
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    words += ["##" + chr(c) for c in range(33, 127) if not chr(c).isupper()]
    words += list("数据清洗流程是什么你好谢天气库入表怎么平台去重")
    words = list(dict.fromkeys(words))
    vocab = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    special |= {"sep_token": "[SEP]", "mask_token": "[MASK]"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 128} | special
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    torch.manual_seed(seed)
    model = BertModel(
        BertConfig(
            vocab_size=len(words),
            hidden_size=hidden,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=2 * hidden,
            max_position_embeddings=128,
            initializer_range=0.2,
        ),
        add_pooling_layer=pooler,
    )
    model.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BERT with a pooler; 32 wide, two layers. Any recipe takes it as its base."""
    return make_tiny_base(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture(scope="session")
def tiny_base_without_pooler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without a pooler, as bases trained with mean pooling have none."""
    return make_tiny_base(tmp_path_factory.mktemp("bases") / "tiny-no-pooler", pooler=False, seed=1)
