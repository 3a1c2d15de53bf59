"""Evaluations as people see them."""

from __future__ import annotations

from typing import Any

from adapter_platform.cli.render.evaluation import per_class
from adapter_platform.cli.render.table import draw


def test_a_class_without_texts_has_dashes_where_figures_would_read_as_failure(
    capsys: Any,
) -> None:
    figures = {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    rows = [
        {"label": "seen", **figures, "support": 2},
        {"label": "unseen", **figures, "support": 0},
    ]
    draw(per_class({"per_class": rows}))
    seen, unseen = capsys.readouterr().out.splitlines()[1:]
    assert seen.split() == ["seen", *["0.0", "%"] * 3, "2"]
    assert unseen.split() == ["unseen", "-", "-", "-", "0"]
