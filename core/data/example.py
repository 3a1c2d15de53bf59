"""What labelled texts are: examples, the splits that they stand on, and a whole set of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal, get_args

from ..labels import LabelScheme

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
ALL = "all"
"""Names data whose rows may name their split themselves."""


@dataclass(frozen=True, slots=True)
class Example:
    """One text with zero, one or several labels.

    Attributes:
        labels: canonical class names, in scheme order; for single and hierarchical exactly one.
        split: the side the data puts it on, or None.
        where: ``file.csv:12``, for reports.
        fields: the row's other columns as texts (``lang``, ``slice``), to slice reports by.
    """

    text: str
    labels: tuple[str, ...]
    split: Split | None = None
    where: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


def place(where: str) -> str:
    """Where a row stands, for what is published: the file's name and line, not its directory."""
    return PurePath(where).name


@dataclass(frozen=True, slots=True)
class Problem:
    """One row that cannot be used: where it stands and why, as a sentence."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Examples, the scheme that their labels belong to, and the rows that did not become any.

    Attributes:
        text_column, label_column: as the first file calls them.
        problems: every row that is not among the examples, in order.
        notes: sentences on what was decided, where a reader may have meant something else.
    """

    examples: tuple[Example, ...]
    scheme: LabelScheme
    text_column: str
    label_column: str
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """SHA-256 over texts, labels and splits in order; not over where the rows stand."""
        digest = hashlib.sha256()
        for e in self.examples:
            row = json.dumps([e.text, e.labels, e.split], ensure_ascii=False)
            digest.update(row.encode("utf-8", "surrogatepass") + b"\n")
        return digest.hexdigest()
