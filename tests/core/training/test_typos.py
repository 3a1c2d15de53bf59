"""Typing errors for training: as many as asked for, the same for the same seed, labels kept."""

from __future__ import annotations

from adapter_platform.core.examples import Example
from adapter_platform.core.training.typos import mistyped

TEXTS = [f"please reset the password of account number {i}" for i in range(40)]
EXAMPLES = [Example(text, ("login",), "train") for text in TEXTS]


def test_the_asked_for_share_of_texts_comes_back_with_an_error_and_its_label() -> None:
    made = mistyped(EXAMPLES, 0.5, seed=1)
    assert len(made) == 20
    assert all(example.labels == ("login",) for example in made)
    assert not {example.text for example in made} & set(TEXTS)


def test_the_same_seed_makes_the_same_errors_and_another_seed_others() -> None:
    assert mistyped(EXAMPLES, 0.5, seed=1) == mistyped(EXAMPLES, 0.5, seed=1)
    assert mistyped(EXAMPLES, 0.5, seed=1) != mistyped(EXAMPLES, 0.5, seed=2)


def test_errors_stay_within_words_and_near_the_length_of_the_text() -> None:
    for example in mistyped(EXAMPLES, 1.0, seed=3):
        assert example.text.count(" ") == TEXTS[0].count(" ")
        assert abs(len(example.text) - len(TEXTS[0])) <= 4


def test_chinese_characters_are_dropped_doubled_or_swapped() -> None:
    texts = mistyped([Example("数据清洗流程怎么走", ("cleaning",))] * 30, 1.0, seed=4)
    assert {len(example.text) for example in texts} == {8, 9, 10}


def test_texts_too_short_to_bear_an_error_are_left_out() -> None:
    assert mistyped([Example("hi", ("chat",)), Example("1234 5678", ("noise",))], 1.0, seed=5) == []
