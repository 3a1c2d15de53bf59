"""The published data sets, as the files of a folder that a training reads.

A set is ``folder/file`` without the suffix. Its rows are JSON objects with ``text``, ``label`` (a
string, or a list for several) and ``split``.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import typer

Row = Mapping[str, Any]
Split = Literal["train", "val", "test"]

CLINC = tuple(
    f"clinc150/{domain}"
    for domain in (
        *("auto_and_commute", "banking", "credit_cards", "home", "kitchen_and_dining"),
        *("meta", "small_talk", "travel", "utility", "work"),
    )
)
OUT = "clinc150/oos"
"""What belongs to none of those domains."""
FEW_SHOT = ("clinc150/banking", "clinc150/travel", "clinc150/work")
SPLITS: Mapping[str, Mapping[str, Split]] = {
    "crosswoz": {"val": "train"},  # it is published without training texts
    "xsid": {"dev": "train"},
    "": {"dev": "val"},
}
"""What a folder's splits are to us, where they are called otherwise."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What is learnt from, and judged on.

    Attributes:
        name: ``clinc150/banking``, ``xsid/xsid`` ...
        shots: examples a class in training, and as many in validation; None: all.
        seed: of the drawing.
        splits: rows by split; without ``val``, training takes some of its own for it.
    """

    name: str
    shots: int | None
    seed: int
    splits: Mapping[str, Sequence[Row]]

    @property
    def adapter(self) -> str:
        """The name of the adapter that learns it."""
        return f"{self.name.replace('/', '-')}-{self.shots or 'all'}-{self.seed}"

    def write(self, folder: Path) -> dict[str, str]:
        """A JSONL file a split; their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = {}
        for split, rows in self.splits.items():
            path = folder / f"{split}.jsonl"
            lines = (
                json.dumps({k: v for k, v in row.items() if k != "split"}, ensure_ascii=False)
                for row in rows
            )
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            paths[split] = str(path)
        return paths


def read(data: Path, name: str) -> dict[str, list[Row]]:
    """The rows of a set by split.

    Raises:
        typer.BadParameter: the folder has no such set.
    """
    path = data / f"{name}.jsonl"
    if not path.is_file():
        raise typer.BadParameter(f"there is no {path}; a set is called folder/file")
    called = SPLITS.get(name.split("/")[0], SPLITS[""])
    found: dict[str, list[Row]] = defaultdict(list)
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            found[called.get(row["split"], row["split"])].append(row)
    return dict(found)


def sample(data: Path, name: str, shots: int | None = None, seed: int = 0) -> Sample:
    """A set whole, or with so many examples a class drawn from training and from validation.

    ``xsid/xsid`` learns from English alone, and is judged on German, English, Japanese, Chinese; a
    few of its test texts have labels that the English texts do not teach, and are left out.

    Raises:
        typer.BadParameter: few examples are asked for of a set that has no validation split, or
            several labels a text.
    """
    splits = read(data, name)
    if name.startswith("xsid"):
        splits["train"] = [row for row in splits["train"] if row["lang"] == "en"]
        taught = {row["label"] for row in splits["train"]}
        splits["test"] = [
            row
            for row in splits["test"]
            if row["lang"] in ("de", "en", "ja", "zh") and row["label"] in taught
        ]
    if shots is not None:
        if "val" not in splits or isinstance(splits["train"][0]["label"], list):
            raise typer.BadParameter(f"few examples a class cannot be drawn from {name}")
        for split in ("train", "val"):
            splits[split] = few(splits[split], shots, seed)
    return Sample(name, shots, seed, {split: tuple(rows) for split, rows in splits.items()})


def adapters_of(base: str, folder: Path) -> Path:
    """The store within a folder for adapters of a base, whose names do not say it."""
    return folder / re.sub(r"\W+", "-", base)


def few(rows: Iterable[Row], shots: int, seed: int) -> list[Row]:
    """So many rows of each label, drawn by the seed."""
    by_label: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_label[row["label"]].append(row)
    dice = np.random.default_rng(seed)
    drawn: list[Row] = []
    for label in sorted(by_label):
        some: Sequence[Row] = by_label[label]
        drawn += [some[i] for i in sorted(dice.permutation(len(some))[:shots])]
    return drawn
