"""The label names of a stock classifier: from `label_map.json`, from a configuration, or given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import SchemeError
from ..labels import Kind, LabelScheme
from .stock import read_json

FILE = "label_map.json"
CONFIG = "config.json"
PLACEHOLDER = re.compile(r"LABEL_\d+")  # transformers' name for a label that nobody has named
KINDS: Mapping[str, Kind] = {
    "single_label_classification": "single",
    "multi_label_classification": "multi",
}


def read_scheme(
    directory: Path, classes: int, labels: Sequence[str] | None, kind: Kind | None
) -> LabelScheme:
    """The scheme of a stock classifier with so many logits.

    Args:
        labels: names in the order of the logits, over whatever the folder says.
        kind: None: as the folder's `config.json` says, else single.

    Raises:
        SchemeError: nobody names the labels, or not as many as there are logits.
    """
    config = read_json(directory / CONFIG)
    config = config if isinstance(config, dict) else {}
    where, names = "--label", list(labels) if labels is not None else None
    if names is None:
        where, names = str(directory / FILE), _names(read_json(directory / FILE), FILE)
    if names is None:
        where, names = str(directory / CONFIG), _names(_mapping(config), CONFIG)
        if names and all(PLACEHOLDER.fullmatch(name) for name in names):
            names = None
    if names is None:
        raise SchemeError(
            f"{directory} does not say what its {classes} labels are called: it has no {FILE}",
            "name them in the order of the logits: --label a --label b ...",
        )
    if len(names) != classes:
        raise SchemeError(f"{where} names {len(names)} labels, and the classifier has {classes}")
    problem = config.get("problem_type")
    kind = kind or KINDS.get(str(problem), "single")
    if problem == "regression" or (classes == 1 and kind != "multi"):
        raise SchemeError(f"{directory} is a regression: its one output is no label")
    return LabelScheme.of(kind, names)


def write_label_map(directory: Path, classes: Sequence[str]) -> None:
    """Writes `label_map.json`: ``{"0": name, ...}``."""
    import json

    names = {str(i): name for i, name in enumerate(classes)}
    text = json.dumps(names, ensure_ascii=False, indent=2)
    (directory / FILE).write_text(text + "\n", encoding="utf-8")


def _mapping(config: Mapping[str, Any]) -> Any:
    found = config.get("id2label")
    return found if found is not None else config.get("label2id")


def _names(data: Any, where: str) -> list[str] | None:
    """Names in the order of the logits, from id to name, name to id, or a list; None from None."""
    if data is None:
        return None
    if isinstance(data, Mapping) and ("id2label" in data or "label2id" in data):
        data = _mapping(data)
    by_id: dict[int, str] = {}
    if isinstance(data, Mapping):
        reverse = all(isinstance(v, int) for v in data.values())
        pairs = [(v, k) if reverse else (k, v) for k, v in data.items()]
        if all(isinstance(name, str) and str(i).isdecimal() for i, name in pairs):
            by_id = {int(i): name for i, name in pairs}
        complete = len(by_id) == len(pairs)
    else:
        complete = isinstance(data, list) and all(isinstance(name, str) for name in data)
        by_id = dict(enumerate(data)) if complete else {}
    if not complete or not by_id or sorted(by_id) != list(range(len(by_id))):
        raise SchemeError(
            f"{where} does not give each number from 0 on one label name",
            'write {"0": "first label", "1": "second label"}',
        )
    return [by_id[i] for i in range(len(by_id))]
