"""`report.json`: how an adapter did on validation and test, with the baselines beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import AdapterCorrupt

FILE = "report.json"

Evaluations = Mapping[str, Mapping[str, Any]]
"""By split, what `evaluate.evaluate` gives."""
Metrics = Mapping[str, Mapping[str, float]]
"""By split, metrics alone."""


def assemble(
    *,
    name: str,
    sizes: Mapping[str, int],
    notes: Sequence[str],
    ours: Evaluations,
    probe: Metrics,
    tfidf: Metrics,
) -> dict[str, Any]:
    """The report as plain data.

    Args:
        sizes: texts by split.
        probe: logistic regression on the frozen base.
        tfidf: logistic regression on TF-IDF of words and characters.
    """
    return {
        "adapter": name,
        "splits": dict(sizes),
        "notes": list(notes),
        "val": ours.get("val"),
        "test": ours.get("test"),
        "baselines": {"probe": dict(probe), "tfidf": dict(tfidf)},
    }


def flat_metrics(report: Mapping[str, Any]) -> dict[str, float]:
    """Figures by dotted name: ``test.accuracy``, ``test.probe.accuracy`` ..."""
    flat: dict[str, float] = {}
    for split in ("val", "test"):
        evaluation = report[split]
        if evaluation:
            flat |= {f"{split}.{k}": round(v, 6) for k, v in evaluation["metrics"].items()}
        for baseline, by_split in report["baselines"].items():
            for key, value in by_split.get(split, {}).items():
                flat[f"{split}.{baseline}.{key}"] = round(value, 6)
    return flat


def write(directory: Path, report: Mapping[str, Any]) -> None:
    """Writes `report.json`."""
    text = json.dumps(report, ensure_ascii=False, indent=1)
    (directory / FILE).write_text(text + "\n", encoding="utf-8")


def read(directory: Path) -> dict[str, Any] | None:
    """An adapter's report, or None where it has none. Raises `AdapterCorrupt` if it is no JSON."""
    path = directory / FILE
    if not path.is_file():
        return None
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterCorrupt(f"{path} cannot be read: {error}") from error
    if not isinstance(report, dict):
        raise AdapterCorrupt(f"{path} is not a report")
    return report


@dataclass(frozen=True, slots=True)
class AgainstProbe:
    """An adapter's deciding figure and the probe's, as fractions of 1.

    Attributes:
        split: ``val``, or ``test`` where the data was too small for a validation split.
    """

    split: str
    metric: str
    ours: float
    probe: float

    def __str__(self) -> str:
        return (
            f"{self.metric} {100 * self.ours:.1f} against {100 * self.probe:.1f} "
            f"on the {self.split} split"
        )


def against_probe(report: Mapping[str, Any]) -> AgainstProbe | None:
    """The figures that decide whether an adapter becomes current; None where nothing was judged."""
    split = "val" if report.get("val") else "test"
    evaluation = report.get(split)
    probe = report.get("baselines", {}).get("probe", {}).get(split)
    if not evaluation or not probe:
        return None
    metric = evaluation["primary"]
    return AgainstProbe(split, metric, evaluation["metrics"][metric], probe[metric])


def is_worse(report: Mapping[str, Any]) -> bool:
    """Whether the probe does better than the adapter, by however little, in `against_probe`.

    A text more or less is noise in a small split. But the probe is cheaper to run and cannot have
    been trained badly, so a tie is enough for the adapter and less is not.
    """
    found = against_probe(report)
    return found is not None and found.ours < found.probe
