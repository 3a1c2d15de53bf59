"""What a data set holds, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .. import output
from .figures import count, percent
from .table import Table, plain, shorten

if TYPE_CHECKING:
    from adapter_platform.core.care.label_errors import LabelError, LabelErrors
    from adapter_platform.core.care.reading import Reading
    from adapter_platform.core.data.summary import Lengths
    from adapter_platform.core.examples import Dataset, Summary

SHOWN = 10  # of each sort of trouble; --json has all
CELLS = 60


def describe(
    dataset: Dataset,
    summary: Summary,
    reading: Reading | None = None,
    errors: LabelErrors | None = None,
) -> Iterator[str]:
    """Lines: columns, sizes, counts by label and split, and what deserves a look.

    Args:
        reading, errors: as a base sees the data, where it was asked.
    """
    scheme = dataset.scheme
    splits = ", ".join(f"{split} {n:,}" for split, n in summary.splits.items())
    texts = f"{count(summary.examples, 'text')} ({splits})"
    yield f"{texts}, {count(len(scheme.classes), 'label')}, {scheme.kind}"
    yield f"text in column {dataset.text_column!r}, label in column {dataset.label_column!r}"
    yield f"characters a text: {_lengths(summary.lengths)}"
    if reading is not None:
        yield f"tokens a text, by the base {reading.base!r}: {_lengths(reading.tokens)}"
    yield from (f"note: {output.printable(note)}" for note in dataset.notes)
    yield ""
    yield from plain(_counts(dataset, summary))
    if summary.unlabelled:
        yield f"{count(summary.unlabelled, 'text')} without a label"
    yield from _troubles(dataset, summary)
    if reading is not None:
        yield from _unread(reading)
    if errors is not None:
        yield from _mislabelled(dataset, errors)


def _lengths(lengths: Lengths) -> str:
    return (
        f"{lengths.shortest} to {lengths.longest}, median {lengths.median}, "
        f"95 % up to {lengths.percentile_95}"
    )


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


def _unread(reading: Reading) -> Iterator[str]:
    if reading.cut:
        yield ""
        yield (
            f"{count(reading.cut, 'text')} longer than the {reading.max_length} tokens that are "
            "read; the rest would not count"
        )
    foreign = [
        f"{found.where}: {shorten(found.text, CELLS)}: {found.reason}"
        for found in reading.unreadable
    ]
    heading = f"{count(len(foreign), 'text')} that the base {reading.base!r} cannot read"
    yield from _listed(heading, foreign)


def _mislabelled(dataset: Dataset, found: LabelErrors) -> Iterator[str]:
    """Labels that are likely wrong, the surest first."""
    yield ""
    if found.unjudged:
        few = ", ".join(found.unjudged[:SHOWN])
        more = f" and {len(found.unjudged) - SHOWN:,} more" if len(found.unjudged) > SHOWN else ""
        yield output.printable(f"labels with too few texts to be judged: {few}{more}")
    judged = f"{count(found.judged, 'text')} judged by the base {found.base!r}"
    if not found.errors:
        yield f"no label looks wrong: {judged}"
        return
    yield f"{count(len(found.errors), 'label')} likely wrong, the surest first; {judged}:"
    multi = dataset.scheme.kind == "multi"
    rows = [
        (
            error.where,
            "|".join(error.given),
            _change(error) if multi else error.likely[0],
            percent(error.confidence),
            shorten(error.text, CELLS),
        )
        for error in found.errors[:SHOWN]
    ]
    yield from plain(Table.of(("where", "given", "likely", "sure>", "text"), rows))
    if len(found.errors) > SHOWN:
        yield f"and {len(found.errors) - SHOWN:,} more; --json has all"


def _change(error: LabelError) -> str:
    """The one label that several labels are likely to lack, or to have too many."""
    missing = [f"+{label}" for label in error.likely if label not in error.given]
    return "".join(missing or [f"-{label}" for label in error.given if label not in error.likely])


def _listed(heading: str, items: list[str]) -> Iterator[str]:
    if not items:
        return
    yield ""
    yield f"{heading}:"
    yield from (f"  {output.printable(item)}" for item in items[:SHOWN])
    if len(items) > SHOWN:
        yield f"  and {len(items) - SHOWN:,} more"
