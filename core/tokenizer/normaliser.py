"""What SentencePiece's normalising rules make of a text, as `tokenizers` applies them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

CLUSTER_BYTES = 6  # a grapheme cluster of so many bytes is looked up character by character
HANGUL = ((0x1100, 0x1200), (0xA960, 0xA980), (0xAC00, 0xD800))
PICTOGRAPHS = "©®"  # the only ones that are short enough to share a cluster that is looked up


class Charsmap:
    """Rules in the binary form of `precompiled_charsmap`: a Darts-clone trie, the replacements."""

    def __init__(self, data: bytes) -> None:
        end = 4 + int.from_bytes(data[:4], "little")
        self._units = memoryview(data)[4:end].cast("I")
        self._text = data[end:]

    def replacement(self, chunk: str) -> str | None:
        """What stands for the whole chunk if a rule fits its beginning: the shortest that does."""
        units = self._units
        node = _offset(units[0])
        for byte in chunk.encode():
            if byte == 0:
                return None
            node ^= byte
            unit = units[node]
            if unit & 0x800000FF != byte:
                return None
            node ^= _offset(unit)
            if unit & 0x100:
                start = units[node] & 0x7FFFFFFF
                return self._text[start : self._text.index(0, start)].decode()
        return None


def _offset(unit: int) -> int:
    return (unit >> 10) << ((unit & 0x200) >> 6)


@dataclass(frozen=True, slots=True)
class Breaks:
    """Sets of characters as sorted bounds: the first in, the first out, the next in, ...

    Attributes:
        joining: continue the grapheme cluster of the character before them.
        leading: draw the character after them into their cluster.
        lone: stand alone, whatever follows.
    """

    joining: tuple[int, ...]
    leading: tuple[int, ...]
    lone: tuple[int, ...]


class Normaliser:
    """Replaces clusters of up to five bytes, else characters.

    Cluster boundaries are those of Unicode (UAX 29) as far as they matter here, since most rules
    concern longer clusters than are looked up.
    """

    def __init__(self, charsmap: Charsmap, breaks: Breaks) -> None:
        self._charsmap = charsmap
        self._breaks = breaks
        self._characters: dict[str, str] = {}
        self._kinds: dict[str, tuple[bool, bool, bool]] = {}

    def __call__(self, text: str) -> str | None:
        """The normalised text; None where it would take more rules than these to be sure."""
        parts: list[str] = []
        start = 0
        while start < len(text):
            end = self._cluster_end(text, start)
            cluster = text[start:end]
            whole = self._whole(cluster)
            if whole is None:
                parts.extend(map(self._character, cluster))
            elif self._may_begin_earlier(text, start):
                return None
            else:
                parts.append(whole)
            start = end
        return "".join(parts)

    def _cluster_end(self, text: str, start: int) -> int:
        if text.startswith("\r\n", start):
            return start + 2
        end = start + 1
        if not self._kind(text[start])[2]:
            while end < len(text) and self._kind(text[end])[0]:
                end += 1
        return end

    def _whole(self, cluster: str) -> str | None:
        if len(cluster) == 1 or len(cluster.encode()) >= CLUSTER_BYTES:
            return None
        return self._charsmap.replacement(cluster)

    def _may_begin_earlier(self, text: str, start: int) -> bool:
        """Whether the character before, for other reasons than `joining`, may be in the cluster."""
        if start == 0:
            return False
        before, first = text[start - 1], text[start]
        joining, leading, _ = self._kind(before)
        code = ord(before)
        syllable = code >= 0x10000 or any(low <= code < high for low, high in HANGUL)
        return leading or (ord(first) >= 0x800 and (joining or syllable))

    def _character(self, character: str) -> str:
        known = self._characters.get(character)
        if known is None:
            replaced = self._charsmap.replacement(character)
            known = self._characters[character] = character if replaced is None else replaced
        return known

    def _kind(self, character: str) -> tuple[bool, bool, bool]:
        """Whether it is joining, leading, lone."""
        known = self._kinds.get(character)
        if known is None:
            sets = (self._breaks.joining, self._breaks.leading, self._breaks.lone)
            joining, leading, lone = (_within(ord(character), bounds) for bounds in sets)
            known = self._kinds[character] = (joining, leading, lone)
        return known


def _within(code: int, bounds: Sequence[int]) -> bool:
    return bisect_right(bounds, code) % 2 == 1
