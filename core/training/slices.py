"""Parts of the texts that are judged apart: by the data's columns, by length, by script."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..tokens import script_title

if TYPE_CHECKING:
    from ..examples import Example

SLICE_VALUES = 12  # a column with more values than this is no slice but free text
LENGTH, SCRIPT = "text length", "script"
ENOUGH = 10  # texts below which a slice that the data did not ask for would be noise
HAN = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(rf"[{HAN}]|[^\W{HAN}]+")
"""A word; of Chinese and Japanese, which leave no space between words, a character."""

Rows = list[int]


def slices(examples: Sequence[Example]) -> Mapping[str, Mapping[str, Rows]]:
    """Rows by what they are sliced by and by its value.

    The data's own columns come first, where they have 2 to `SLICE_VALUES` values. Then the length
    in words, in thirds of these texts, and the script, where there are several.
    """
    words = [WORD.findall(example.text) for example in examples]
    made = {
        LENGTH: dict(_by_length([len(found) for found in words])),
        SCRIPT: dict(_by_script(words)),
    }
    columns = {
        column: dict(sorted(groups.items()))
        for column, groups in _columns(examples).items()
        if 2 <= len(groups) <= SLICE_VALUES
    }
    ours = {name: groups for name, groups in made.items() if len(groups) > 1}
    return columns | {name: groups for name, groups in ours.items() if name not in columns}


def _columns(examples: Sequence[Example]) -> dict[str, dict[str, Rows]]:
    columns: dict[str, dict[str, Rows]] = {}
    for i, example in enumerate(examples):
        for column, value in example.fields.items():
            columns.setdefault(column, {}).setdefault(value, []).append(i)
    return columns


def _by_length(lengths: Sequence[int]) -> Iterator[tuple[str, Rows]]:
    """Three parts as near to equal as whole words allow; fewer where lengths hardly differ."""
    short, medium = (int(q) for q in np.quantile(lengths, [1 / 3, 2 / 3], method="inverted_cdf"))
    bounds = ((0, short), (short + 1, medium), (medium + 1, max(lengths)))
    for least, most in bounds:
        rows = [i for i, length in enumerate(lengths) if least <= length <= most]
        if len(rows) >= ENOUGH:
            yield _words(least, most, max(lengths)), rows


def _words(least: int, most: int, longest: int) -> str:
    if most == longest:
        return f"{least} words and more"
    word = "word" if most == 1 else "words"
    return f"up to {most} {word}" if least == 0 else f"{least} to {most} {word}"


def _by_script(words: Sequence[Sequence[str]]) -> Iterator[tuple[str, Rows]]:
    """Texts by the script of most of their words, the commonest script first."""
    found: dict[str, Rows] = {}
    for i, row in enumerate(words):
        scripts = Counter(script_title(word[0]) for word in row if word[0].isalpha())
        if scripts:
            found.setdefault(scripts.most_common(1)[0][0], []).append(i)
    for script in sorted(found, key=lambda name: (-len(found[name]), name)):
        if len(found[script]) >= ENOUGH:
            yield script, found[script]
