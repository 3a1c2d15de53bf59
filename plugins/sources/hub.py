"""Data sets from the Hugging Face Hub, or directories like them, through `datasets`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adapter_platform.core.data.columns import SPLIT_WORDS
from adapter_platform.core.errors import DataError
from adapter_platform.core.registry import BadRow, Record

from .parquet import name_classes

# Neither a path with a colon or an at sign in it nor a Windows drive is taken apart.
_LOCATION = re.compile(
    r"(?P<path>.+?)(?::(?P<config>[^:@/\\]+))?(?:@(?P<split>[^@/\\]+))?", re.DOTALL
)


class HubSource:
    """``hf:OWNER/DATASET[:CONFIG][@SPLIT]``, or ``hf:DIRECTORY`` of files that `datasets` loads.

    Without a split, all that are called train, validation or test (or alike) are read, and each row
    carries its own in a column ``split``; a data set of a single split is read without it. Class
    numbers become class names.
    """

    name = "hf"
    suffixes: tuple[str, ...] = ()

    def read(self, location: str) -> Iterator[Record | BadRow]:
        """See `DataSource.read`. Rows lie on disk in the cache of `datasets`, not in memory."""
        match = _LOCATION.fullmatch(location)
        if match is None:
            raise DataError("hf: names no data set", "write hf:owner/dataset")
        place = location if match["split"] is None else location.rpartition("@")[0]
        found = _load(location, match["path"], match["config"])
        chosen, skipped = _choose(place, list(found), match["split"])
        for name in skipped:
            yield BadRow(
                f"{place}@{name}",
                f"the split {name!r} ({len(found[name])} rows) is not read unless it is named",
            )
        for name in chosen:
            rows = found[name]
            classes = _class_names(rows.features)
            told = {"split": name} if match["split"] is None and len(found) > 1 else {}
            for number, row in enumerate(rows, 1):
                named = name_classes(row, classes)
                yield Record(f"{place}@{name}:{number}", {**told, **named})


def _load(location: str, path: str, config: str | None) -> Any:
    """The `DatasetDict`, from the cache where it is there already."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    directory = Path(path).expanduser()
    try:
        return load_dataset(str(directory) if directory.is_dir() else path, config)
    # What a missing, gated, scripted or broken data set or an absent network raises.
    except (DatasetsError, OSError, ValueError, RuntimeError, NotImplementedError) as error:
        cause = error.__cause__ if type(error).__name__ == "DatasetGenerationError" else None
        reason = " ".join(str(cause or error).split())
        raise DataError(
            f"the data set hf:{location} cannot be loaded: {reason[:300]}",
            "check the name as the Hub spells it; offline, only what was loaded before or a local "
            "directory (hf:/path/to/dir) can be read",
        ) from error


def _choose(place: str, names: Sequence[str], wanted: str | None) -> tuple[list[str], list[str]]:
    """(splits to read, splits left out)."""
    if wanted is not None:
        same = [n for n in names if n == wanted] or [
            n for n in names if wanted in SPLIT_WORDS and SPLIT_WORDS.get(n) == SPLIT_WORDS[wanted]
        ]
        if len(same) != 1:
            raise DataError(
                f"the data set hf:{place} has no split {wanted!r}; it has {', '.join(names)}"
            )
        return same, []
    chosen = [name for name in names if name in SPLIT_WORDS]
    if not chosen and len(names) == 1:
        chosen = list(names)
    if not chosen:
        raise DataError(
            f"none of the splits of hf:{place} is called train or test: {', '.join(names)}",
            f"name one: hf:{place}@{names[0]}",
        )
    return chosen, [name for name in names if name not in chosen]


def _class_names(features: Any) -> dict[str, list[str]]:
    """Names of classes by column, also where the column holds lists of classes."""
    found = {}
    for column, feature in features.items():
        inner = getattr(feature, "feature", feature)
        if getattr(inner, "_type", None) == "ClassLabel" and inner.names:
            found[column] = list(inner.names)
    return found
