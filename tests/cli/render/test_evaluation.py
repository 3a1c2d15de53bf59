"""Evaluations as people see them."""

from __future__ import annotations

from typing import Any

from adapter_platform.cli.render.evaluation import (
    MOST_MATRIX,
    confusions,
    coverage_sentence,
    figures,
    matrix,
    per_class,
)
from adapter_platform.cli.render.table import draw, width


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


CELLS = [
    {"expected": "退款", "given": "退款", "n": 5},
    {"expected": "退款", "given": "delivery", "n": 2},
    {"expected": "delivery", "given": "退款", "n": 3},
]


def test_a_small_confusion_matrix_fits_a_screen_with_chinese_aligned(capsys: Any) -> None:
    table = matrix(CELLS, ["delivery", "unused", "退款"])
    assert table is not None
    draw(table)
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["expected", "1", "2"]
    assert [row.split() for row in rows] == [["1", "delivery", "·", "3"], ["2", "退款", "2", "5"]]
    assert len({width(line) for line in (heading, *rows)}) == 1


def test_a_matrix_of_many_classes_gives_way_to_what_is_most_often_taken_for_what() -> None:
    names = [str(i) for i in range(MOST_MATRIX + 1)]
    assert matrix([{"expected": n, "given": n, "n": 1} for n in names], names) is None
    assert confusions(CELLS, limit=1).rows == (("delivery", "退款", "3"),)
    assert len(confusions(CELLS).rows) == 2


def test_a_report_of_before_shows_what_it_has() -> None:
    table = figures({"n": 3, "metrics": {"accuracy": 0.5}})
    assert table.rows == (("texts", "3", ""), ("accuracy", "50.0 %", ""))


def test_each_figure_stands_beside_its_interval() -> None:
    evaluation = {
        "n": 200,
        "metrics": {"accuracy": 0.9},
        "intervals": {"accuracy": [0.85, 0.94], "brier": [0.1, 0.2], "coverage_at_limit": [0, 1]},
        "calibration": {"ece": 0.021, "brier": 0.15},
        "coverage": {"aurc": 0.03, "at_limit": None},
    }
    assert figures(evaluation).rows[1:] == (
        ("accuracy", "90.0 %", "85.0 to 94.0 %"),
        ("calibration error (ECE)", "2.1 %", ""),
        ("Brier score", "0.150", "0.100 to 0.200"),
        ("area under risk-coverage", "0.030", ""),
        ("answered at 5 % error", "0.0 %", "0.0 to 100.0 %"),
    )
    assert coverage_sentence(evaluation).startswith("no share of these texts")
