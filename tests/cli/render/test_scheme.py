"""A scheme reads as a tree."""

from __future__ import annotations

from adapter_platform.cli.render.scheme import tree
from adapter_platform.core.labels import LabelScheme


def test_labels_stand_under_their_parents_once_with_names_and_descriptions() -> None:
    scheme = LabelScheme.from_dict(
        {
            "kind": "hierarchical",
            "labels": [
                {"name": "data", "display": {"zh": "数据"}},
                {"name": "data/cleaning", "description": "Repairs."},
                "data/quality",
                "chat",
            ],
        }
    )
    assert tree(scheme) == ["  data        数据", "    cleaning  Repairs.", "    quality", "  chat"]


def test_a_multi_label_scheme_shows_from_where_on_a_label_applies() -> None:
    assert tree(LabelScheme.of("multi", ["price"]), {"price": 0.3}) == ["  price  from 0.30"]
