"""How rows from a data source become examples."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .data.cells import (
    SEPARATORS,
    SURE_SEPARATORS,
    Cell,
    clean_path,
    commonest_separator,
    find_separators,
    look_alikes,
    looks_hierarchical,
    read_field,
    read_label,
    read_text,
    split_labels,
)
from .data.columns import SPLIT_WORDS, Columns, check_settings, find_columns, split_of
from .data.example import ALL, SPLITS, Dataset, Example, Problem, Split, place
from .data.summary import Summary, summarise
from .data.uris import open_rows
from .errors import DataError, SchemeError, unknown
from .labels import Kind, LabelScheme
from .registry import BadRow, Record

if TYPE_CHECKING:
    from .registry import Registry

__all__ = [
    "ALL",
    "SPLITS",
    "Dataset",
    "Example",
    "Problem",
    "Split",
    "Summary",
    "load_examples",
    "open_rows",
    "place",
    "summarise",
]

SHOWN_ROWS = 5  # rows that cannot be used, of those that a note names


@dataclass(frozen=True, slots=True)
class _Row:
    """A row whose cells are read and whose labels are not yet understood."""

    text: str
    cell: Cell
    split: Split | None
    where: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Part:
    """One file's rows and problems, in order."""

    uri: str
    columns: Columns
    items: tuple[_Row | Problem, ...]
    notes: tuple[str, ...] = ()

    def rows(self) -> list[_Row]:
        return [item for item in self.items if isinstance(item, _Row)]


def load_examples(
    data: Mapping[str, str],
    registry: Registry,
    *,
    columns: Mapping[str, str] | None = None,
    scheme: LabelScheme | None = None,
    kind: Kind | None = None,
) -> Dataset:
    """Reads labelled texts.

    Args:
        data: URIs by split: ``train``, ``val`` (or ``dev``, ``validation``), ``test``, or ``all``,
            whose rows may name their split in a column of their own.
        columns: column names by role (``text``, ``label``, ``split``), and the ``separator``
            between several labels; what is not named is found.
        scheme: the labels that there are; None: those that occur, in sorted order.
        kind: kind of the scheme that is derived; None: ``multi`` where values are lists or fall
            apart into labels that also occur alone, ``hierarchical`` where they read as paths,
            else ``single``.

    Raises:
        DataError: nothing can be read, the columns are not clear, no row can be used, or more than
            half of a file's rows cannot.
    """
    wanted = dict(columns or {})
    check_settings(wanted)
    if scheme is not None and kind is not None and kind != scheme.kind:
        raise DataError(f"the label scheme is {scheme.kind}, so its kind cannot be {kind!r}")
    parts = [_read(uri, split, registry, wanted) for split, uri in _uris(data)]
    cells = [row.cell for part in parts for row in part.rows()]
    decided = scheme.kind if scheme is not None else kind or _kind(cells, wanted.get("separator"))
    notes = [note for part in parts for note in part.notes]
    separator = None
    if decided == "multi":
        separator = wanted.get("separator") or _separator(cells, scheme)
    elif scheme is None and kind is None:
        notes += _missed_separator(cells)
    if scheme is None:
        if not any(cells):
            raise DataError(f"no row of {parts[0].uri} has a label", "see the label column")
        scheme = _derived(cells, decided, separator, sure=kind is not None)
        notes += _confusable(scheme)
    examples: list[Example] = []
    problems: list[Problem] = []
    spellings = _spellings(scheme)
    for part in parts:
        items = [
            _example(item, scheme, spellings, separator) if isinstance(item, _Row) else item
            for item in part.items
        ]
        bad = [item for item in items if isinstance(item, Problem)]
        _check_usable(part.uri, len(items), bad)
        examples += [item for item in items if isinstance(item, Example)]
        problems += bad
    first = parts[0].columns
    return Dataset(tuple(examples), scheme, first.text, first.label, tuple(problems), tuple(notes))


def _uris(data: Mapping[str, str]) -> list[tuple[Split | None, str]]:
    """(split, URI); the split is None where the rows themselves may say it."""
    if not data:
        raise DataError("no data is named", "name a file, for example questions.csv")
    named: dict[Split | None, str] = {}
    for name, uri in data.items():
        if name != ALL and name not in SPLIT_WORDS:
            raise unknown("split", name, (ALL, *SPLITS), DataError)
        split = None if name == ALL else SPLIT_WORDS[name]
        if split in named:
            raise DataError(f"the {split} split is named twice: {named[split]} and {uri}")
        named[split] = uri
    return list(named.items())


def _read(uri: str, split: Split | None, registry: Registry, wanted: Mapping[str, str]) -> _Part:
    rows, _ = open_rows(uri, registry)
    read = [Problem(row.where, row.reason) if isinstance(row, BadRow) else row for row in rows]
    records = [row for row in read if isinstance(row, Record)]
    _check_usable(uri, len(read), [row for row in read if isinstance(row, Problem)])
    notes: tuple[str, ...] = ()
    if split is None:
        columns = find_columns(uri, [r.fields for r in records], wanted)
    else:
        columns, notes = _outranked(uri, split, records, wanted)
    items = [r if isinstance(r, Problem) else _row(r, columns, split) for r in read]
    _check_usable(uri, len(items), [item for item in items if isinstance(item, Problem)])
    return _Part(uri, columns, tuple(items), notes)


def _outranked(
    uri: str, split: Split, records: Sequence[Record], wanted: Mapping[str, str]
) -> tuple[Columns, tuple[str, ...]]:
    """The columns of a file that is one split by name, and a note if its own column disagrees."""
    unnamed = {role: name for role, name in wanted.items() if role != "split"}
    columns = find_columns(uri, [r.fields for r in records], unnamed)
    notes: tuple[str, ...] = ()
    if columns.split is not None:
        others = [r for r in records if not _agrees(r.fields.get(columns.split), split)]
        if others:
            notes = (
                f"{uri} was named as the {split} split, so all of it is, though its column "
                f"{columns.split!r} puts {len(others)} of its rows elsewhere ({others[0].where} "
                "is the first); name it as 'all' to let the column decide",
            )
    return replace(columns, split=None), notes


def _agrees(value: Any, split: Split) -> bool:
    try:
        return split_of(value) in (split, None)
    except ValueError:
        return True


def _row(record: Record, columns: Columns, split: Split | None) -> _Row | Problem:
    cells = record.fields
    try:
        text = read_text(cells.get(columns.text))
        if not text:
            return Problem(record.where, f"the text (column {columns.text!r}) is empty")
        cell = read_label(cells.get(columns.label))
        if columns.split is not None:
            split = split_of(cells.get(columns.split))
    except ValueError as error:
        return Problem(record.where, str(error))
    used = (columns.text, columns.label, columns.split)
    others = {str(k): read_field(v) for k, v in cells.items() if k not in used}
    return _Row(text, cell, split, record.where, {k: v for k, v in others.items() if v})


def _kind(cells: Iterable[Cell], separator: str | None) -> Kind:
    """``multi`` or ``single``, as the cells look; paths are looked at once the labels are known."""
    cells = list(cells)
    if any(isinstance(cell, tuple) for cell in cells):
        return "multi"
    values = {cell for cell in cells if isinstance(cell, str)}
    if separator is not None:
        return "multi" if any(separator in value for value in values) else "single"
    return "multi" if find_separators(values, SURE_SEPARATORS) else "single"


def _separator(cells: Iterable[Cell], scheme: LabelScheme | None) -> str | None:
    """What separates several labels in one cell; None where each cell holds one or a list."""
    values = {cell for cell in cells if isinstance(cell, str)}
    known = None if scheme is None else _spellings(scheme)
    found = find_separators(values, SEPARATORS, known)
    if len(found) > 1:
        raise DataError(
            f"labels are separated by {found[0]!r} in some rows and by {found[1]!r} in others",
            "write them one way, or name the one that counts: separator = '|' under [columns]",
        )
    return found[0] if found else commonest_separator(values, known or ())


def _missed_separator(cells: Iterable[Cell]) -> list[str]:
    """A note where commas may separate labels: too common inside names to be taken so unasked."""
    values = {cell for cell in cells if isinstance(cell, str)}
    found = find_separators(values, [mark for mark in SEPARATORS if mark not in SURE_SEPARATORS])
    if not found:
        return []
    example = min(value for value in values if found[0] in value)
    return [f"{example!r} is taken as one label; if it is several, set the kind to multi"]


def _confusable(scheme: LabelScheme) -> list[str]:
    groups = look_alikes(scheme.classes)
    if not groups:
        return []
    others = len(groups) - 1
    more = f", as {'does 1 more group' if others == 1 else f'do {others} more groups'}"
    return [
        f"the labels {', '.join(map(repr, groups[0]))} are different ones though they differ only "
        f"in case, width, spacing or marks at the end{more if others else ''}"
    ]


def _derived(
    cells: Iterable[Cell], kind: Kind, separator: str | None, *, sure: bool
) -> LabelScheme:
    """A scheme of the labels that occur, sorted so that it does not depend on the rows' order."""
    labels = {label for cell in cells for label in _names(cell, separator)}
    if kind == "single" and not sure and looks_hierarchical(labels):
        kind = "hierarchical"
    if kind == "hierarchical":
        labels = {clean_path(label) for label in labels}
    try:
        return LabelScheme.of(kind, sorted(labels))
    except SchemeError as error:
        raise DataError(f"the labels make no {kind} scheme: {error.message}", error.hint) from error


def _spellings(scheme: LabelScheme) -> frozenset[str]:
    return frozenset(s for label in scheme.labels for s in (label.name, *label.aliases))


def _names(cell: Cell, separator: str | None, whole: Collection[str] = ()) -> tuple[str, ...]:
    if cell is None:
        return ()
    if isinstance(cell, tuple):
        return cell
    return split_labels(cell, separator) if separator and cell not in whole else (cell,)


def _example(
    row: _Row, scheme: LabelScheme, spellings: Collection[str], separator: str | None
) -> Example | Problem:
    names = _names(row.cell, separator, spellings)
    if scheme.kind != "multi" and len(names) != 1:
        count = f"has {len(names)} labels" if names else "has no label"
        return Problem(row.where, f"the row {count}; a {scheme.kind} scheme takes one")
    try:
        labels = {_canonical(name, scheme) for name in names}
    except SchemeError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return Problem(row.where, error.message + hint)
    ordered = tuple(sorted(labels, key=scheme.classes.index))
    return Example(row.text, ordered, row.split, row.where, row.fields)


def _canonical(name: str, scheme: LabelScheme) -> str:
    try:
        return scheme.canonical(name)
    except SchemeError:
        if scheme.kind != "hierarchical" or clean_path(name) == name:
            raise
        return scheme.canonical(clean_path(name))


def _check_usable(uri: str, total: int, bad: Sequence[Problem]) -> None:
    if not total:
        raise DataError(f"{uri} has no rows", "a table needs a line below its header")
    if 2 * len(bad) > total:
        first = bad[0]
        raise DataError(
            f"{len(bad)} of {total} rows of {uri} cannot be used; the first, {first.where}: "
            f"{first.reason}"
        )


def row_notes(dataset: Dataset) -> list[str]:
    """What became of rows that are no examples: their number, and the first with their reasons."""
    problems = dataset.problems
    if not problems:
        return []
    bad, more = len(problems), len(problems) - SHOWN_ROWS
    listed = "; ".join(f"{place(p.where)}: {p.reason}" for p in problems[:SHOWN_ROWS])
    rest = f"; and {more:,} more" if more > 0 else ""
    return [f"{bad:,} of {bad + len(dataset.examples):,} rows cannot be used: {listed}{rest}"]
