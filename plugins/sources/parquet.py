"""Parquet files, read a batch of rows at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from adapter_platform.core.errors import DataError
from adapter_platform.core.registry import BadRow, Record, Rows

from .lines import open_file

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 1024


class ParquetSource:
    """``parquet:FILE``. A row stands at its number, counted from 1.

    Class numbers become names where the file carries the names, as those that `datasets` writes do.
    """

    name = "parquet"
    suffixes: tuple[str, ...] = (".parquet",)

    def read(self, location: str) -> Rows[Record | BadRow]:
        """See `DataSource.read`."""
        columns: list[str] = []
        return Rows(self._records(location, columns), columns)

    def _records(self, location: str, columns: list[str]) -> Iterator[Record | BadRow]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with open_file(location) as file:
            try:
                table = pq.ParquetFile(file)
                columns += table.schema_arrow.names
                names = _class_names(table.schema_arrow)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise _unreadable(location, error) from error
            twice = next((name for name in columns if columns.count(name) > 1), None)
            if twice is not None:
                raise DataError(f"{location}: two columns are named {twice!r}")
            number = 0
            batches = table.iter_batches(BATCH)
            while True:
                try:
                    batch = next(batches, None)
                    rows = batch.to_pylist() if batch is not None else []
                except (pa.ArrowException, OSError, ValueError) as error:
                    raise _unreadable(location, error) from error
                if batch is None:
                    return
                for row in rows:
                    number += 1
                    yield Record(f"{location}:{number}", name_classes(row, names))


def name_classes(row: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The row with class numbers as class names; -1, which means unknown, as None.

    A number that has no name stays as it is.
    """
    named = dict(row)
    for column, classes in names.items():
        value = row.get(column)
        if isinstance(value, list):
            named[column] = [_class(item, classes) for item in value]
        else:
            named[column] = _class(value, classes)
    return named


def _class(value: Any, names: Sequence[str]) -> Any:
    if not isinstance(value, int):
        return value
    if value == -1:
        return None
    return names[value] if 0 <= value < len(names) else value


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of classes by column, from the description that `datasets` puts into its files."""
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = described["info"]["features"]
    except (ValueError, KeyError, TypeError):  # not written by datasets
        return {}
    found: dict[str, list[str]] = {}
    for column, feature in features.items() if isinstance(features, dict) else ():
        inner = feature.get("feature", feature) if isinstance(feature, dict) else {}
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" and inner.get("names"):
            found[column] = [str(name) for name in inner["names"]]
    return found


def _unreadable(location: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split())
    return DataError(f"{location} cannot be read as Parquet: {reason}")
