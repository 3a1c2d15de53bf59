"""The shipped adapters, on the base that they were trained on: whole, and as good as they say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.platform import Platform
from adapter_platform.plugins import open_platform

FRESH = Path(__file__).parent / "fresh"
NAMES = ("data_eng", "support", "feedback", "question_type")


@pytest.fixture(scope="module")
def platform(embedded_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    store = tmp_path_factory.mktemp("starters") / "store"
    with open_platform(cache=embedded_cache, store=store) as opened:
        yield opened


@pytest.mark.parametrize("name", NAMES)
def test_a_starter_is_whole_and_names_its_base(platform: Platform, name: str) -> None:
    source = platform.resolve(name)
    assert platform.store.verify(name) == []
    base, warning = platform.bases.for_adapter(source.manifest)
    assert (base.id, warning) == ("multilingual", "")


@pytest.fixture(scope="module")
def judged(platform: Platform) -> dict[str, dict[str, Any]]:
    """Each starter's answers to its own test texts, as `platform adapters eval NAME` has it."""
    return {name: platform.evaluate(name) for name in NAMES}


@pytest.mark.parametrize(
    ("name", "metric", "least"),
    [
        ("data_eng", "coarse_accuracy", 0.95),
        ("data_eng", "accuracy", 0.85),
        ("support", "accuracy", 0.85),
        ("question_type", "accuracy", 0.85),
        ("feedback", "macro_f1", 0.80),
    ],
)
def test_a_starter_is_good_on_its_test_texts(
    judged: dict[str, dict[str, Any]], name: str, metric: str, least: float
) -> None:
    assert judged[name]["metrics"][metric] >= least


@pytest.mark.parametrize("name", NAMES)
def test_a_starter_is_as_good_as_it_says_and_not_worse_than_the_probe(
    platform: Platform, judged: dict[str, dict[str, Any]], name: str
) -> None:
    found, kept = judged[name]["metrics"], platform.resolve(name).manifest.metrics
    for metric in found:
        assert found[metric] == pytest.approx(kept[f"test.{metric}"], abs=0.003)
    primary = judged[name]["primary"]
    assert found[primary] >= judged[name]["baselines"]["probe"]["test"][primary]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_data_eng_finds_the_topic_in_either_language(
    judged: dict[str, dict[str, Any]], language: str
) -> None:
    figures = judged["data_eng"]["slices"]["lang"][language]
    assert figures["coarse_accuracy"] >= 0.95
    assert figures["accuracy"] >= 0.85


@pytest.mark.parametrize("name", ["data_eng", "support"])
def test_a_second_set_of_texts_that_no_recipe_was_chosen_by_is_answered_as_well(
    platform: Platform, name: str
) -> None:
    found = platform.evaluate(name, f"csv:{FRESH / name}.csv")
    assert found["metrics"]["accuracy"] >= 0.85


@pytest.mark.parametrize(
    ("text", "adapter", "label"),
    [
        ("数据清洗流程是什么？", "data_eng", "data_platform/cleaning"),
        ("How do I deduplicate a table?", "data_eng", "data_platform/cleaning"),
        ("你好呀，今天过得怎么样", "data_eng", "general_chat"),
        ("明天北京会下雨吗", "data_eng", "irrelevant"),
        ("I was charged twice for the same order", "support", "payment_problem"),
        ("更新之后应用一直闪退", "feedback", "stability"),
        ("Who invented the telephone?", "question_type", "fact/person"),
    ],
)
def test_plain_questions_are_answered_rightly(
    platform: Platform, text: str, adapter: str, label: str
) -> None:
    assert platform.classify(text, adapter).label == label


def test_a_process_that_asks_one_question_loads_no_large_vocabulary(
    platform: Platform, embedded_cache: Path, tmp_path: Path
) -> None:
    expected = platform.classify("数据备份", "data_eng").label  # which derives the light form, once
    code = f"""
import sys
from pathlib import Path
from adapter_platform.plugins import open_platform
with open_platform(cache=Path({str(embedded_cache)!r}), store=Path({str(tmp_path)!r})) as platform:
    print(platform.classify("数据备份", "data_eng").label)
print("tokenizers" in sys.modules, "transformers" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected, "False", "False"]


def test_one_batch_may_ask_all_four(platform: Platform) -> None:
    texts = ["数据清洗流程是什么？", "取消我的订单", "太贵了，而且客服不理人", "为什么天是蓝的"]
    mixed = platform.classify(texts, list(NAMES))
    assert [p.adapter for p in mixed] == list(NAMES)
    for text, name, prediction in zip(texts, NAMES, mixed, strict=True):
        alone = platform.classify(text, name)
        assert alone.label == prediction.label
        assert alone.probabilities == pytest.approx(dict(prediction.probabilities), abs=1e-5)
