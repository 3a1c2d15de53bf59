"""How good predictions are: figures a domain expert knows, by class and by slice, and the worst
mistakes with their texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..examples import place
from ..labels import SEPARATOR
from .linear import targets

if TYPE_CHECKING:
    from ..examples import Example
    from ..labels import Decision, LabelScheme

MISTAKES = 20
SLICE_VALUES = 12  # a column with more values than this is no slice but free text


def evaluate(
    probabilities: Any,
    examples: Sequence[Example],
    scheme: LabelScheme,
    thresholds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Judges class probabilities ``(texts, classes)`` against the examples' labels.

    Returns:
        plain data: ``n``, ``primary``, ``metrics``, ``per_class``, ``slices`` by each column with
        few values, and ``mistakes``, the most confident first. Every figure is a fraction of 1.
    """
    decisions = [scheme.decide(row, thresholds) for row in probabilities]
    wanted = _indicator(examples, scheme)
    given = _given(decisions, scheme)
    return {
        "n": len(examples),
        "primary": scheme.primary_metric,
        "metrics": _metrics(examples, decisions, wanted, given, scheme),
        "per_class": _per_class(wanted, given, scheme),
        "slices": {
            column: {
                value: {
                    "n": len(rows),
                    **_metrics(
                        [examples[i] for i in rows],
                        [decisions[i] for i in rows],
                        wanted[rows],
                        given[rows],
                        scheme,
                    ),
                }
                for value, rows in groups.items()
            }
            for column, groups in _slices(examples).items()
        },
        "mistakes": _mistakes(examples, decisions, wanted, given, scheme.classes),
    }


def _indicator(examples: Sequence[Example], scheme: LabelScheme) -> np.ndarray:
    """0/1 ``(texts, classes)`` of the wanted labels."""
    wanted = targets(examples, scheme)
    return wanted if scheme.kind == "multi" else np.eye(len(scheme.classes), dtype=int)[wanted]


def _given(decisions: Sequence[Decision], scheme: LabelScheme) -> np.ndarray:
    given = np.zeros((len(decisions), len(scheme.classes)), dtype=int)
    for i, decision in enumerate(decisions):
        names = [n for n, _ in decision.labels] if scheme.kind == "multi" else [decision.label]
        given[i, scheme.indices([n for n in names if n is not None])] = 1
    return given


def _metrics(
    examples: Sequence[Example],
    decisions: Sequence[Decision],
    wanted: np.ndarray,
    given: np.ndarray,
    scheme: LabelScheme,
) -> dict[str, float]:
    f1 = f1_scores(wanted, given)
    due, said = wanted.sum(axis=0), given.sum(axis=0)
    present = due + said > 0  # a class that nobody has and nobody was given says nothing
    silent = 0.0 if present.any() else 1.0
    metrics = {"accuracy": float((wanted == given).all(axis=1).mean())}
    if scheme.kind == "multi":
        hits = (wanted & given).sum()
        metrics["micro_f1"] = float(2 * hits / (due + said).sum()) if present.any() else silent
    metrics["macro_f1"] = float(f1[present].mean()) if present.any() else silent
    metrics["weighted_f1"] = float(f1 @ due / due.sum()) if due.any() else silent
    if scheme.kind == "hierarchical":
        tops = [(e.labels[0], d.label or "") for e, d in zip(examples, decisions, strict=True)]
        same = [a.split(SEPARATOR)[0] == b.split(SEPARATOR)[0] for a, b in tops]
        metrics["coarse_accuracy"] = float(np.mean(same))
    return metrics


def f1_scores(wanted: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Each class's F1 ``(classes,)`` from 0/1 ``(texts, classes)``; 0 where there is nothing."""
    hits = (wanted & given).sum(axis=0)
    scores: np.ndarray = 2 * hits / np.maximum(1, wanted.sum(axis=0) + given.sum(axis=0))
    return scores


def _per_class(wanted: np.ndarray, given: np.ndarray, scheme: LabelScheme) -> list[dict[str, Any]]:
    hits, due, said = (wanted & given).sum(axis=0), wanted.sum(axis=0), given.sum(axis=0)
    f1 = f1_scores(wanted, given)
    return [
        {
            "label": name,
            "precision": float(hits[k] / max(1, said[k])),
            "recall": float(hits[k] / max(1, due[k])),
            "f1": float(f1[k]),
            "support": int(due[k]),
        }
        for k, name in enumerate(scheme.classes)
    ]


def _slices(examples: Sequence[Example]) -> dict[str, dict[str, list[int]]]:
    """Rows by column and value, for columns with 2 to `SLICE_VALUES` values."""
    columns: dict[str, dict[str, list[int]]] = {}
    for i, example in enumerate(examples):
        for column, value in example.fields.items():
            columns.setdefault(column, {}).setdefault(value, []).append(i)
    return {
        column: dict(sorted(groups.items()))
        for column, groups in columns.items()
        if 2 <= len(groups) <= SLICE_VALUES
    }


def _mistakes(
    examples: Sequence[Example],
    decisions: Sequence[Decision],
    wanted: np.ndarray,
    given: np.ndarray,
    classes: Sequence[str],
) -> list[dict[str, Any]]:
    wrong = [int(i) for i in np.flatnonzero((wanted != given).any(axis=1))]
    rows = sorted(wrong, key=lambda i: -decisions[i].confidence)[:MISTAKES]
    return [
        {
            "text": examples[i].text,
            "where": place(examples[i].where),
            "expected": list(examples[i].labels),
            "given": [name for k, name in enumerate(classes) if given[i, k]],
            "confidence": decisions[i].confidence,
        }
        for i in rows
    ]
