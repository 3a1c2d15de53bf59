"""``platform adapters show``: everything that one version says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from .. import options, output
from ..render.evaluation import baselines, figures, per_class, slices
from ..render.manifest import describe
from ..render.scheme import tree
from ..render.table import Table, draw

if TYPE_CHECKING:
    from pathlib import Path

    from adapter_platform.core.store.manifest import Manifest


def show(ctx: typer.Context, name: options.Reference, json: options.Json = False) -> None:
    """Show an adapter: its labels, scores, base, files.

    With --json, prints its manifest.
    """
    store = options.session(ctx).open_store()
    source = store.resolve(name)
    manifest = source.manifest
    if json:
        output.json_document(manifest.to_dict())
        return
    for line in describe(manifest, store.versions(manifest.name), source.path):
        output.result(line)
    _heading("labels")
    for line in tree(manifest.scheme, manifest.calibration.thresholds):
        output.result(line)
    _show_report(source.path)
    _heading("files")
    draw(Table.of(("file", "bytes>", "SHA-256"), _files(source.path, manifest)))


def _show_report(directory: Path) -> None:
    from adapter_platform.core.training.report import FILE, read

    report = read(directory)
    if report is None:
        return
    try:
        tables = list(_tables(report))
        notes = [output.printable(str(note)) for note in report.get("notes") or ()]
    except (AttributeError, KeyError, TypeError, ValueError):
        # The rest of the adapter is still worth showing; `verify` says what is wrong with it.
        output.warn(f"{directory / FILE} is not a report as training writes it")
        return
    for note in notes:
        output.result(f"note: {note}")
    for heading, table in tables:
        _heading(heading)
        draw(table)


def _tables(report: Mapping[str, Any]) -> Iterator[tuple[str, Table]]:
    yield "scores", baselines(report)
    evaluation = report.get("test") or report.get("val")
    if evaluation:
        on = "test" if report.get("test") else "validation"
        if evaluation.get("intervals"):
            yield f"figures, on {on}", figures(evaluation)
        yield f"by class, on {on}", per_class(evaluation)
        yield from ((f"by {column}", table) for column, table in slices(evaluation))


def _files(directory: Path, manifest: Manifest) -> list[tuple[str, str, str]]:
    rows = []
    for name, digest in sorted(manifest.files.items()):
        path = directory / name
        size = f"{path.stat().st_size:,}" if path.is_file() else "missing"
        rows.append((name, size, digest[:16]))
    return rows


def _heading(text: str) -> None:
    output.result()
    output.result(text)
