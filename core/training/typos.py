"""Training texts once more with a typing error in them: people make those, label authors do not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from ..examples import Example

PLACE = "typing error"  # where such an example comes from
FEWEST = 4  # characters that a text must have to bear an error
CHARACTERS_AN_ERROR = 25


def mistyped(examples: Sequence[Example], share: float, seed: int) -> list[Example]:
    """Copies of a share of the examples, each with one error or, in long texts, several.

    An error drops or doubles a letter, or swaps it with the next one, within a word; in Chinese,
    Japanese and Korean any neighbouring characters count. The same seed makes the same errors.
    """
    chance = random.Random(seed)
    able = [example for example in examples if len(example.text) >= FEWEST]
    chosen = chance.sample(able, round(share * len(able)))
    return [
        replace(example, text=text, where=PLACE)
        for example in chosen
        if (text := _mistype(example.text, chance)) != example.text
    ]


def _mistype(text: str, chance: random.Random) -> str:
    for _ in range(1 + len(text) // CHARACTERS_AN_ERROR):
        places = [i for i in range(len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()]
        if not places:
            break
        i = chance.choice(places)
        first, second = text[i], text[i + 1]
        written = chance.choice((second, first + first + second, second + first))
        text = text[:i] + written + text[i + 2 :]
    return text
