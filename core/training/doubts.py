"""What speaks against an adapter that a training has just judged, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .augment import PLACE as FROM_SCHEME
from .evaluate import plain_metrics
from .linear import ENOUGH
from .phases import count
from .report import against_probe
from .verdicts import Verdicts

if TYPE_CHECKING:
    from .prepare import Prepared

SIDES = {"val": "validation", "test": "test"}


def doubts(report: Mapping[str, Any], prepared: Prepared) -> list[str]:
    """Whether the adapter beats one answer to all texts, and whether there are texts to judge by.

    Both by the split that decides whether the adapter becomes current; none where there is none.
    """
    judged = against_probe(report)
    if judged is None:
        return []
    examples = prepared.examples(judged.split)
    texts = f"{SIDES[judged.split]} text"
    found = []
    if len(examples) < ENOUGH:
        found.append(
            f"the adapter is judged by {count(len(examples), texts)}: "
            f"fewer than {ENOUGH} are too few to judge by"
        )
    answer = most_frequent(prepared)
    given = np.isin(prepared.scheme.classes, answer).astype(float)
    constant = Verdicts.of([given] * len(examples), examples, prepared.scheme)
    floor = plain_metrics(constant)[judged.metric]
    if judged.ours == 0:
        found.append(f"the adapter gets none of {count(len(examples), texts)} right")
    elif judged.ours < 1 and judged.ours <= floor:
        named = ", ".join(map(repr, answer)) or "no label"
        found.append(
            f"the adapter does not beat always answering {named}: {judged.metric} "
            f"{100 * judged.ours:.1f} against {100 * floor:.1f} on the {judged.split} split"
        )
    return found


def most_frequent(prepared: Prepared) -> tuple[str, ...]:
    """The labels that most of the data's own training texts have; the first of several alike."""
    own = [example for example in prepared.splits.train if example.where != FROM_SCHEME]
    counts = Counter(tuple(sorted(example.labels)) for example in own)
    return min(counts, key=lambda labels: (-counts[labels], labels))
