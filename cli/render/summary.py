"""What a data set holds, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .. import output
from .figures import count
from .table import Table, plain, shorten

if TYPE_CHECKING:
    from adapter_platform.core.examples import Dataset, Summary

SHOWN = 10  # of each sort of trouble; --json has all
CELLS = 60


def describe(dataset: Dataset, summary: Summary) -> Iterator[str]:
    """Lines: columns, sizes, counts by label and split, and what deserves a look."""
    scheme = dataset.scheme
    splits = ", ".join(f"{split} {n:,}" for split, n in summary.splits.items())
    texts = f"{count(summary.examples, 'text')} ({splits})"
    yield f"{texts}, {count(len(scheme.classes), 'label')}, {scheme.kind}"
    yield f"text in column {dataset.text_column!r}, label in column {dataset.label_column!r}"
    lengths = summary.lengths
    yield (
        f"characters a text: {lengths.shortest} to {lengths.longest}, median {lengths.median}, "
        f"95 % up to {lengths.percentile_95}"
    )
    yield from (f"note: {output.printable(note)}" for note in dataset.notes)
    yield ""
    yield from plain(_counts(dataset, summary))
    if summary.unlabelled:
        yield f"{count(summary.unlabelled, 'text')} without a label"
    yield from _troubles(dataset, summary)


def _counts(dataset: Dataset, summary: Summary) -> Table:
    splits = list(summary.counts)
    rows = [
        (label, *(f"{summary.counts[split].get(label, 0):,}" for split in splits))
        for label in dataset.scheme.classes
    ]
    return Table.of(("label", *(f"{split}>" for split in splits)), rows)


def _troubles(dataset: Dataset, summary: Summary) -> Iterator[str]:
    bad = [f"{problem.where}: {problem.reason}" for problem in dataset.problems]
    yield from _listed(count(len(bad), "row") + " that cannot be used", bad)
    conflicts = []
    for conflict in summary.conflicts:
        places = ", ".join(f"{'|'.join(labels)} at {where}" for where, labels in conflict.places)
        conflicts.append(f"{shorten(conflict.text, CELLS)}: {places}")
    yield from _listed(count(len(conflicts), "text") + " with different labels", conflicts)
    repeated = [
        f"{shorten(duplicate.text, CELLS)}: {', '.join(duplicate.wheres)}"
        for duplicate in summary.duplicates
    ]
    yield from _listed(count(len(repeated), "text") + " more than once", repeated)
    if summary.near_duplicate_groups:
        yield ""
        groups = count(summary.near_duplicate_groups, "group")
        yield f"{groups} of all but equal texts; splitting keeps each on one side"


def _listed(heading: str, items: list[str]) -> Iterator[str]:
    if not items:
        return
    yield ""
    yield f"{heading}:"
    yield from (f"  {output.printable(item)}" for item in items[:SHOWN])
    if len(items) > SHOWN:
        yield f"  and {len(items) - SHOWN:,} more"
