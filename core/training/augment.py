"""The splits as training uses them: what is added to the training texts, and what must be there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..data.near import normalise
from ..errors import TrainingError
from ..examples import Example
from .splits import Splits, make_splits
from .typos import mistyped

if TYPE_CHECKING:
    from ..examples import Dataset
    from ..labels import LabelScheme
    from .recipe import Recipe


def training_splits(dataset: Dataset, recipe: Recipe) -> Splits:
    """The data's splits, with the training examples that the recipe adds to them.

    Raises:
        DataError: as `make_splits`.
        TrainingError: a class of the scheme has no training example.
    """
    splits = make_splits(
        dataset.examples,
        dataset.scheme,
        seed=recipe.seed,
        val_share=recipe.val_share,
        test_share=recipe.test_share,
    )
    train = list(splits.train)
    notes = list(splits.notes)
    if recipe.label_texts:
        judged = {normalise(example.text) for example in (*splits.val, *splits.test)}
        names = [e for e in label_texts(dataset.scheme) if normalise(e.text) not in judged]
        train += names
        if names:
            notes.append(f"{len(names)} of the training texts are labels' names and descriptions")
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


def label_texts(scheme: LabelScheme) -> list[Example]:
    """Examples out of the scheme itself: each class's names for people, aliases and description."""
    found = []
    for label in scheme.labels:
        if label.group:
            continue
        texts = [*label.display.values(), *label.aliases, label.description]
        for text in dict.fromkeys(text.strip() for text in texts):
            if text:
                found.append(Example(text, (label.name,), "train", "label scheme"))
    return found
