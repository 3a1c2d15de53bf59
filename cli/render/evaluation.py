"""Evaluations as tables: against the baselines, by class, by slice, and the worst mistakes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .figures import percent
from .table import Table, shorten

NAMES = {"probe": "probe (frozen base)", "tfidf": "TF-IDF"}
SPLITS = {"val": "validation", "test": "test"}
TEXT_CELLS = 60


def baselines(report: Mapping[str, Any]) -> Table:
    """Ours beside the baselines, on validation and test, by each figure that all have."""
    columns = [
        (split, metric) for split in SPLITS if report.get(split) for metric in _shown(report[split])
    ]
    ours = [report[split]["metrics"].get(metric) for split, metric in columns]
    rows = [("adapter", *map(percent, ours))]
    for name, by_split in (report.get("baselines") or {}).items():
        figures = [by_split.get(split, {}).get(metric) for split, metric in columns]
        rows.append((NAMES.get(name, name), *map(percent, figures)))
    headings = [f"{split} {_name(metric)}>" for split, metric in columns]
    return Table.of(("", *headings), rows)


def figures(evaluation: Mapping[str, Any]) -> Table:
    """The figures of one evaluation."""
    rows = [(_name(name), percent(value)) for name, value in evaluation["metrics"].items()]
    return Table.of(("figure", "value>"), [("texts", f"{evaluation['n']:,}"), *rows])


def per_class(evaluation: Mapping[str, Any]) -> Table:
    """Precision, recall, F1 and number of texts of each class; dashes where there is no text."""

    def share(row: Mapping[str, Any], figure: str) -> str:
        return percent(row[figure] if row["support"] else None)

    return Table.of(
        ("label", "precision>", "recall>", "F1>", "texts>"),
        [
            (
                row["label"],
                share(row, "precision"),
                share(row, "recall"),
                share(row, "f1"),
                f"{row['support']:,}",
            )
            for row in evaluation["per_class"]
        ],
    )


def slices(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, Table]]:
    """For each column that slices the texts, its name and the figures of each value."""
    for column, groups in (evaluation.get("slices") or {}).items():
        metrics = _shown(evaluation)
        rows = [
            (str(value), f"{found['n']:,}", *(percent(found.get(name)) for name in metrics))
            for value, found in groups.items()
        ]
        headings = [f"{_name(name)}>" for name in metrics]
        yield column, Table.of((column, "texts>", *headings), rows)


def mistakes(evaluation: Mapping[str, Any], limit: int = 10) -> Table:
    """The most confident wrong answers."""
    return Table.of(
        ("text", "expected", "given", "confidence>", "where"),
        [
            (
                shorten(str(row["text"]), TEXT_CELLS),
                ", ".join(row["expected"]) or "none",
                ", ".join(row["given"]) or "none",
                percent(row["confidence"]),
                str(row.get("where", "")),
            )
            for row in evaluation["mistakes"][:limit]
        ],
    )


def _shown(evaluation: Mapping[str, Any]) -> list[str]:
    """The figures that tables have a column for; `figures` and JSON have the others too."""
    return [name for name in evaluation["metrics"] if name != "weighted_f1"]


def _name(metric: str) -> str:
    return metric.replace("_", " ").replace("f1", "F1")
