"""What stands in a cell: a text, one label, or several in a list or with a separator between."""

from __future__ import annotations

import json
import math
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Any

from ..labels import SEPARATOR
from .near import normalise

Cell = str | tuple[str, ...] | None
"""One value as it stands, several from a list, or nothing."""

SURE_SEPARATORS = ("|", "｜", ";", "；", "、")
"""Marks that hardly stand inside one label's name."""
SEPARATORS = (*SURE_SEPARATORS, ",", "，")


def read_text(value: Any) -> str:
    """The text in a cell, stripped; empty where there is nothing that can be seen.

    Raises:
        ValueError: the cell holds no text; the message is the reason.
    """
    if isinstance(value, list | tuple | dict | bytes):
        raise ValueError(f"the text is {_kind(value)}")
    text = _atom(value)
    return text if any(c.isprintable() and not c.isspace() for c in text) else ""


def read_label(value: Any) -> Cell:
    """The label or labels in a cell, before any separator is looked for.

    Numbers become their digits, so ``2`` and ``2.0`` are both the label ``2``.

    Raises:
        ValueError: the cell holds no label; the message is the reason.
    """
    if isinstance(value, list | tuple):
        return _labels(value)
    if isinstance(value, dict | bytes):
        raise ValueError(f"the label is {_kind(value)}")
    text = _atom(value)
    if text.startswith("[") and text.endswith("]"):
        try:
            several = json.loads(text)
        except (ValueError, RecursionError):
            if text.startswith("['"):
                raise ValueError(
                    "the labels are a Python list; write a JSON list, or separate them by '|'"
                ) from None
        else:
            return _labels(several)
    return text or None


def read_field(value: Any) -> str:
    """Any other cell as a text that can be written anywhere."""
    if isinstance(value, list | tuple | dict):
        text = json.dumps(value, ensure_ascii=False, default=str)
    else:
        text = _plain(value)
    return text.encode("utf-8", "replace").decode("utf-8")


def split_labels(value: str, separator: str) -> tuple[str, ...]:
    """The labels between separators, each once; nothing between two of them is no label."""
    return tuple(dict.fromkeys(p for part in value.split(separator) if (p := part.strip())))


def find_separators(
    values: Collection[str], candidates: Iterable[str], known: Collection[str] | None = None
) -> list[str]:
    """The candidates that take most of the values they occur in apart into labels.

    A part is a label where `known` has it or, with None, where it also stands alone in another
    cell.
    """
    found = []
    for mark in candidates:
        joined = _joined(values, mark, known)
        labels = {v for v in values if mark not in v} if known is None else known
        good = sum(all(part in labels for part in split_labels(v, mark)) for v in joined)
        if 2 * good > len(joined):
            found.append(mark)
    return found


def commonest_separator(values: Collection[str], known: Collection[str] = ()) -> str | None:
    """The separator that occurs in most values; the first in order where several do."""
    counts = {mark: len(_joined(values, mark, known)) for mark in SEPARATORS}
    best = max(SEPARATORS, key=lambda mark: counts[mark])
    return best if counts[best] else None


def look_alikes(labels: Iterable[str]) -> list[list[str]]:
    """Groups of labels that a reader may take for one another."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label in labels:
        seen = "".join(c for c in label if unicodedata.category(c) != "Cf")
        groups[normalise(seen)].append(label)
    return [group for group in groups.values() if len(group) > 1]


def looks_hierarchical(labels: Collection[str]) -> bool:
    """Whether labels read as paths: half of them have parts, and two share the first one."""
    paths = [label.split(SEPARATOR) for label in labels]
    if any("" in (part.strip() for part in path) for path in paths):
        return False
    tops = [path[0].strip() for path in paths if len(path) > 1]
    return 2 * len(tops) >= len(paths) and len(set(tops)) < len(tops)


def clean_path(label: str) -> str:
    """A path without blanks around its parts."""
    return SEPARATOR.join(part.strip() for part in label.split(SEPARATOR))


def _joined(values: Iterable[str], mark: str, known: Collection[str] | None) -> list[str]:
    return [v for v in values if mark in v and (known is None or v not in known)]


def _labels(values: Sequence[Any]) -> tuple[str, ...]:
    labels = []
    for value in values:
        if isinstance(value, list | tuple | dict | bytes):
            raise ValueError(f"one of the labels is {_kind(value)}")
        label = _atom(value)
        if not label:
            raise ValueError("one of the labels is empty")
        labels.append(label)
    return tuple(dict.fromkeys(labels))


def _atom(value: Any) -> str:
    text = _plain(value).strip()
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair stands in it, which is no character") from None
    return text


def _plain(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | Decimal) and -(2**53) < value < 2**53 and value == int(value):
        return str(int(value))
    return str(value)


def _kind(value: Any) -> str:
    if isinstance(value, bytes):
        return "bytes, not a text"
    return "an object, not a text" if isinstance(value, dict) else "a list, not a text"
