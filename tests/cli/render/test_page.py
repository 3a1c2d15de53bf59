"""HTML reports stand alone: nothing is fetched, nothing runs, and texts stay texts."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from adapter_platform.cli.render.comparison_page import comparison_page
from adapter_platform.cli.render.evaluation_page import evaluation_page
from adapter_platform.cli.render.plots import check_plots
from adapter_platform.core.errors import PlatformError
from adapter_platform.core.examples import Example
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.training.evaluate import evaluate

VOID = {"meta", "br"}
EVIL = '<script>alert("x")</script> & 数据'
KINDS = {
    "single": ["退款", "<b>refund</b>", "a & b"],
    "multi": ["退款", "<b>refund</b>", "a & b"],
    "hierarchical": ["数据/清洗", "数据/<b>质量</b>", "a & b"],
}


class Reader(HTMLParser):
    """Reads a page; every tag must be closed in its turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        found = dict(attrs)
        self.links += [found[key] or "" for key in ("href", "src", "xlink:href") if key in found]
        self.ids += [found["id"] or ""] if "id" in found else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "svg"} & set(self.open):
            self.text += data


def judged(kind: Any) -> dict[str, Any]:
    """An evaluation of texts that are out for mischief."""
    scheme = LabelScheme.of(kind, KINDS[kind])
    rows = np.random.default_rng(0).dirichlet([1, 1, 1], 40)
    examples = [
        Example(f"{EVIL} {i}", (scheme.classes[i % 3],), fields={"<i>lang</i>": "ab"[i % 2]})
        for i in range(40)
    ]
    return {
        "adapter": "<desk>@1",
        "split": None,
        "seen": 2,
        "unknown": [],
        "notes": [],
        **evaluate(rows, examples, scheme),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_stands_alone_and_texts_in_it_are_texts(kind: str) -> None:
    found = judged(kind)
    page = evaluation_page(found)
    read = Reader(page)
    assert "script" not in read.tags
    assert "b" not in read.tags
    assert all(link.startswith("#") for link in read.links)
    assert not re.search(r"url\((?!#)|@import", page)
    assert found["mistakes"][0]["text"] in read.text
    assert all(name in read.text for name in KINDS[kind])
    assert "2 texts are left out: <desk>@1 was trained on them or chosen by them." in read.text
    assert read.tags.count("svg") == 2


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_plot_refers_to_is_in_it_and_no_plot_has_anothers_ids(kind: str) -> None:
    page = evaluation_page(judged(kind))
    read = Reader(page)
    assert len(read.ids) == len(set(read.ids))
    referred = {*re.findall(r"url\(#([^)]+)\)", page), *(link[1:] for link in read.links)}
    assert referred <= set(read.ids)
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        assert ElementTree.fromstring(svg).get("aria-label")
        assert svg.isascii(), "labels of data, which a plot's fonts may lack, stand in tables"


def test_the_matrix_of_a_report_has_names_in_rows_and_columns_and_the_hierarchys_top() -> None:
    page = evaluation_page(judged("hierarchical"))
    assert page.count('<table class="matrix">') == 2
    assert page.count("<th><span>数据</span></th>") == 1
    assert page.count("<th>数据/清洗</th>") == 1
    assert "matrix" not in evaluation_page(judged("multi")).partition("</style>")[2]


def test_the_same_evaluation_gives_the_same_page() -> None:
    assert evaluation_page(judged("single")) == evaluation_page(judged("single"))


def test_a_report_without_mistakes_says_so() -> None:
    scheme = LabelScheme.of("single", ["a", "b"])
    examples = [Example("one", ("a",)), Example("two", ("b",))]
    found = {
        "adapter": "desk@1",
        "split": "test",
        "seen": 0,
        "unknown": [],
        "notes": [],
        **evaluate(np.eye(2), examples, scheme),
    }
    assert "There are none." in Reader(evaluation_page(found)).text


def test_a_comparison_stands_alone_too() -> None:
    figure = {"a": 0.5, "b": 0.75, "difference": 0.25, "interval": [0.1, 0.4]}
    side = {"given": ["<b>退款</b>"], "confidence": 0.9, "right": True}
    found = {
        "a": "desk@1",
        "b": "<desk>@2",
        "split": "test",
        "seen": 1,
        "unknown": ["<desk>@2"],
        "notes": [],
        "n": 8,
        "primary": "accuracy",
        "figures": {"accuracy": figure, "brier": figure, "ece": {**figure, "interval": None}},
        "mcnemar": {"both_right": 4, "only_a": 0, "only_b": 2, "both_wrong": 2, "p_value": 0.5},
        "differ": [
            {"text": EVIL, "where": "t:1", "expected": [], "a": side, "b": {**side, "right": False}}
        ],
    }
    read = Reader(comparison_page(found))
    assert "script" not in read.tags
    assert "b" not in read.tags
    assert EVIL in read.text
    assert "1 text is left out: desk@1 or <desk>@2 was trained on it or chosen by it." in read.text
    assert "It is not known which texts <desk>@2 learned from" in read.text
    assert "<desk>@2 is better than desk@1: accuracy by 25.0 points" in read.text
    assert read.tags.count("svg") == 1


def test_without_matplotlib_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PlatformError, match="needs matplotlib") as caught:
        check_plots()
    assert caught.value.hint == "pip install 'adapter-platform[report]'"
