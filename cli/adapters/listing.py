"""``platform adapters list``: what can answer, how well, and where it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from .. import options, output
from ..render.figures import percent
from ..render.table import Table, draw

if TYPE_CHECKING:
    from adapter_platform.core.store.lookup import Listed
    from adapter_platform.core.store.manifest import Manifest
    from adapter_platform.core.store.store import Store

HEADINGS = ("name", "version>", "kind", "labels>", "base", "score>", "probe>", "from", "remark")


def list_adapters(ctx: typer.Context, json: options.Json = False) -> None:
    """List the adapters, with each one's score on its test texts.

    The score is accuracy, for multi-label adapters macro F1; "probe" is what logistic regression
    on the frozen base reaches on the same texts.
    """
    store = options.session(ctx).open_store()
    listing = store.listing()
    if json:
        output.json_document(_document(store, listing))
        return
    if listing:
        draw(Table.of(HEADINGS, map(_row, listing)))
    else:
        output.note("there are no adapters; to train one: platform adapters train NAME --data FILE")
    output.result(f"store: {store.root}")


def _row(entry: Listed) -> tuple[str, ...]:
    version = "-" if entry.version is None else str(entry.version)
    manifest = entry.manifest
    if manifest is None:
        reason = entry.error.message if entry.error else "it cannot be read"
        remark = reason if entry.version is None else f"unusable: {reason}"
        return (entry.name, version, "-", "-", "-", "-", "-", entry.layer, remark)
    ours, probe = scores(manifest)
    return (
        entry.name,
        version,
        manifest.scheme.kind,
        str(len(manifest.scheme.classes)),
        manifest.base.id,
        percent(ours),
        percent(probe),
        entry.layer,
        "; ".join(remarks(entry, manifest)),
    )


def remarks(entry: Listed, manifest: Manifest) -> list[str]:
    """What deserves a look: worse than the probe, a newer starter, several versions."""
    found = [remark] if (remark := worth(manifest)) else []
    if entry.newer_starter is not None:
        found.append(f"the starter is now version {entry.newer_starter}")
    if len(entry.versions) > 1:
        found.append(f"{len(entry.versions)} versions")
    return found


def worth(manifest: Manifest) -> str | None:
    """Whether the probe does better, in words; None where it does not."""
    if manifest.worse_than_probe:
        return "worse than the probe"
    return "the probe is ahead on the test texts" if probe_is_ahead(manifest) else None


def scores(manifest: Manifest, split: str = "test") -> tuple[float | None, float | None]:
    """An adapter's deciding figure on a split, and the probe's; None where there is none."""
    metric, metrics = manifest.scheme.primary_metric, manifest.metrics
    return metrics.get(f"{split}.{metric}"), metrics.get(f"{split}.probe.{metric}")


def probe_is_ahead(manifest: Manifest) -> bool:
    """Whether the probe does better on the test texts."""
    ours, probe = scores(manifest)
    return ours is not None and probe is not None and ours < probe


def _document(store: Store, listing: list[Listed]) -> dict[str, Any]:
    return {
        "store": str(store.root),
        "starters": None if store.starters is None else str(store.starters),
        "adapters": [_entry(entry) for entry in listing],
    }


def _entry(entry: Listed) -> dict[str, Any]:
    manifest = entry.manifest
    document: dict[str, Any] = {
        "name": entry.name,
        "layer": entry.layer,
        "version": entry.version,
        "versions": list(entry.versions),
        "newer_starter": entry.newer_starter,
        "error": entry.error.message if entry.error else None,
    }
    if manifest is not None:
        document |= {
            "kind": manifest.scheme.kind,
            "labels": list(manifest.scheme.classes),
            "base": manifest.base.id,
            "metrics": dict(manifest.metrics),
            "worse_than_probe": manifest.worse_than_probe,
            "description": manifest.description,
            "created": manifest.created,
        }
    return document
