"""``alias``: answers under the names that the world outside knows, a ticket queue's for example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from adapter_platform.core.errors import PluginError, SchemeError, unknown
from adapter_platform.core.labels import SEPARATOR, LabelScheme
from adapter_platform.core.predictions import Prediction

from . import settings as checked


class Alias:
    """Renames labels by the mapping `names`, from the scheme's name to the one outside.

    `label`, `labels`, `probabilities` and `path` are renamed; a name that the mapping lacks stays.
    In a hierarchy a node is named by its full path, and its children are not renamed with it. Two
    labels cannot take one name. A `display` step goes before this one, as the scheme does not know
    the new names.
    """

    name = "alias"

    def build(
        self, settings: Mapping[str, Any], scheme: LabelScheme
    ) -> Callable[[Prediction], Prediction]:
        checked.only(self.name, settings, ("names",))
        names = _names(self.name, checked.required(self.name, settings, "names"), scheme)

        def renamed(pairs: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
            return tuple((names.get(name, name), p) for name, p in pairs)

        def step(prediction: Prediction) -> Prediction:
            label = prediction.label
            return replace(
                prediction,
                label=None if label is None else names.get(label, label),
                labels=renamed(prediction.labels),
                probabilities=dict(renamed(tuple(prediction.probabilities.items()))),
                path=renamed(prediction.path),
                steps=(*prediction.steps, self.name),
            )

        return step


def _names(step: str, names: Any, scheme: LabelScheme) -> dict[str, str]:
    """The mapping, if each key is a node of the scheme and no two nodes end up with one name."""
    if not isinstance(names, Mapping):
        raise PluginError(f"'names' of the step {step!r} must map labels to names")
    nodes = _nodes(scheme)
    owners: dict[str, str] = {}
    for label, outside in names.items():
        if label not in nodes:
            raise unknown("label", str(label), nodes, SchemeError)
        if not isinstance(outside, str) or not outside:
            raise PluginError(
                f"the step {step!r} cannot name {label!r} {outside!r}: give it a text"
            )
    for node in nodes:
        name = names.get(node, node)
        owner = owners.setdefault(name, node)
        if owner != node:
            raise PluginError(f"the step {step!r} gives {owner!r} and {node!r} one name, {name!r}")
    return dict(names)


def _nodes(scheme: LabelScheme) -> tuple[str, ...]:
    """Every label, and in a hierarchy every node that one lies below."""
    nodes: dict[str, None] = {}
    for label in scheme.labels:
        if scheme.kind == "hierarchical":
            parts = label.name.split(SEPARATOR)
            nodes |= dict.fromkeys(SEPARATOR.join(parts[: i + 1]) for i in range(len(parts)))
        nodes[label.name] = None
    return tuple(nodes)
