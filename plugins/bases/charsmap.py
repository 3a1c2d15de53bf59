"""A tokenizer's normalising rules in SentencePiece's binary form (`precompiled_charsmap`)."""

from __future__ import annotations

import itertools
import struct
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_SEQUENCE_BYTES = 5


def with_sequences(replacements: Mapping[str, str]) -> dict[str, str]:
    """The rules for single characters, and those for sequences that follow from them.

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


def charsmap(rules: Mapping[str, str]) -> bytes:
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
