"""Label schemes: which answers there are, how they are called, and how logits become one.

A scheme travels inside its adapter, so nothing here depends on a plugin. NumPy is imported only
where arithmetic is done: listing adapters must stay quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from .errors import SchemeError, unknown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.floating[Any]]

Kind = Literal["single", "multi", "hierarchical"]
SEPARATOR = "/"
ROOT = 0  # the number of the node above all


@dataclass(frozen=True, slots=True)
class Label:
    """One label.

    Attributes:
        name: what predictions carry; in a hierarchy the full path, ``data_platform/cleaning``.
        display: names for people by language, ``{"zh": "数据清洗", "en": "Cleaning"}``.
        description: what belongs to it, for annotators and the model card.
        aliases: other spellings that incoming data may use.
        group: an inner node that only holds others and is never itself an answer's end.
    """

    name: str
    display: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    aliases: tuple[str, ...] = ()
    group: bool = False

    def to_dict(self) -> dict[str, Any]:
        full = {
            "name": self.name,
            "display": dict(self.display),
            "description": self.description,
            "aliases": list(self.aliases),
            "group": self.group,
        }
        return {key: value for key, value in full.items() if value or key == "name"}


@dataclass(frozen=True, slots=True)
class Decision:
    """How one row of probabilities reads.

    Attributes:
        label: the answer; None where a multi-label text has none.
        labels: (label, probability), the most probable first; for `multi` those over their
            thresholds.
        confidence: the answer's probability; with no label, 1 - the highest probability.
        path: (node, probability) from the top to the answer; empty unless hierarchical.
    """

    label: str | None
    labels: tuple[tuple[str, float], ...]
    confidence: float
    path: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class LabelScheme:
    """An ordered set of labels.

    `classes` are the labels that have a logit, in the order of the logits. In a hierarchy every
    path used as a label has one; softmax runs over those and a node's probability is the sum below
    it, itself included if it is a class.
    """

    kind: Kind
    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            choices = ", ".join(get_args(Kind))
            raise SchemeError(f"a label scheme cannot be of kind {self.kind!r}", f"use {choices}")
        names: dict[str, str] = {}
        for label in self.labels:
            if not label.name or label.name != label.name.strip():
                raise SchemeError(f"a label cannot be named {label.name!r}")
            if self.kind == "hierarchical" and "" in label.name.split(SEPARATOR):
                raise SchemeError(f"the label path {label.name!r} has an empty part")
            if label.group and self.kind != "hierarchical":
                raise SchemeError(f"{label.name!r} is a group, but the scheme is {self.kind}")
            for spelling in (label.name, *label.aliases):
                owner = names.setdefault(spelling, label.name)
                if owner != label.name or (spelling == label.name and spelling in label.aliases):
                    raise SchemeError(f"{spelling!r} names both {owner!r} and {label.name!r}")
        if len(names) != sum(1 + len(label.aliases) for label in self.labels):
            raise SchemeError("a label or alias stands twice in the scheme")
        if not self.classes:
            raise SchemeError("a label scheme needs at least one label that is not a group")

    @classmethod
    def of(cls, kind: Kind, names: Iterable[str]) -> LabelScheme:
        """A scheme of bare names, in the given order."""
        return cls(kind, tuple(Label(name) for name in names))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "label scheme") -> LabelScheme:
        """Reads ``{"kind": ..., "labels": [name or {...}, ...]}``.

        In a hierarchy an inner node is a class of its own only where it says ``group = false``.
        """
        if not isinstance(data, Mapping) or set(data) - {"kind", "labels"}:
            raise SchemeError(f"{where}: a scheme has the keys 'kind' and 'labels' and no others")
        kind = data.get("kind", "single")
        entries = data.get("labels")
        if not isinstance(entries, list | tuple) or not entries:
            raise SchemeError(f"{where}: 'labels' must be a list of labels")
        labels = [_label(entry, where) for entry in entries]
        if kind == "hierarchical":
            inner = {p for label in labels for p in _ancestors(label.name)}
            explicit = {e["name"] for e in entries if isinstance(e, Mapping) and "group" in e}
            labels = [
                Label(x.name, x.display, x.description, x.aliases, group=True)
                if x.name in inner and x.name not in explicit
                else x
                for x in labels
            ]
        return cls(cast(Kind, kind), tuple(labels))

    def to_dict(self) -> dict[str, Any]:
        """The form that manifests hold; `from_dict` gives the same scheme back."""
        entries = [label.to_dict() for label in self.labels]
        if self.kind == "hierarchical":
            inner = {p for label in self.labels for p in _ancestors(label.name)}
            for entry, label in zip(entries, self.labels, strict=True):
                if label.name in inner:
                    entry["group"] = label.group
        return {"kind": self.kind, "labels": entries}

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The labels that have a logit, in the order of the logits."""
        return tuple(label.name for label in self.labels if not label.group)

    @cached_property
    def _spellings(self) -> dict[str, str]:
        return {s: label.name for label in self.labels for s in (label.name, *label.aliases)}

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.classes)}

    @cached_property
    def _tree(self) -> _Tree:
        return _Tree.of(self.classes)

    @property
    def primary_metric(self) -> str:
        """The figure that decides: accuracy, or for multi-label macro F1."""
        return "macro_f1" if self.kind == "multi" else "accuracy"

    def canonical(self, spelling: str) -> str:
        """The class that a name or alias means.

        Raises:
            SchemeError: no class is spelled so; the hint names the nearest.
        """
        name = self._spellings.get(spelling) or self._spellings.get(spelling.strip())
        if name is None:
            raise unknown("label", spelling, self.classes, SchemeError)
        if name not in self._index:
            raise SchemeError(
                f"{name!r} is a group of labels, not a label",
                "give it 'group = false' in the scheme to use it as a label",
            )
        return name

    def label(self, name: str) -> Label | None:
        """The entry of this name, or None where the scheme only implies the node."""
        return next((label for label in self.labels if label.name == name), None)

    def display_name(self, name: str, language: str) -> str:
        """The label's name for people in a language; the name itself where none is given."""
        label = self.label(name)
        return label.display.get(language, name) if label else name

    def indices(self, names: Sequence[str]) -> list[int]:
        """The positions of classes among the logits."""
        return [self._index[name] for name in names]

    def probabilities(self, logits: FloatArray, temperature: float = 1.0) -> FloatArray:
        """Float64 ``(texts, classes)`` from logits: sigmoid for `multi`, else softmax."""
        import numpy as np

        scaled = np.asarray(logits, dtype=np.float64) / temperature
        if self.kind == "multi":
            return cast("FloatArray", np.exp(-np.logaddexp(0.0, -scaled)))
        exp = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        return cast("FloatArray", exp / exp.sum(axis=-1, keepdims=True))

    def energies(self, logits: FloatArray, temperature: float = 1.0) -> NDArray[np.float64]:
        """``(texts,)`` from logits ``(texts, classes)``: the lower, the more they speak for any
        label at all.

        Minus log-sum-exp (Liu et al. 2020, equation 4); for `multi` minus the sum over labels of
        log(1 + exp) (Wang et al. 2021, JointEnergy).
        """
        import numpy as np

        scaled = np.asarray(logits, dtype=np.float64) / temperature
        if self.kind == "multi":
            return cast("NDArray[np.float64]", -np.logaddexp(0.0, scaled).sum(axis=-1))
        return cast("NDArray[np.float64]", -np.logaddexp.reduce(scaled, axis=-1))

    def decide(
        self, probabilities: Sequence[float], thresholds: Mapping[str, float] | None = None
    ) -> Decision:
        """Reads one row of class probabilities ``(classes,)``.

        Args:
            thresholds: for `multi`, the least probability of each label; 0.5 where none is given.
        """
        row = {name: float(p) for name, p in zip(self.classes, probabilities, strict=True)}
        ranked = tuple(sorted(row.items(), key=lambda item: -item[1]))
        if self.kind == "multi":
            limits = thresholds or {}
            over = tuple((n, p) for n, p in ranked if p >= limits.get(n, 0.5))
            if over:
                return Decision(over[0][0], over, over[0][1])
            return Decision(None, (), 1.0 - ranked[0][1])
        if self.kind == "single":
            return Decision(ranked[0][0], ranked, ranked[0][1])
        path = self._descend(tuple(row.values()))
        return Decision(path[-1][0], ranked, row[path[-1][0]], path)

    def _descend(self, row: Sequence[float]) -> tuple[tuple[str, float], ...]:
        """(node, probability) from the top: the best child at each level, until a class is best."""
        tree = self._tree
        mass = tree.masses(row)
        path: list[tuple[str, float]] = []
        node = ROOT
        while below := tree.children[node]:
            best = max(below, key=mass.__getitem__)
            own = tree.own.get(node)
            if own is not None and row[own] >= mass[best]:
                break
            path.append((tree.nodes[best], mass[best]))
            node = best
        return tuple(path)


@dataclass(frozen=True, slots=True)
class _Tree:
    """A hierarchy's nodes by number, those too that only hold others.

    Attributes:
        nodes: their paths; `ROOT` stands above the top level.
        children: each node's, in scheme order.
        own: the class that a node is itself, by node.
        holders, held: ``(pairs,)``; each node with each class at or below it, in scheme order.
    """

    nodes: tuple[str, ...]
    children: tuple[tuple[int, ...], ...]
    own: Mapping[int, int]
    holders: NDArray[np.intp]
    held: NDArray[np.intp]

    @classmethod
    def of(cls, classes: Sequence[str]) -> _Tree:
        import numpy as np

        numbers: dict[str, int] = {"": ROOT}
        children: list[list[int]] = [[]]
        pairs: list[tuple[int, int]] = []
        for index, name in enumerate(classes):
            parent = ROOT
            for path in (*_ancestors(name), name):
                node = numbers.setdefault(path, len(children))
                if node == len(children):
                    children.append([])
                    children[parent].append(node)
                pairs.append((node, index))
                parent = node
        holders, held = np.array(pairs, dtype=np.intp).T
        own = {numbers[name]: index for index, name in enumerate(classes)}
        return cls(tuple(numbers), tuple(map(tuple, children)), own, holders, held)

    def masses(self, row: Sequence[float]) -> list[float]:
        """Each node's probability: the sum over the classes ``(classes,)`` at and below it."""
        import numpy as np

        weights = np.asarray(row, dtype=np.float64)[self.held]
        mass = np.bincount(self.holders, weights, minlength=len(self.nodes))
        return cast("list[float]", mass.tolist())


def _ancestors(path: str) -> list[str]:
    """The nodes above a path, the topmost first."""
    parts = path.split(SEPARATOR)
    return [SEPARATOR.join(parts[:depth]) for depth in range(1, len(parts))]


def _label(entry: Any, where: str) -> Label:
    if isinstance(entry, str):
        return Label(entry)
    known = {"name", "display", "description", "aliases", "group"}
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise SchemeError(f"{where}: each label is a name or a table with a 'name'")
    name = entry["name"]
    extra = sorted(set(entry) - known)
    if extra:
        raise unknown(
            f"label setting (label {name!r} of the {where})", extra[0], known, SchemeError
        )
    display, aliases = entry.get("display", {}), entry.get("aliases", ())
    texts = isinstance(display, Mapping) and all(isinstance(v, str) for v in display.values())
    if not texts or not isinstance(aliases, list | tuple):
        raise SchemeError(f"{where}: 'display' of {name!r} is a table of texts, 'aliases' a list")
    if not all(isinstance(alias, str) for alias in aliases):
        raise SchemeError(f"{where}: each alias of {name!r} is a text")
    return Label(
        name,
        dict(display),
        str(entry.get("description", "")),
        tuple(aliases),
        bool(entry.get("group", False)),
    )
