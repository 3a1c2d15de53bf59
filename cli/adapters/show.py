"""``platform adapters show``: everything that one version says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from .. import options, output
from ..render.evaluation import baselines, figures, per_class, slices
from ..render.figures import percent
from ..render.manifest import describe
from ..render.scheme import tree
from ..render.table import Table, draw
from .listing import scores, worth

if TYPE_CHECKING:
    from pathlib import Path

    from adapter_platform.core.store.manifest import Manifest
    from adapter_platform.core.store.store import Store


def show(ctx: typer.Context, name: options.Reference, json: options.Json = False) -> None:
    """Show an adapter: its labels, scores, base, files.

    With --json, prints its manifest. An adapter of which no version is current is shown by its
    versions, with --json a manifest of each.
    """
    store = options.session(ctx).open_store()
    if not store.has_current(name):
        _show_versions(name, store, json)
        return
    source = store.resolve(name)
    manifest = source.manifest
    if json:
        output.json_document(manifest.to_dict())
        return
    for line in describe(manifest, _versions(manifest.name, store), source.path):
        output.result(line)
    _heading("labels")
    for line in tree(manifest.scheme, manifest.calibration.thresholds):
        output.result(line)
    _show_report(source.path)
    _heading("files")
    draw(Table.of(("file", "bytes>", "SHA-256"), _files(source.path, manifest)))


def _versions(name: str, store: Store) -> str:
    numbers = store.versions(name)
    if not store.has_current(name):
        return f"{', '.join(map(str, numbers))} (none is current)"
    current = store.current(name)
    return ", ".join(
        f"{number} (current)" if number == current else f"{number}" for number in numbers
    )


def _show_versions(name: str, store: Store, json: bool) -> None:
    """What there is of a name that answers nothing by itself."""
    found = [(version, _manifest(f"{name}@{version}", store)) for version in store.versions(name)]
    if json:
        output.json_document(
            {
                "name": name,
                "current": None,
                "versions": [
                    {"version": version, "manifest": manifest and manifest.to_dict()}
                    for version, manifest in found
                ],
            }
        )
        return
    output.result(f"no version of {name} is current, so {name} alone answers nothing")
    output.result()
    draw(
        Table.of(
            ("version>", "created", "labels>", "score>", "probe>", "remark"),
            [_version(*each) for each in found],
        )
    )
    output.result()
    good = [version for version, manifest in found if manifest and not manifest.worse_than_probe]
    chosen = good[-1] if good else found[-1][0]
    output.result(f"all of one version: platform adapters show {name}@{chosen}")
    output.result(f"to make one current: platform adapters promote {name}@{chosen}")


def _manifest(reference: str, store: Store) -> Manifest | None:
    from adapter_platform.core.errors import StoreError

    try:
        return store.resolve(reference).manifest
    except StoreError:
        return None  # the other versions are still worth showing; `verify` says what is wrong


def _version(version: int, manifest: Manifest | None) -> tuple[str, ...]:
    if manifest is None:
        return (str(version), "-", "-", "-", "-", "cannot be read")
    ours, probe = scores(manifest)
    return (
        str(version),
        manifest.created,
        str(len(manifest.scheme.classes)),
        percent(ours),
        percent(probe),
        worth(manifest) or "",
    )


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
