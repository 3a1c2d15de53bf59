"""Train, validation and test: splits that the data brings are kept, missing ones are made."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..data.near import near_duplicates
from ..errors import DataError
from ..examples import SPLITS, Dataset, Example, Split, place
from ..labels import LabelScheme

if TYPE_CHECKING:
    from .recipe import Recipe


@dataclass(frozen=True, slots=True)
class Splits:
    """Examples by their use, each with its `split` set, in the order of the data.

    Attributes:
        val, test: empty where the data brings none and is too small to make one.
        notes: sentences for the report.
    """

    train: tuple[Example, ...]
    val: tuple[Example, ...]
    test: tuple[Example, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Unit:
    """Near-duplicate examples, which stay together: their positions and how often each label."""

    members: tuple[int, ...]
    counts: Counter[str]
    rank: bytes


def recipe_splits(dataset: Dataset, recipe: Recipe) -> Splits:
    """`make_splits` as a recipe has it: the same in a training and whenever it is judged later.

    Raises:
        DataError: as `make_splits`.
    """
    return make_splits(
        dataset.examples,
        dataset.scheme,
        seed=recipe.seed,
        val_share=recipe.val_share,
        test_share=recipe.test_share,
    )


def make_splits(
    examples: Sequence[Example],
    scheme: LabelScheme,
    *,
    seed: int,
    val_share: float,
    test_share: float,
) -> Splits:
    """Keeps the splits that examples name and cuts the missing ones from the rest.

    Examples without a split count as training ones. A missing validation or test split takes its
    share of those, label by label from the rarest: an iterative stratification in the manner of
    Sechidis, Tsoumakas & Vlahavas 2011 (section 3.2), with near-duplicate texts as one unit and
    what a label's rounding leaves over carried to the next label. Training keeps at least one unit
    of every label. Which texts go is decided by a hash of seed and text, so a row that is added
    or moved changes little else.

    Args:
        val_share, test_share: shares of the examples that are not in a given split.

    Raises:
        DataError: too few examples or classes to learn from, or a class that stands in validation
            or test and not in training.
    """
    _check_enough(examples, scheme)
    groups = near_duplicates([example.text for example in examples])
    side: list[Split] = [example.split or "train" for example in examples]
    given = set(side) - {"train"}
    pool = [i for i, name in enumerate(side) if name == "train"]
    if not pool:
        raise DataError(
            f"the data has no training examples, only {' and '.join(sorted(given))}",
            "name a training file, or leave the split column empty for rows to train on",
        )
    units = _units(examples, groups, pool, seed)
    # Test first: where there is too little for both, scores matter more than tuning.
    shares: tuple[tuple[Split, float], ...] = (("test", test_share), ("val", val_share))
    for name, share in shares:
        if name not in given:
            taken = _take(units, Counter(_labels(examples, pool)), share)
            units = [unit for unit in units if unit not in taken]
            for unit in taken:
                for i in unit.members:
                    side[i] = name
    split: dict[Split, tuple[Example, ...]] = {
        name: tuple(
            replace(example, split=name)
            for example, where in zip(examples, side, strict=True)
            if where == name
        )
        for name in SPLITS
    }
    train, val, test = split["train"], split["val"], split["test"]
    _check_learnable(train, val, test, scheme, made="test" not in given)
    notes = [*_size_notes(val, test), *_class_notes(split, scheme)]
    notes += _leak_notes(examples, groups, side, given)
    return Splits(train, val, test, tuple(notes))


def _check_enough(examples: Sequence[Example], scheme: LabelScheme) -> None:
    if len(examples) < 2:
        count = "one example" if examples else "no example"
        raise DataError(f"there is {count}; training needs at least two classes of them")
    answers = {example.labels for example in examples}
    if len(answers) < 2:
        what = ", ".join(repr(label) for label in next(iter(answers))) or "no label"
        raise DataError(
            f"every example has the same answer, {what}; there is nothing to tell apart",
            None if scheme.kind == "multi" else "add examples of a second class",
        )


def _units(
    examples: Sequence[Example], groups: Sequence[int], pool: Sequence[int], seed: int
) -> list[_Unit]:
    """The pool in units of near-duplicates, in the order that seed and texts decide."""
    members: defaultdict[int, list[int]] = defaultdict(list)
    for i in pool:
        members[groups[i]].append(i)
    units = [
        _Unit(
            tuple(inside),
            Counter(_labels(examples, inside)),
            min(_rank(examples[i].text, seed) for i in inside),
        )
        for inside in members.values()
    ]
    return sorted(units, key=lambda unit: unit.rank)


def _rank(text: str, seed: int) -> bytes:
    return hashlib.blake2b(
        f"{seed}\0{text}".encode("utf-8", "surrogatepass"), digest_size=8
    ).digest()


def _labels(examples: Sequence[Example], positions: Iterable[int]) -> list[str]:
    """The labels at these positions; an example without any counts as one of a label of its own."""
    return [label for i in positions for label in examples[i].labels or ("",)]


def _take(units: Sequence[_Unit], totals: Counter[str], share: float) -> set[_Unit]:
    """Units for a split of about `share` of each label's `totals`, at least one of each left."""
    having: defaultdict[str, list[_Unit]] = defaultdict(list)
    for unit in units:
        for label in unit.counts:
            having[label].append(unit)
    remaining = {label: len(inside) for label, inside in having.items()}
    have: Counter[str] = Counter()
    taken: set[_Unit] = set()
    carried = 0.0
    for label in sorted(having, key=lambda name: (totals[name], name)):
        want = {other: share * totals[other] - have[other] for other in totals}
        want[label] += carried
        for unit in having[label]:
            # Half an example too many is rounding; more would be another share.
            fits = all(n < want[other] + 0.5 for other, n in unit.counts.items())
            if fits and unit not in taken and all(remaining[other] > 1 for other in unit.counts):
                taken.add(unit)
                have.update(unit.counts)
                for other, n in unit.counts.items():
                    want[other] -= n
                    remaining[other] -= 1
        carried = max(-0.5, min(0.5, want[label]))
    return taken


def _check_learnable(
    train: Sequence[Example],
    val: Sequence[Example],
    test: Sequence[Example],
    scheme: LabelScheme,
    *,
    made: bool,
) -> None:
    known = Counter(label for example in train for label in example.labels)
    for name, others in (("validation", val), ("test", test)):
        lost = [e for e in others if any(label not in known for label in e.labels)]
        if lost:
            label = next(label for label in lost[0].labels if label not in known)
            raise DataError(
                f"the label {label!r} stands in the {name} split ({lost[0].where}) and not in "
                "training",
                f"add training examples of it, or take it out of the {name} split",
            )
    if len({example.labels for example in train}) < 2:
        raise DataError("all training examples have the same answer", "add another class to them")
    if made and not test and scheme.kind != "multi" and max(known.values()) < 2:
        raise DataError(
            "every class has one example, so nothing can be held back to judge by",
            "add examples, or name a test file",
        )


def _size_notes(val: Sequence[Example], test: Sequence[Example]) -> list[str]:
    named = (("validation", val), ("test", test))
    return [
        f"too few examples to hold any back for a {name} split"
        for name, examples in named
        if not examples
    ]


def _class_notes(split: dict[Split, tuple[Example, ...]], scheme: LabelScheme) -> list[str]:
    count = {
        name: Counter(label for example in side for label in example.labels)
        for name, side in split.items()
    }
    total = count["train"] + count["val"] + count["test"]
    absent = [label for label in scheme.classes if not total[label]]
    single = [label for label in scheme.classes if total[label] == 1]
    notes = []
    if absent:
        notes.append(f"no example has the {_named(absent)}: such answers will hardly be given")
    if single:
        notes.append(f"the {_named(single)} cannot be judged: a single example is too few")
    if split["test"]:
        unseen = [x for x in scheme.classes if total[x] > 1 and not count["test"][x]]
        if unseen:
            notes.append(
                f"no test example has the {_named(unseen)}: how such texts fare is not known"
            )
    return notes


def _named(labels: Sequence[str]) -> str:
    if len(labels) == 1:
        return f"label {labels[0]!r}"
    more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return "labels " + ", ".join(repr(label) for label in labels[:5]) + more


def _leak_notes(
    examples: Sequence[Example], groups: Sequence[int], side: Sequence[Split], given: set[Split]
) -> list[str]:
    """What stands on two sides, all but the same, where the data brings one of them."""
    called = {"train": "training", "val": "validation", "test": "test"}
    pairs: tuple[tuple[Split, Split], ...] = (("test", "train"), ("test", "val"), ("val", "train"))
    notes = []
    for split, other in pairs:
        if not given & {split, other}:
            continue  # those that are made share nothing
        twins = {groups[i]: i for i, name in enumerate(side) if name == other}
        both = [i for i, name in enumerate(side) if name == split and groups[i] in twins]
        if both:
            twin = examples[twins[groups[both[0]]]]
            notes.append(
                f"{len(both)} of the {side.count(split)} {called[split]} texts also stand in "
                f"{called[other]}, word for word or nearly so: {place(examples[both[0]].where)} "
                f"and {place(twin.where)}; scores on them say less"
            )
    return notes
