"""Rows with answers: the input's columns, then ours, as CSV, TSV or JSON lines."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from adapter_platform.core.errors import DataError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

HEAD = 256  # rows whose columns decide the output's
PREFIX = "predicted_"

Values = Mapping[str, Any]

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str).encode


class Writer(Protocol):
    """Takes rows in order.

    Attributes:
        columns: the input's, once they are known.
    """

    columns: list[str] | None

    def write(self, fields: Values, ours: Values) -> None:
        """One row: the input's fields, and what we add."""
        ...

    def finish(self) -> None:
        """Writes what is held back."""
        ...


def make_writer(
    format_: str,
    file: SupportsWrite[str],
    ours: Sequence[str],
    columns: list[str] | None = None,
    shared: Sequence[str] = (),
) -> Writer:
    """A writer of the format onto a file.

    Args:
        ours: the names that we add, in order; one that the input has too is prefixed.
        columns: the input's, where the file holds rows under them already; None: it is empty.
        shared: the input's columns as far as they are known without its rows, by the first `write`
            or by `finish`; the rows may have more.
    """
    if format_ == "jsonl":
        return _JsonLines(file, ours, columns, shared)
    return _Table(file, ours, columns, shared, "\t" if format_ == "tsv" else ",")


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

    def __init__(
        self, ours: Sequence[str], columns: list[str] | None, shared: Sequence[str]
    ) -> None:
        self._ours = ours
        self._shared = shared
        self._head: list[tuple[Values, Values]] = []
        self.columns: list[str] | None = None
        self.known: frozenset[str] = frozenset()
        self.names: dict[str, str] = {}
        if columns is not None:
            self._settle(columns)

    def _settle(self, columns: list[str]) -> None:
        self.columns, self.known = columns, frozenset(columns)
        self.names = free_names(self._ours, columns)

    def write(self, fields: Values, ours: Values) -> None:
        if self.columns is not None:
            self.put(fields, ours)
            return
        self._head.append((fields, ours))
        if len(self._head) >= HEAD:
            self.finish()

    def finish(self) -> None:
        if self.columns is not None:
            return
        rows, self._head = self._head, []
        further = (key for fields, _ in rows for key in fields)
        columns = list(dict.fromkeys([*self._shared, *further]))
        self._settle(columns)
        self.start(columns)
        for fields, ours in rows:
            self.put(fields, ours)

    def start(self, columns: list[str]) -> None:
        """Called once on an empty file, before any `put`."""

    def put(self, fields: Values, ours: Values) -> None:
        """Writes one row, the columns being known."""
        raise NotImplementedError


class _Table(_Headed):
    def __init__(
        self,
        file: SupportsWrite[str],
        ours: Sequence[str],
        columns: list[str] | None,
        shared: Sequence[str],
        delimiter: str,
    ) -> None:
        super().__init__(ours, columns, shared)
        self._rows = csv.writer(file, delimiter=delimiter, lineterminator="\n")

    def start(self, columns: list[str]) -> None:
        self._rows.writerow([*columns, *self.names.values()])

    def put(self, fields: Values, ours: Values) -> None:
        if not self.known.issuperset(fields):
            late = next(key for key in fields if key not in self.known)
            raise DataError(
                f"the column {late!r} appears only after the first {HEAD} rows, "
                "too late for the header of a table",
                "write to a .jsonl file instead",
            )
        columns = self.columns or ()
        cells = [*(fields.get(name) for name in columns), *(ours[key] for key in self.names)]
        self._rows.writerow([_cell(value) for value in cells])


class _JsonLines(_Headed):
    def __init__(
        self,
        file: SupportsWrite[str],
        ours: Sequence[str],
        columns: list[str] | None,
        shared: Sequence[str],
    ) -> None:
        super().__init__(ours, columns, shared)
        self._file = file

    def put(self, fields: Values, ours: Values) -> None:
        names = self.names
        if not self.known.issuperset(fields):
            names = free_names(self._ours, [*(self.columns or ()), *fields])
        row = {**fields, **{names[key]: ours[key] for key in self._ours}}
        self._file.write(_as_json(row) + "\n")


def _cell(value: Any) -> str:
    """A value in a table's cell: texts and numbers as they are, nothing as nothing, else JSON."""
    if value is None or value == []:
        return ""
    return str(value) if isinstance(value, str | float) else _as_json(value)


def _as_json(value: Any) -> str:
    """A value as JSON, in which a number that is none or is infinite is null."""
    try:
        return _encode(value)
    except ValueError:
        return _encode(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
