"""The splits as training uses them: what is added to the training texts, and what must be there."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ..data.near import normalise
from ..errors import TrainingError
from ..examples import Example
from .splits import Splits, recipe_splits
from .typos import mistyped

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..examples import Dataset
    from ..labels import LabelScheme
    from .recipe import Recipe

SEAMS = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")  # between the words of set_alarm, PlayMusic, a/b
PLACE = "label scheme"  # where the added examples are from
WORD = re.compile(r"[^\W\d_]{3}|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def training_splits(dataset: Dataset, recipe: Recipe) -> Splits:
    """The data's splits, with the training examples that the recipe adds to them.

    Raises:
        DataError: as `recipe_splits`.
        TrainingError: a class of the scheme has no training example.
    """
    splits = recipe_splits(dataset, recipe)
    train = list(splits.train)
    notes = list(splits.notes)
    if recipe.label_texts:
        judged = {normalise(example.text) for example in (*splits.val, *splits.test)}
        exemplified = {label for example in train for label in example.labels}
        names = label_texts(dataset.scheme, exemplified)
        names = [example for example in names if normalise(example.text) not in judged]
        train += names
        if names:
            texts = "1 text is" if len(names) == 1 else f"{len(names)} texts are"
            notes.append(f"{texts} added to the training texts: the labels' names and descriptions")
    if recipe.typos:
        train += mistyped(train, recipe.typos, recipe.seed)
    taught = {label for example in train for label in example.labels}
    absent = [label for label in dataset.scheme.classes if label not in taught]
    if absent:
        raise TrainingError(
            f"the label {absent[0]!r} has no training example",
            "add examples, or take it out of the label scheme",
        )
    return replace(splits, train=tuple(train), notes=tuple(notes))


def label_texts(scheme: LabelScheme, exemplified: Collection[str]) -> list[Example]:
    """Examples out of the scheme itself: each class's names for people, aliases and description.

    A class that has none of these is called by the words of its own name, if it has any and is
    among the `exemplified`: of a bare name alone nobody would learn a class.
    """
    found = []
    for label in scheme.labels:
        if label.group:
            continue
        texts = [*label.display.values(), *label.aliases, label.description]
        texts = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
        if not texts and label.name in exemplified:
            texts = [words(label.name)]
        found += [Example(text, (label.name,), "train", PLACE) for text in texts if text]
    return found


def words(name: str) -> str:
    """A label's name as people would say it, ``play music`` of ``PlayMusic``; empty for codes.

    Codes are names with a digit, and names without a word of three letters (in Chinese, Japanese
    and Korean of one).
    """
    if any(character.isdigit() for character in name) or not WORD.search(name):
        return ""
    return " ".join(part.lower() if part.istitle() else part for part in SEAMS.split(name) if part)
