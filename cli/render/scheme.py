"""A label scheme as an indented tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from .. import output
from .table import pad, width

if TYPE_CHECKING:
    from adapter_platform.core.labels import Label, LabelScheme


def tree(scheme: LabelScheme, thresholds: Mapping[str, float] | None = None) -> list[str]:
    """Lines: each label under its parent, with its names for people and its description.

    Args:
        thresholds: for multi-label schemes, from which probability on each label applies.
    """
    rows = list(_rows(scheme, thresholds or {}))
    cells = max((width(name) for name, _ in rows), default=0)
    return [f"  {pad(name, cells)}  {about}".rstrip() for name, about in rows]


def _rows(scheme: LabelScheme, thresholds: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    if scheme.kind != "hierarchical":
        for label in scheme.labels:
            yield output.printable(label.name), _about(label, thresholds.get(label.name))
        return
    shown: set[str] = set()
    for name in scheme.classes:
        parts = name.split("/")
        for depth in range(1, len(parts) + 1):
            node = "/".join(parts[:depth])
            if node not in shown:
                shown.add(node)
                known = scheme.label(node)
                indented = "  " * (depth - 1) + output.printable(parts[depth - 1])
                yield indented, _about(known, None) if known else ""


def _about(label: Label, threshold: float | None) -> str:
    names = " / ".join(dict.fromkeys(label.display.values()))
    parts = [names] if names else []
    if threshold is not None:
        parts.append(f"from {threshold:.2f}")
    if label.description:
        parts.append(label.description)
    return output.printable(" - ".join(parts))
