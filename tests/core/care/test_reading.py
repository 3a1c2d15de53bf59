"""How a base reads texts: tokens, what is cut off, what it cannot read."""

from __future__ import annotations

from pathlib import Path

from adapter_platform.core.bases import Bases
from adapter_platform.core.care.reading import read_examples
from adapter_platform.core.examples import Example
from adapter_platform.core.registry import Registry


def test_tokens_cut_texts_and_unreadable_ones_are_counted(tiny_base: Path, tmp_path: Path) -> None:
    """The tiny base reads letter by letter, and no Cyrillic."""
    base = Bases(Registry(), tmp_path).resolve(str(tiny_base))
    texts = ["abc", "abcdef", "Где мой заказ", "a" * 50, "b " * 200]
    examples = [Example(text, ("x",), where=f"f.csv:{i}") for i, text in enumerate(texts)]
    reading = read_examples(examples, base, 20)
    assert (reading.base, reading.max_length) == (base.id, 20)
    assert (reading.tokens.shortest, reading.tokens.longest) == (5, base.max_positions)
    assert reading.cut == 2
    assert [(found.where, found.text) for found in reading.unreadable] == [("f.csv:2", texts[2])]
    assert "unknown to the base" in reading.unreadable[0].reason


def test_no_more_is_read_than_the_base_can(tiny_base: Path, tmp_path: Path) -> None:
    base = Bases(Registry(), tmp_path).resolve(str(tiny_base))
    texts = ["b " * 100, "b " * 200]
    reading = read_examples([Example(text, ("x",)) for text in texts], base, 100_000)
    assert reading.max_length == base.max_positions == 128
    assert reading.cut == 1
