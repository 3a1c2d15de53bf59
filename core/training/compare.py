"""Two adapters with the same labels on the same texts: who is better, and by how much for sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from scipy.stats import binomtest

from ..errors import UsageError
from ..examples import place
from . import bootstrap
from .evaluate import headline
from .judge import texts_to_judge
from .reliability import reliability
from .verdicts import Verdicts, all_once

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..examples import Example
    from ..labels import LabelScheme
    from ..registry import Registry
    from ..store.source import AdapterSource
    from .judge import Ask, Judging
    from .requests import Data
    from .verdicts import Figures, Floats

SHOWN = 5  # labels that an error names


class Side(TypedDict):
    """What one of the two says of a text."""

    given: list[str]
    confidence: float
    right: bool


class Difference(TypedDict):
    """A text on which they differ."""

    text: str
    where: str
    expected: list[str]
    a: Side
    b: Side


class Compared(TypedDict):
    """One figure of both.

    Attributes:
        difference: b less a.
        interval: 95 %, by resampling the texts for both alike; None for ``ece``, which no
            resampling tells apart from its own noise.
    """

    a: float
    b: float
    difference: float
    interval: list[float] | None


class McNemar(TypedDict):
    """How many texts both, one or neither answered rightly, in multi-label with all their labels.

    Attributes:
        p_value: McNemar's exact test, two-sided: how often two equally good adapters would share
            the texts that one of them alone has right at least as unevenly.
    """

    both_right: int
    only_a: int
    only_b: int
    both_wrong: int
    p_value: float


class Comparison(TypedDict):
    """Plain data.

    Attributes:
        a, b: the adapters, as ``name@version``.
        split, seen, unknown, notes: as `judge.Judging` has them.
        primary: the metric that decides.
        differ: every text that they answer differently; those that one has right come first, by
            the confidence of the wrong one.
    """

    a: str
    b: str
    split: str | None
    seen: int
    unknown: list[str]
    notes: list[str]
    n: int
    primary: str
    figures: dict[str, Compared]
    mcnemar: McNemar
    differ: list[Difference]


def compare_by_data(
    a: AdapterSource,
    b: AdapterSource,
    registry: Registry,
    ask: Ask,
    *,
    data: Data | None = None,
    columns: Mapping[str, str] | None = None,
    split: str = "test",
) -> Comparison:
    """Asks both, and compares what they say of the texts that judge `a` and are new to both.

    Raises:
        UsageError: they are one, or have different labels.
        as `judge.texts_to_judge`.
    """
    check_comparable(a, b)
    judging = texts_to_judge(a, registry, beside=[b], data=data, columns=columns, split=split)
    return compare((a, b), judging, (ask(a, judging.texts), ask(b, judging.texts)))


def check_comparable(a: AdapterSource, b: AdapterSource) -> None:
    """Raises `UsageError` where two adapters cannot be asked the same question."""
    one, other = a.manifest, b.manifest
    if a.path == b.path:
        raise UsageError(
            f"{one.reference} cannot be compared with itself", "name another version: NAME@VERSION"
        )
    hint = "compare adapters whose labels are the same"
    if one.scheme.kind != other.scheme.kind:
        raise UsageError(
            f"{one.reference} has {one.scheme.kind} labels and {other.reference} has "
            f"{other.scheme.kind} ones, so they cannot be compared",
            hint,
        )
    if set(one.scheme.classes) != set(other.scheme.classes):
        apart = [_only(one.reference, one.scheme, other.scheme)]
        apart.append(_only(other.reference, other.scheme, one.scheme))
        raise UsageError(
            f"{one.reference} and {other.reference} have different labels: "
            + "; ".join(filter(None, apart)),
            hint,
        )


def _only(name: str, scheme: LabelScheme, other: LabelScheme) -> str:
    lone = [label for label in scheme.classes if label not in other.classes]
    more = f" and {len(lone) - SHOWN} more" if len(lone) > SHOWN else ""
    return f"only {name} has {', '.join(map(repr, lone[:SHOWN]))}{more}" if lone else ""


def compare(
    sources: tuple[AdapterSource, AdapterSource],
    judging: Judging,
    logits: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> Comparison:
    """Both adapters' logits ``(texts, classes)`` on the same texts, each in its own label order."""
    a, b = (_verdicts(*pair, judging.examples) for pair in zip(sources, logits, strict=True))
    one, other = (source.manifest for source in sources)
    return {
        "a": one.reference,
        "b": other.reference,
        "split": judging.split,
        "seen": judging.seen,
        "unknown": list(judging.unknown),
        "notes": list(judging.notes),
        "n": len(judging.examples),
        "primary": one.scheme.primary_metric,
        "figures": _figures(a, b),
        "mcnemar": mcnemar(a.right, b.right),
        "differ": _differ(a, b, judging.examples),
    }


def _verdicts(
    source: AdapterSource, logits: NDArray[np.float32], examples: Sequence[Example]
) -> Verdicts:
    scheme, calibration = source.manifest.scheme, source.manifest.calibration
    probabilities = scheme.probabilities(logits, calibration.temperature)
    return Verdicts.of(probabilities, examples, scheme, calibration.thresholds)


def _figures(a: Verdicts, b: Verdicts) -> dict[str, Compared]:
    def differences(weights: Floats) -> Figures:
        ours, theirs = headline(a, weights), headline(b, weights)
        return {name: theirs[name] - ours[name] for name in ours}

    intervals = bootstrap.intervals(differences, len(a))
    sides: list[dict[str, float]] = [
        {
            **{name: float(row[0]) for name, row in headline(side, all_once(side)).items()},
            "ece": reliability(side)["ece"],
        }
        for side in (a, b)
    ]
    return {
        name: {
            "a": sides[0][name],
            "b": sides[1][name],
            "difference": sides[1][name] - sides[0][name],
            "interval": intervals.get(name),
        }
        for name in sides[0]
    }


def mcnemar(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> McNemar:
    """McNemar's exact test on right and wrong ``(texts,)`` of two classifiers (McNemar 1947)."""
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    apart = only_a + only_b
    return {
        "both_right": int((a & b).sum()),
        "only_a": only_a,
        "only_b": only_b,
        "both_wrong": int((~a & ~b).sum()),
        "p_value": float(binomtest(only_a, apart, 0.5).pvalue) if apart else 1.0,
    }


def _differ(a: Verdicts, b: Verdicts, examples: Sequence[Example]) -> list[Difference]:
    found: list[Difference] = []
    for i, example in enumerate(examples):
        sides: list[Side] = [
            {
                "given": side.given_names(i),
                "confidence": float(side.confidence[i]),
                "right": bool(side.right[i]),
            }
            for side in (a, b)
        ]
        if set(sides[0]["given"]) != set(sides[1]["given"]):
            found.append(
                {
                    "text": example.text,
                    "where": place(example.where),
                    "expected": list(example.labels),
                    "a": sides[0],
                    "b": sides[1],
                }
            )
    return sorted(found, key=_order)


def _order(difference: Difference) -> tuple[bool, float]:
    wrong = [side for side in (difference["a"], difference["b"]) if not side["right"]]
    return len(wrong) == 2, -max(side["confidence"] for side in wrong)
