"""Examples: what labelled texts are, and how rows from a data source become them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Split = Literal["train", "val", "test"]


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
