"""Labels that are likely wrong: confident learning on out-of-fold answers of the frozen base."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from ..labels import LabelScheme
from ..tokens import TextEncoder
from ..training.linear import fit_temperature, targets
from ..training.recipe import make_recipe
from .folds import deal, out_of_fold_logits
from .frozen import frozen_features
from .reading import why_unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..bases import Base
    from ..data.example import Dataset, Example
    from ..labels import Kind
    from ..training.workshop import Progress, Workshop

    Floats = NDArray[np.floating[Any]]
    Integers = NDArray[np.int64]

JUDGING = "judging the labels"


@dataclass(frozen=True, slots=True)
class LabelError:
    """A label that is likely wrong.

    Attributes:
        where: ``file.csv:12``.
        given: the text's labels as they stand.
        likely: as they would be with this one put right.
        confidence: probability of what is likely: of the other label, or in `multi` that the one
            label that differs applies, or does not.
        given_confidence: probability of what stands there, by the same judge.
    """

    text: str
    where: str
    given: tuple[str, ...]
    likely: tuple[str, ...]
    confidence: float
    given_confidence: float

    @property
    def margin(self) -> float:
        """By how much the likely is more probable than the given."""
        return self.confidence - self.given_confidence


@dataclass(frozen=True, slots=True)
class LabelErrors:
    """What a look at the labels has found.

    Attributes:
        base: id of the base that judged.
        judged: texts whose labels were looked at.
        unjudged: labels with too few texts to be judged: one alone has none to learn from.
        errors: the surest first.
    """

    base: str
    judged: int
    unjudged: tuple[str, ...]
    errors: tuple[LabelError, ...]


def find_label_errors(
    dataset: Dataset, base: Base, max_length: int | None, workshop: Workshop, progress: Progress
) -> LabelErrors:
    """Labels of the data set that a probe on the frozen base, fitted without them, contradicts.

    Texts that the base cannot read are left out of it.

    Args:
        max_length: tokens that are read of a text, special tokens included; None: the recipe's
            default.

    Raises:
        DataError: there are not two labels with two texts each.
    """
    limit = max_length or make_recipe().max_length
    encoded = TextEncoder(base).encode([e.text for e in dataset.examples], limit)
    read = [
        (example, row.ids)
        for example, row in zip(dataset.examples, encoded, strict=True)
        if not why_unreadable(example.text, row, base)
    ]
    examples = [example for example, _ in read]
    folds = deal(examples)
    judged_by(examples, dataset.scheme, folds)  # refused before the work, not after it
    features = frozen_features([ids for _, ids in read], base, workshop, progress)
    errors, unjudged = contradicted(
        examples,
        dataset.scheme,
        features,
        folds,
        lambda done, total: progress.advance(done, total, JUDGING),
    )
    judged = [e for e in examples if dataset.scheme.kind == "multi" or e.labels[0] not in unjudged]
    return LabelErrors(base.id, len(judged), unjudged, errors)


def contradicted(
    examples: Sequence[Example],
    scheme: LabelScheme,
    features: Floats,
    folds: Integers,
    tick: Callable[[int, int], None],
) -> tuple[tuple[LabelError, ...], tuple[str, ...]]:
    """Likely label errors, the surest first, and the labels that could not be judged.

    Args:
        features: ``(texts, hidden)``.
        folds: ``(texts,)``, as `folds.deal` gives them.

    Raises:
        DataError: there are not two labels with two texts each.
    """
    judge = judged_by(examples, scheme, folds)
    unjudged = tuple(label for label in scheme.classes if label not in judge.classes)
    kept = [i for i, example in enumerate(examples) if _is_judged(example, judge)]
    chosen = [_only(examples[i], judge) for i in kept]
    wanted = targets(chosen, judge)
    logits = out_of_fold_logits(judge, features[kept], wanted, folds[kept], tick)
    probabilities = judge.probabilities(logits, fit_temperature(judge, logits, wanted))
    whole = [examples[i] for i in kept]
    if judge.kind == "multi":
        errors = _flipped(whole, scheme, judge, probabilities, wanted)
    else:
        errors = _mistaken(whole, judge, probabilities, wanted)
    return tuple(sorted(errors, key=lambda error: -error.margin)), unjudged


def judged_by(examples: Sequence[Example], scheme: LabelScheme, folds: Integers) -> LabelScheme:
    """The labels that stand in two folds at least, and so in what each fold is judged by.

    Paths are judged as the single labels that they are.

    Raises:
        DataError: there are not two of them, or in `multi` not one.
    """
    places: defaultdict[str, set[int]] = defaultdict(set)
    for example, fold in zip(examples, folds.tolist(), strict=True):
        for label in example.labels:
            places[label].add(fold)
    labels = [label for label in scheme.classes if len(places[label]) > 1]
    kind: Kind = "multi" if scheme.kind == "multi" else "single"
    if len(labels) < (1 if kind == "multi" else 2):
        raise DataError(
            f"there are too few texts to judge the labels by: {len(labels)} of "
            f"{len(scheme.classes)} labels stand at two texts that differ",
            "a label is judged by the other texts that have it; add some",
        )
    return LabelScheme.of(kind, labels)


def confident_errors(probabilities: Floats, given: Integers) -> Integers:
    """For each text the class that it likely has instead of the given one; -1 where none.

    Confident learning (Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating Uncertainty
    in Dataset Labels", equations 1 and 2): a text counts as of class ``j`` where ``p_j`` is at
    least the mean ``p_j`` of the texts that are labelled ``j``, the most probable such class if
    there are several. Those off the diagonal of the confident joint that this gives are the errors
    (section 3.2), here without those whose given label is still the more probable of the two.

    Args:
        probabilities: ``(texts, classes)``, each row from a model that did not see its text.
        given: class indices ``(texts,)``; each class has a text.
    """
    classes = probabilities.shape[1]
    limits = np.array([probabilities[given == k, k].mean() for k in range(classes)])
    confident = np.where(probabilities >= limits, probabilities, -1.0)
    likely = confident.argmax(axis=1)
    rows = np.arange(len(given))
    wrong = (
        (confident[rows, likely] >= 0)
        & (likely != given)
        & (probabilities[rows, likely] > probabilities[rows, given])
    )
    return np.where(wrong, likely, -1)


def _mistaken(
    examples: Sequence[Example],
    judge: LabelScheme,
    probabilities: Floats,
    wanted: Integers,
) -> list[LabelError]:
    """One label a text: another one is likely."""
    likely = confident_errors(probabilities, wanted)
    return [
        LabelError(
            examples[i].text,
            examples[i].where,
            examples[i].labels,
            (judge.classes[likely[i]],),
            float(probabilities[i, likely[i]]),
            float(probabilities[i, wanted[i]]),
        )
        for i in np.flatnonzero(likely >= 0).tolist()
    ]


def _flipped(
    examples: Sequence[Example],
    scheme: LabelScheme,
    judge: LabelScheme,
    probabilities: Floats,
    wanted: Integers,
) -> list[LabelError]:
    """Several labels a text, each a choice of two: one of the choices is likely wrong."""
    errors = []
    for k, label in enumerate(judge.classes):
        applies = probabilities[:, k]
        if wanted[:, k].all():  # nothing to compare with
            continue
        likely = confident_errors(np.stack([1 - applies, applies], axis=1), wanted[:, k])
        for i in np.flatnonzero(likely >= 0).tolist():
            example = examples[i]
            missing = likely[i] == 1
            changed = {*example.labels, label} if missing else {*example.labels} - {label}
            sure = float(applies[i] if missing else 1 - applies[i])
            errors.append(
                LabelError(
                    example.text,
                    example.where,
                    example.labels,
                    tuple(name for name in scheme.classes if name in changed),
                    sure,
                    1 - sure,
                )
            )
    return errors


def _is_judged(example: Example, judge: LabelScheme) -> bool:
    return judge.kind == "multi" or example.labels[0] in judge.classes


def _only(example: Example, judge: LabelScheme) -> Example:
    """The example with the labels that are judged."""
    if all(label in judge.classes for label in example.labels):
        return example
    return replace(example, labels=tuple(x for x in example.labels if x in judge.classes))
