"""Evaluations as tables: against the baselines, by class, by slice, and the worst mistakes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .figures import count, percent, points, span
from .table import Table, shorten

NAMES = {"probe": "probe (frozen base)", "tfidf": "TF-IDF"}
SPLITS = {"val": "validation", "test": "test"}
TEXT_CELLS = 60
FIGURES = {
    "ece": "calibration error (ECE)",
    "brier": "Brier score",
    "aurc": "area under risk-coverage",
    "coverage_at_limit": "answered at 5 % error",
}
SCORES = ("brier", "aurc")  # no shares, so no percentages
AFTER_STEPS = {
    "answered": "answered",
    "wrong": "wrong, of those",
    "shortened": "by the beginning of the path alone, of those",
    "changed": "otherwise than the adapter itself says, of those",
    "withheld": "withheld",
    "withheld_right": "would have been right, of those",
}
ALWAYS = ("answered", "wrong", "withheld", "withheld_right")  # the others where there are any
LEAST_MATRIX, MOST_MATRIX = 2, 12  # classes between which a matrix fits a screen
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)  # of texts answered, in the table of coverage


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
    headings = [f"{split} {figure_name(metric)}>" for split, metric in columns]
    return Table.of(("", *headings), rows)


def judged_sentences(found: Mapping[str, Any]) -> Iterator[str]:
    """What is to be said of the texts that judge: rows that cannot be used, texts that the adapters
    have seen, or may have.

    Args:
        found: what `training.judge.judge` or `training.compare.compare` gives.
    """
    yield from found["notes"]
    who = found.get("adapter") or f"{found['a']} or {found['b']}"
    if found["seen"]:
        are, them = ("is", "it") if found["seen"] == 1 else ("are", "them")
        texts = count(found["seen"], "text")
        yield f"{texts} {are} left out: {who} was trained on {them} or chosen by {them}"
    if found["unknown"]:
        who = " and ".join(found["unknown"])
        yield f"it is not known which texts {who} learned from; they may be among these"


def figures(evaluation: Mapping[str, Any]) -> Table:
    """The figures of one evaluation, each with its 95 % interval."""
    intervals = evaluation.get("intervals") or {}
    rows = [
        (figure_name(name), figure(name, value), interval(name, intervals.get(name)))
        for name, value in summary(evaluation).items()
    ]
    return Table.of(
        ("figure", "value>", "95 % interval>"), [("texts", f"{evaluation['n']:,}", ""), *rows]
    )


def summary(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """The metrics, and what sums up calibration and coverage; older reports lack those."""
    found = dict(evaluation["metrics"])
    calibration, coverage = evaluation.get("calibration"), evaluation.get("coverage")
    if calibration:
        found |= {name: calibration[name] for name in ("ece", "brier")}
    if coverage:
        found["aurc"] = coverage["aurc"]
        at = coverage["at_limit"]
        found["coverage_at_limit"] = at["coverage"] if at else 0.0
    return found


def figure(name: str, value: float) -> str:
    """A figure as people read it."""
    return f"{value:.3f}" if name in SCORES else percent(value)


def interval(name: str, ends: Sequence[float] | None, *, signed: bool = False) -> str:
    """An interval as people read it; nothing where there is none.

    Args:
        signed: it is one of a difference.
    """
    if ends is None:
        return ""
    return span(*ends, score=name in SCORES, signed=signed)


def difference(name: str, value: float) -> str:
    """A difference of two figures: shares in points."""
    return f"{value:+.3f}" if name in SCORES else points(value)


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
        headings = [f"{figure_name(name)}>" for name in metrics]
        yield column, Table.of((column, "texts>", *headings), rows)


def labels(cells: Sequence[Mapping[str, Any]], order: Sequence[str]) -> list[str]:
    """The labels that stand in cells of a confusion matrix, those of `order` in its order."""
    there = {cell[side] for cell in cells for side in ("expected", "given")}
    return [name for name in order if name in there]


def matrix(cells: Sequence[Mapping[str, Any]], order: Sequence[str]) -> Table | None:
    """A confusion matrix whose columns have the numbers of its rows; None where it is too wide."""
    names = labels(cells, order)
    if not LEAST_MATRIX <= len(names) <= MOST_MATRIX:
        return None
    count = {(cell["expected"], cell["given"]): cell["n"] for cell in cells}
    rows = [
        (str(number), name, *(str(count.get((name, other), "·")) for other in names))
        for number, name in enumerate(names, start=1)
    ]
    return Table.of(("", "expected", *(f"{i}>" for i in range(1, len(names) + 1))), rows)


def confusions(cells: Sequence[Mapping[str, Any]], limit: int = 10) -> Table:
    """What is most often taken for what."""
    wrong = [cell for cell in cells if cell["expected"] != cell["given"]]
    rows = [
        (cell["expected"], cell["given"], f"{cell['n']:,}")
        for cell in sorted(wrong, key=lambda cell: -cell["n"])[:limit]
    ]
    return Table.of(("expected", "given", "texts>"), rows)


def bins(evaluation: Mapping[str, Any]) -> Table:
    """By how sure answers were, how many there are, and the share that was right."""
    calibration = evaluation["calibration"]
    of = "labels" if calibration["over"] == "labels" else "answers"
    rows = [
        (
            f"{100 * found['above']:.0f} to {100 * found['to']:.0f} %",
            f"{found['n']:,}",
            percent(found["confidence"]),
            percent(found["accuracy"]),
            span(*found["interval"]),
        )
        for found in calibration["bins"]
    ]
    return Table.of(("confidence", f"{of}>", "claimed>", "right>", "95 % interval>"), rows)


def coverage(evaluation: Mapping[str, Any]) -> Table:
    """Accuracy where only the most confident texts are answered."""
    curve = evaluation["coverage"]["curve"]
    found = [next(p for p in curve if p["coverage"] >= share - 1e-9) for share in SHARES]
    kept = [point for i, point in enumerate(found) if point not in found[:i]]
    rows = [
        (percent(point["coverage"]), percent(point["accuracy"]), percent(point["confidence"]))
        for point in kept
    ]
    return Table.of(("texts answered>", "right>", "from confidence>"), rows)


def coverage_sentence(evaluation: Mapping[str, Any]) -> str:
    """What can be answered with at most 5 % wrong."""
    at = evaluation["coverage"]["at_limit"]
    if at is None:
        return "no share of these texts can be answered with at most 5 % wrong"
    return (
        f"answering only from confidence {percent(at['confidence'])} on, "
        f"{percent(at['coverage'])} of these texts are answered, "
        f"{percent(at['accuracy'])} of them rightly"
    )


def after_steps(evaluation: Mapping[str, Any]) -> Table:
    """What is answered once the adapter's own steps have had their say."""
    found = evaluation["after_steps"]
    shown = [
        (words, found[name])
        for name, words in AFTER_STEPS.items()
        if name in ALWAYS or (name in found and found[name]["n"])
    ]
    rows = [
        (words, f"{share['n']:,}", percent(share["share"]), interval(words, share["interval"]))
        for words, share in shown
    ]
    return Table.of(("", "texts>", "share>", "95 % interval>"), rows)


def mistakes(
    evaluation: Mapping[str, Any], limit: int = 10, cells: int | None = TEXT_CELLS
) -> Table:
    """The most confident wrong answers.

    Args:
        cells: how much of a text is shown; None: all of it.
    """
    return Table.of(
        ("text", "expected", "given", "confidence>", "where"),
        [
            (
                str(row["text"]) if cells is None else shorten(str(row["text"]), cells),
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


def figure_name(name: str) -> str:
    """What people call a figure."""
    return FIGURES.get(name) or name.replace("_", " ").replace("f1", "F1")
