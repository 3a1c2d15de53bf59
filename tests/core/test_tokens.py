"""Texts to ids, and the warnings about texts that a base cannot read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapter_platform.core.bases import Base
from adapter_platform.core.errors import BaseUnavailable, DataError
from adapter_platform.core.tokens import WINDOWS, Encoded, TextEncoder, unreadable


@pytest.fixture
def encoder(tiny: Base) -> TextEncoder:
    return TextEncoder(tiny)


def codes(encoder: TextEncoder, base: Base, text: str, density: float = 0.0) -> list[str]:
    (encoded,) = encoder.encode([text], 128)
    return [notice.code for notice in unreadable(text, encoded, base, density)]


def test_ids_are_those_of_transformers_own_tokenizer(tiny: Base, encoder: TextEncoder) -> None:
    from transformers import AutoTokenizer

    reference = AutoTokenizer.from_pretrained(str(tiny.path))
    texts = ["how do i clean data?", "数据清洗流程是什么", "mixed 数据 text!", "", "long " * 60]
    for limit in (4, 16, 128):
        theirs = reference(texts, truncation=True, max_length=limit)["input_ids"]
        assert [list(e.ids) for e in encoder.encode(texts, limit)] == theirs


def test_only_a_text_that_lost_something_counts_as_truncated(encoder: TextEncoder) -> None:
    fits, full, over = encoder.encode(["ab", "abcd", "abcde"], 6)
    assert [len(e.ids) for e in (fits, full, over)] == [4, 6, 6]
    assert [e.truncated for e in (fits, full, over)] == [False, False, True]


def test_a_base_is_never_given_more_tokens_than_it_has_positions(
    tiny: Base, encoder: TextEncoder
) -> None:
    (encoded,) = encoder.encode(["word " * 1000], 100_000)
    assert len(encoded.ids) == tiny.max_positions
    assert encoded.truncated


def test_a_text_of_megabytes_costs_no_more_than_its_beginning(encoder: TextEncoder) -> None:
    long, start = encoder.encode(["ab " * 2_000_000, "ab " * 1000], 64)
    assert long.ids == start.ids
    assert long.truncated


@pytest.mark.parametrize(("limit", "stride"), [(16, 0), (16, 5), (16, 13), (4, 0), (64, 32)])
def test_windows_are_those_of_transformers_own_tokenizer(
    tiny: Base, encoder: TextEncoder, limit: int, stride: int
) -> None:
    from transformers import AutoTokenizer

    reference = AutoTokenizer.from_pretrained(str(tiny.path))
    for length in (0, 1, 13, 14, 15, 27, 28, 29, 60, 61, 62, 63):
        text = "ab" * (length // 2) + "c" * (length % 2)
        theirs = reference(
            text,
            truncation=True,
            max_length=limit,
            stride=stride,
            return_overflowing_tokens=True,
        )["input_ids"]
        (ours,) = encoder.encode([text], limit, stride)
        assert [list(ids) for ids in (ours.ids, *ours.further)] == theirs
        assert not ours.truncated


def test_a_text_beyond_the_last_window_is_truncated(encoder: TextEncoder) -> None:
    reach = 14 + (WINDOWS - 1) * 10
    texts = ["a " * count for count in (reach, reach + 1, 2_000_000)]
    full, over, far = encoder.encode(texts, 16, 4)
    assert [1 + len(e.further) for e in (full, over, far)] == [WINDOWS] * 3
    assert [e.truncated for e in (full, over, far)] == [False, True, True]
    assert full.further[-1] == over.further[-1]


def test_a_stride_as_wide_as_a_window_still_moves_on(encoder: TextEncoder) -> None:
    (encoded,) = encoder.encode(["abcdef"], 6, 4)
    assert len(encoded.further) == 2
    assert not encoded.truncated


def test_texts_share_an_encoder_and_its_settings_never_change(encoder: TextEncoder) -> None:
    before = encoder.encode(["some text"], 128)
    encoder.encode(["some text"], 4)
    assert encoder.encode(["some text"], 128) == before


def test_broken_unicode_is_a_data_error(encoder: TextEncoder) -> None:
    with pytest.raises(DataError, match="not valid Unicode"):
        encoder.encode(["fine", "broken \ud800"], 16)


def test_a_broken_tokenizer_file_makes_the_base_unavailable(tiny: Base, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BaseUnavailable, match="is not a tokenizer"):
        TextEncoder(replace(tiny, path=tmp_path))


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Где мой заказ?", "Cyrillic"),
        ("주문이 어디에 있나요", "Korean"),
        ("أين طلبي الآن", "Arabic"),
        ("我的订单在哪里", "Chinese or Japanese"),
        ("注文はどこですか", "Chinese or Japanese"),
        ("मेरा ऑर्डर कहाँ है", "Devanagari"),
        ("order где мой заказ", "Cyrillic"),
    ],
)
def test_a_script_that_the_base_does_not_declare_is_warned_about(
    tiny: Base, encoder: TextEncoder, text: str, script: str
) -> None:
    latin = replace(tiny, scripts=("LATIN",))
    (encoded,) = encoder.encode([text], 128)
    notices = {n.code: n.message for n in unreadable(text, encoded, latin, 0.0)}
    assert script in notices["script"]


@pytest.mark.parametrize(
    "text",
    [
        "Where is it?",
        "Où est ma commande, s'il vous plaît ?",
        "12345 !!!",
        "🙂🙂🙂",
        "σ is a Greek letter",
    ],
)
def test_a_text_mostly_in_a_declared_script_or_in_none_is_not(
    tiny: Base, encoder: TextEncoder, text: str
) -> None:
    assert "script" not in codes(encoder, replace(tiny, scripts=("LATIN",)), text)


def test_a_base_that_declares_no_scripts_gets_no_script_warning(
    tiny: Base, encoder: TextEncoder
) -> None:
    assert "script" not in codes(encoder, tiny, "Где мой заказ?")


def test_too_many_unknown_tokens_are_warned_about(tiny: Base, encoder: TextEncoder) -> None:
    assert codes(encoder, tiny, "數據資產") == ["unknown_tokens"]
    assert codes(encoder, tiny, "数据清洗") == []


def test_far_more_tokens_a_character_than_in_training_are_warned_about(tiny: Base) -> None:
    dense = Encoded(tuple(range(40)), truncated=False, unknown=0, special=2)
    assert [n.code for n in unreadable("abcdefghij", dense, tiny, 0.5)] == ["token_density"]
    assert unreadable("abcdefghij", dense, tiny, 3.0) == ()
    assert unreadable("abcdefghij", dense, tiny, 0.0) == ()  # an adapter that does not know
    assert unreadable("abc", dense, tiny, 0.5) == ()  # too short to tell


def test_a_text_of_a_foreign_script_is_not_called_dense_as_well(tiny: Base) -> None:
    dense = Encoded(tuple(range(40)), truncated=False, unknown=0, special=2)
    latin = replace(tiny, scripts=("LATIN",))
    assert [n.code for n in unreadable("где мой заказ", dense, latin, 0.5)] == ["script"]
