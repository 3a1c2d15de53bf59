"""What an adapter's own steps make of its answers: which they withhold, and how those left are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NotRequired, TypedDict

from ..labels import SEPARATOR
from .proportions import wilson

if TYPE_CHECKING:
    from ..answers import Said
    from ..examples import Example
    from ..predictions import Prediction
    from ..store.manifest import Manifest

ALIAS = "alias"
NAMING = frozenset({ALIAS, "display"})  # steps that name an answer otherwise and leave it as it is


class Share(TypedDict):
    """How many of how many texts, and the share with its 95 % interval (Wilson's) if of any."""

    n: int
    of: int
    share: float | None
    interval: list[float] | None


class AfterSteps(TypedDict):
    """What is answered once the steps have had their say.

    Attributes:
        steps: the names of those that may withhold or change answers, in order.
        answered, withheld: of all texts.
        wrong: of the answered ones. In a hierarchy an answer that a step has shortened is right
            where the right path begins with it.
        withheld_right: of the withheld ones, those that the adapter itself would have got right.
        changed: of the answered ones, those whose answer is not the adapter's own.
        shortened: hierarchical: of the answered ones, those whose path a step has ended early.
    """

    steps: list[str]
    answered: Share
    wrong: Share
    withheld: Share
    withheld_right: Share
    changed: Share
    shortened: NotRequired[Share]


def acting_steps(manifest: Manifest) -> list[str]:
    """The names of an adapter's steps that may withhold or change answers."""
    return [record.name for record in manifest.postprocess if record.name not in NAMING]


def after_steps(
    said: Sequence[Said], examples: Sequence[Example], manifest: Manifest
) -> AfterSteps:
    """Counts over what an adapter says of the examples' texts, one text at least."""
    multi = manifest.scheme.kind == "multi"
    withheld = withheld_right = wrong = changed = shortened = 0
    for one, example in zip(said, examples, strict=True):
        wanted, own = set(example.labels), _names(one.plain, multi)
        if one.answer.abstained or (one.answer.label is None and not multi):
            withheld += 1
            withheld_right += own == wanted
            continue
        given = _in_the_schemes_words(one.plain, one.answer, _names(one.answer, multi))
        is_shorter = not multi and given != own and _begins(given, own)
        shortened += is_shorter
        changed += given != own
        wrong += not (given == wanted or (is_shorter and _begins(given, wanted)))
    answered = len(said) - withheld
    found: AfterSteps = {
        "steps": acting_steps(manifest),
        "answered": _share(answered, len(said)),
        "wrong": _share(wrong, answered),
        "withheld": _share(withheld, len(said)),
        "withheld_right": _share(withheld_right, withheld),
        "changed": _share(changed, answered),
    }
    if manifest.scheme.kind == "hierarchical":
        found["shortened"] = _share(shortened, answered)
    return found


def _share(n: int, of: int) -> Share:
    return {
        "n": n,
        "of": of,
        "share": n / of if of else None,
        "interval": wilson(n, of) if of else None,
    }


def _names(prediction: Prediction, multi: bool) -> set[str]:
    if multi:
        return {name for name, _ in prediction.labels}
    return set() if prediction.label is None else {prediction.label}


def _in_the_schemes_words(plain: Prediction, answer: Prediction, names: set[str]) -> set[str]:
    """Names that a step has given to labels, as the scheme has them: their places stay."""
    ours, theirs = list(plain.probabilities), list(answer.probabilities)
    if len(ours) != len(theirs) or (ALIAS not in answer.steps and set(ours) == set(theirs)):
        return names
    nodes = {
        outside: inside for (outside, _), (inside, _) in zip(answer.path, plain.path, strict=False)
    }
    known = nodes | dict(zip(theirs, ours, strict=True))
    return {known.get(name, name) for name in names}


def _begins(given: set[str], whole: set[str]) -> bool:
    """Whether the one path begins the other."""
    return any(path.startswith(start + SEPARATOR) for start in given for path in whole)
