"""Near-duplicates: found among thousands, and nothing else is called one."""

from __future__ import annotations

import random
import time
from itertools import combinations

import pytest

from adapter_platform.core.data.near import near_duplicates, normalise


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("How do I pay?", "how do  I PAY", True),
        ("退货怎么办？", "退货怎么办", True),
        ("ＡＢＣ １２３", "abc 123", True),
        ("C++", "C#", False),
        ("好 :)", "好 :(", False),
        ("???", "!!!", False),
    ],
)
def test_only_what_a_reader_overlooks_is_normalised_away(one: str, other: str, same: bool) -> None:
    assert (normalise(one) == normalise(other)) is same


def test_texts_that_share_most_trigrams_are_one_group_and_short_ones_only_if_equal() -> None:
    texts = [
        "how do I remove duplicate rows from a table",
        "退货",
        "how do I remove duplicate rows from a table please",
        "退款",
        "what is the weather like in the north today",
        "how can we drop rows that stand twice in a table",
        "退货！",
    ]
    groups = near_duplicates(texts)
    assert groups[0] == groups[2]
    assert groups[1] != groups[3]
    assert groups[1] == groups[6]
    assert len(set(groups)) == 5


def test_groups_are_those_of_comparing_every_pair() -> None:
    draw = random.Random(5)
    words = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("an", "el", "is", "oru", "umi")]
    texts = [" ".join(draw.choices(words, k=12)) for _ in range(60)]
    for text in list(texts):
        changed = text.split()
        changed[draw.randrange(12)] = draw.choice(words)
        texts.append(" ".join(changed))

    def grams(text: str) -> set[str]:
        return {text[i : i + 3] for i in range(len(text) - 2)}

    groups = near_duplicates(texts)
    near = 0
    for i, j in combinations(range(len(texts)), 2):
        a, b = grams(texts[i]), grams(texts[j])
        if len(a & b) >= 0.8 * len(a | b):
            near += 1
            assert groups[i] == groups[j]
    assert near > 20
    assert len(texts) - len(set(groups)) <= near


@pytest.mark.parametrize("texts", [[], ["one"], ["a", "b"], ["same text", "same text"]])
def test_few_texts_are_fine(texts: list[str]) -> None:
    assert len(near_duplicates(texts)) == len(texts)


def test_texts_in_any_script_and_broken_ones_are_compared() -> None:
    texts = ["数据清洗流程是什么呢我想知道一下" * 2, "\ud83d" * 2 + "abc", "😀" * 5]
    assert len(set(near_duplicates([*texts, *texts]))) == 3


def test_twenty_thousand_texts_of_one_template_take_seconds() -> None:
    draw = random.Random(0)
    texts = [
        f"reset {draw.randrange(10**9)} for user {draw.randrange(10**9)}" for _ in range(20_000)
    ]
    start = time.process_time()
    near_duplicates(texts)
    assert time.process_time() - start < 15
