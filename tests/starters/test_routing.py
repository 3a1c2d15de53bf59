"""`auto` among the shipped adapters, on the base that they were trained on."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter_platform.core.platform import Platform
from adapter_platform.plugins import open_platform

FRESH = Path(__file__).parent / "fresh"
AMONG = "auto:support,data_eng"
SMALL_TALK = ("general_chat", "irrelevant")  # labels of data_eng, and nobody's kind of text


@pytest.fixture(scope="module")
def platform(embedded_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    store = tmp_path_factory.mktemp("starters") / "store"
    with open_platform(cache=embedded_cache, store=store) as opened:
        yield opened


def fresh(name: str) -> list[str]:
    with (FRESH / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file) if row["label"] not in SMALL_TALK]


@pytest.mark.parametrize("name", ["support", "data_eng"])
def test_fresh_texts_in_either_language_find_their_adapter(platform: Platform, name: str) -> None:
    found = platform.classify(fresh(name), AMONG)
    right = [p.routing.nearest == name for p in found if p.routing]
    answered = [p.adapter == name for p in found]
    assert sum(right) / len(found) >= 0.95
    assert sum(answered) / len(found) >= 0.9


def test_what_no_shop_is_asked_is_stranger_to_it_than_what_one_is(platform: Platform) -> None:
    texts = [
        "What is the derivative of x squared?",
        "请把这首诗翻译成法语",
        "The mitochondria is the powerhouse of the cell.",
        "量子纠缠是怎么回事",
    ]
    strange, usual = (
        [p.routing.typicality for p in platform.classify(of, "auto:support") if p.routing]
        for of in (texts, fresh("support"))
    )
    assert max(strange) < sorted(usual)[len(usual) // 4]


def test_one_text_is_routed_and_answered_without_torch(
    embedded_cache: Path, platform: Platform
) -> None:
    platform.classify("取消我的订单", AMONG)  # which derives the light tokenizer, once
    cache, store = str(embedded_cache), str(platform.settings.store)
    code = f"""
import sys
from pathlib import Path
from adapter_platform.plugins import open_platform
with open_platform(cache=Path({cache!r}), store=Path({store!r})) as platform:
    print(platform.classify("取消我的订单", {AMONG!r}).adapter)
print("torch" in sys.modules, "tokenizers" in sys.modules, "sklearn" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["support", "False", "False", "False"]
