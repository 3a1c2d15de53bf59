"""An evaluation as one HTML file for a domain expert."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from . import page, plots
from .evaluation import (
    after_steps,
    baselines,
    bins,
    confusions,
    coverage,
    coverage_sentence,
    figures,
    judged_sentences,
    labels,
    mistakes,
    per_class,
    slices,
)
from .figures import count

LIMIT = 0.95  # the accuracy that the curve of coverage is read against
MATRICES = {
    "coarse_confusion": "What is taken for what, at the top level",
    "confusion": "What is taken for what",
}


def evaluation_page(found: Mapping[str, Any]) -> str:
    """The file.

    Args:
        found: what `training.judge.judge` gives.
    """
    return page.page(f"{found['adapter']}, judged on {count(found['n'], 'text')}", _parts(found))


def _parts(found: Mapping[str, Any]) -> Iterator[str]:
    split = found["split"]
    yield page.paragraph(
        "All the texts of the data, which has no splits."
        if split is None
        else f"The {split} split of the data."
    )
    for sentence in judged_sentences(found):
        yield page.paragraph(f"{sentence[0].upper()}{sentence[1:]}.")
    yield page.heading("Figures")
    yield page.paragraph(
        "The interval tells how far a figure may be off because the texts happened to be these. "
        "Calibration error, Brier score and the area under the risk-coverage curve are the better "
        "the smaller."
    )
    yield page.table(figures(found))
    if found.get("baselines"):
        yield page.paragraph(
            "Beside it, on the same texts: logistic regression on the frozen base (the probe), "
            "and on counts of words and characters (TF-IDF)."
        )
        yield page.table(baselines({split: found, "baselines": found["baselines"]}))
    if found.get("after_steps"):
        yield page.heading("What is answered after its own steps")
        yield page.paragraph(
            "The figures judge what the adapter itself says. Whoever asks it is answered after its "
            f"steps ({', '.join(found['after_steps']['steps'])}), which may withhold an answer or "
            "change it."
        )
        yield page.table(after_steps(found))
    yield page.heading("By label")
    yield page.paragraph(
        "Precision: of the texts that were given the label, the share that should have been. "
        "Recall: of the texts that should have been, the share that was."
    )
    yield page.table(per_class(found))
    yield from _confusion(found)
    yield from _calibration(found)
    yield page.heading("Answering only where it is sure")
    yield page.paragraph(f"{coverage_sentence(found).capitalize()}.")
    yield plots.coverage(found["coverage"]["curve"], LIMIT)
    yield page.table(coverage(found))
    for column, table in slices(found):
        yield page.heading(f"By {column}")
        yield page.table(table)
    yield page.heading("The worst mistakes")
    if found["mistakes"]:
        yield page.paragraph("Wrong answers, the most confident first.")
        yield page.table(mistakes(found, len(found["mistakes"]), cells=None))
    else:
        yield page.paragraph("There are none.")


def _confusion(found: Mapping[str, Any]) -> Iterator[str]:
    order = [row["label"] for row in found["per_class"]]
    for key, title in MATRICES.items():
        cells = found.get(key)
        if not cells:
            continue
        tops = list(dict.fromkeys(name.split("/")[0] for name in order))
        yield page.heading(title)
        yield page.paragraph(
            "A row for each label that texts should have been given, a column for each that they "
            "were given; blue is right, and the darker a cell, the larger its share of the row."
        )
        yield page.heat_map(cells, labels(cells, order if key == "confusion" else tops))
        most = confusions(cells)
        if most.rows:
            yield page.paragraph("The most frequent confusions:")
            yield page.table(most)


def _calibration(found: Mapping[str, Any]) -> Iterator[str]:
    calibration = found["calibration"]
    each = "label of each text" if calibration["over"] == "labels" else "answer"
    yield page.heading("Whether its confidence can be believed")
    yield page.paragraph(
        f"Each {each} claims a probability; of those that claim 80 %, 80 % should be right. "
        f"On average claim and truth are {100 * calibration['ece']:.1f} points apart (expected "
        "calibration error)."
    )
    yield plots.reliability(calibration["bins"])
    yield page.table(bins(found))
