"""Which column holds the text, the labels and the split: as named, or found by usual names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import DataError, unknown

if TYPE_CHECKING:
    from .example import Split

# The first group that fits decides: `text` beside `content` is the text.
TEXT_NAMES = (
    ("text", "文本"),
    (
        *("sentence", "query", "question", "utterance", "content", "message", "comment", "review"),
        *("问题", "内容", "句子", "语句", "问句", "提问", "评论"),
    ),
)
LABEL_NAMES = (
    ("label", "labels", "标签"),
    (
        *("category", "categories", "class", "intent", "topic", "topics", "tag", "tags", "target"),
        *("类别", "分类", "意图", "主题", "类型"),
    ),
)
SPLIT_NAMES = ("split", "set", "fold")
SPLIT_WORDS: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "dev": "val",
    "valid": "val",
    "validation": "val",
    "eval": "val",
    "test": "test",
    "testing": "test",
}
"""What data calls its splits, and what they are."""

SETTINGS = ("text", "label", "split", "separator")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one file by role; `split` is None where no column says it."""

    text: str
    label: str
    split: str | None


def check_settings(columns: Mapping[str, str]) -> None:
    """Raises `DataError` where `columns` names something other than a role."""
    for role in columns:
        if role not in SETTINGS:
            raise unknown("column setting", role, SETTINGS, DataError)


def find_columns(uri: str, rows: Sequence[Mapping[str, Any]], wanted: Mapping[str, str]) -> Columns:
    """The columns of a file whose rows are given.

    Args:
        wanted: column names by role, as the user gave them; they win. A split column that is
            found, not named, counts only where more than half of its values are names of splits.

    Raises:
        DataError: a column is not there, or several may be meant.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = _column(uri, names, "text", wanted, TEXT_NAMES)
    label = _column(uri, names, "label", wanted, LABEL_NAMES)
    if text == label:
        raise DataError(
            f"{uri}: the column {text!r} cannot be both the text and the label", _how("label")
        )
    split = None
    if "split" in wanted:
        split = _named(uri, names, "split", wanted["split"])
    else:
        likely = [name for name in _fitting(names, SPLIT_NAMES) if name not in (text, label)]
        split = next((n for n in likely if _holds_splits(row.get(n) for row in rows)), None)
    return Columns(text, label, split)


def find_text_column(uri: str, names: Sequence[str], wanted: str | None = None) -> str:
    """The column of the text in a file without labels; the only column there is, if so.

    Args:
        wanted: its name as the user gave it; it wins.

    Raises:
        DataError: it is not there, or several may be meant.
    """
    if wanted is not None:
        return _named(uri, names, "text", wanted)
    return names[0] if len(names) == 1 else _column(uri, names, "text", {}, TEXT_NAMES)


def split_of(value: Any) -> Split | None:
    """The split that a cell names; None where the cell is empty.

    Raises:
        ValueError: it names none.
    """
    name = "" if value is None else str(value).strip()
    if not name:
        return None
    if name.casefold() not in SPLIT_WORDS:
        raise ValueError(f"the split {name!r} is none of {', '.join(SPLIT_WORDS)}")
    return SPLIT_WORDS[name.casefold()]


def _holds_splits(values: Iterable[Any]) -> bool:
    given = [str(value).strip().casefold() for value in values if value not in (None, "")]
    return 2 * sum(value in SPLIT_WORDS for value in given) > len(given)


def _column(
    uri: str,
    names: Sequence[str],
    role: str,
    wanted: Mapping[str, str],
    usual: Iterable[tuple[str, ...]],
) -> str:
    if role in wanted:
        return _named(uri, names, role, wanted[role])
    for group in usual:
        found = _fitting(names, group)
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(
                f"{uri}: the {role} may be any of the columns {_listed(found)}", _how(role)
            )
    raise DataError(
        f"{uri} has no column for the {role}; its columns: {_listed(names)}", _how(role)
    )


def _named(uri: str, names: Sequence[str], role: str, name: str) -> str:
    found = [name] if name in names else _fitting(names, (name.strip().casefold(),))
    if len(found) != 1:
        raise DataError(
            f"{uri} has no column {name!r} for the {role}; its columns: {_listed(names)}",
            _how(role),
        )
    return found[0]


def _fitting(names: Iterable[str], usual: Sequence[str]) -> list[str]:
    return [name for name in names if name.strip().casefold() in usual]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name if len(name) <= 40 else name[:39] + "…") for name in names[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _how(role: str) -> str:
    return (
        f"name it with --{role}-column, or in a domain.toml with {role} = ... under [columns]; "
        "a table's first line names its columns"
    )
