"""Rows with answers: the input's columns, then ours, as CSV, TSV or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from adapter_platform.core.errors import DataError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

HEAD = 256  # rows whose columns decide the output's
PREFIX = "predicted_"

Values = Mapping[str, Any]


class Writer(Protocol):
    """Takes rows in order."""

    def write(self, fields: Values, ours: Values) -> None:
        """One row: the input's fields, and what we add."""
        ...

    def finish(self) -> None:
        """Writes what is held back."""
        ...


def make_writer(format_: str, file: SupportsWrite[str], ours: Sequence[str]) -> Writer:
    """A writer of the format onto a file.

    Args:
        ours: the names that we add, in order; one that the input has too is prefixed.
    """
    if format_ == "jsonl":
        return _JsonLines(file, ours)
    return _Table(file, ours, "\t" if format_ == "tsv" else ",")


def free_names(ours: Sequence[str], taken: Iterable[str]) -> dict[str, str]:
    """Each of our names as it can stand beside the input's."""
    used = set(taken)
    names = {}
    for name in ours:
        free = name
        while free in used:
            free = PREFIX + free
        used.add(free)
        names[name] = free
    return names


class _Headed:
    """Holds back the first rows until their columns are known."""

    def __init__(self, ours: Sequence[str]) -> None:
        self._ours = ours
        self._head: list[tuple[Values, Values]] | None = []
        self.columns: list[str] = []
        self.names: dict[str, str] = {}

    def write(self, fields: Values, ours: Values) -> None:
        if self._head is None:
            self.put(fields, ours)
            return
        self._head.append((fields, ours))
        if len(self._head) >= HEAD:
            self.finish()

    def finish(self) -> None:
        if self._head is None:
            return
        rows, self._head = self._head, None
        self.columns = list(dict.fromkeys(key for fields, _ in rows for key in fields))
        self.names = free_names(self._ours, self.columns)
        if rows:
            self.start()
        for fields, ours in rows:
            self.put(fields, ours)

    def start(self) -> None:
        """Called once before the first `put`."""

    def put(self, fields: Values, ours: Values) -> None:
        """Writes one row, the columns being known."""
        raise NotImplementedError


class _Table(_Headed):
    def __init__(self, file: SupportsWrite[str], ours: Sequence[str], delimiter: str) -> None:
        super().__init__(ours)
        self._rows = csv.writer(file, delimiter=delimiter, lineterminator="\n")

    def start(self) -> None:
        self._rows.writerow([*self.columns, *self.names.values()])

    def put(self, fields: Values, ours: Values) -> None:
        late = next((key for key in fields if key not in self.columns), None)
        if late is not None:
            raise DataError(
                f"the column {late!r} appears only after the first {HEAD} rows, "
                "too late for the header of a table",
                "write to a .jsonl file instead",
            )
        cells = [*(fields.get(name) for name in self.columns), *(ours[key] for key in self.names)]
        self._rows.writerow([_cell(value) for value in cells])


class _JsonLines(_Headed):
    def __init__(self, file: SupportsWrite[str], ours: Sequence[str]) -> None:
        super().__init__(ours)
        self._file = file

    def put(self, fields: Values, ours: Values) -> None:
        names = self.names
        if any(key not in self.columns for key in fields):
            names = free_names(self._ours, [*self.columns, *fields])
        row = {**fields, **{names[key]: ours[key] for key in self._ours}}
        self._file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def _cell(value: Any) -> str:
    """A value in a table's cell: texts as they are, nothing as nothing, the rest as JSON."""
    if value is None or value == []:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
