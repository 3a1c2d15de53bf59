"""The plain form of a unigram tokenizer gives the ids of `tokenizers`, or none at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter_platform.core.tokenizer import plain
from adapter_platform.core.tokenizer.plain import PlainTokenizer
from adapter_platform.core.tokens import TextEncoder

from .conftest import write_base

ROOT = Path(__file__).parents[3]
EVERYTHING = 1_000_000

BLOCKS = {
    "ascii": (0x01, 0x7F),
    "latin": (0xA0, 0x250),
    "accents": (0x300, 0x36F),
    "greek and cyrillic": (0x370, 0x530),
    "arabic": (0x600, 0x6FF),
    "devanagari and bengali": (0x900, 0x9FF),
    "thai": (0xE00, 0xE7F),
    "jamo": (0x1100, 0x11FF),
    "vietnamese and greek": (0x1E00, 0x1FFF),
    "spaces and joiners": (0x2000, 0x206F),
    "symbols": (0x2100, 0x24FF),
    "kana": (0x3040, 0x30FF),
    "squared": (0x3200, 0x33FF),
    "han": (0x4E00, 0x9FFF),
    "syllables": (0xAC00, 0xD7A3),
    "ligatures": (0xFB00, 0xFDFF),
    "selectors and marks": (0xFE00, 0xFE2F),
    "wide": (0xFF00, 0xFFEF),
    "mathematical": (0x1D400, 0x1D7FF),
    "flags": (0x1F1E6, 0x1F1FF),
    "emoji": (0x1F300, 0x1FAFF),
    "tags": (0xE0000, 0xE007F),
}
AWKWARD = (
    *("\r\n", "\n", "\t", "\u200b", "\u200d", "\u200c", "\ufe0f", "\ufeff", "\x7f", "\x85"),
    *("▁", "  ", " ", "e\u0301", "e\u0301\u0302", "①\u0302", "ｶﾞ", "\u0600e\u0301", "\u1ea1\u0302"),
    *("\u094d", "\u0958\u0301", "\u1100\u1161\u0301", "👩‍👩‍👧", "🇨🇳", "👍🏽", "1️⃣", "<", ">", "s"),
)


def block(bounds: tuple[int, int]) -> st.SearchStrategy[str]:
    return st.characters(min_codepoint=bounds[0], max_codepoint=bounds[1])


PARTS = st.one_of(
    st.sampled_from(AWKWARD), *map(block, BLOCKS.values()), st.characters(codec="utf-8")
)
MIXED = st.lists(PARTS, max_size=24).map("".join)
IN_ONE_BLOCK = st.sampled_from(list(BLOCKS.values())).flatmap(
    lambda bounds: st.lists(st.one_of(block(bounds), st.sampled_from(AWKWARD)), max_size=16)
)
ANY_TEXT = st.one_of(MIXED, IN_ONE_BLOCK.map("".join), st.text(st.characters(codec="utf-8")))
THOROUGH = settings(
    max_examples=600,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def ids_of(reference: Any, texts: Sequence[str]) -> list[list[int]]:
    return [e.ids for e in reference.encode_batch_fast(list(texts), add_special_tokens=False)]


def expected_texts() -> list[str]:
    lines = (ROOT / "tests/data/xlmr_ids.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def test_ids_are_the_same_on_strings_in_many_scripts(
    tokenizer: PlainTokenizer, reference: Any
) -> None:
    texts = expected_texts()
    found = [tokenizer.ids(text, EVERYTHING) for text in texts]
    unread = [text for text, ids in zip(texts, found, strict=True) if ids is None]
    assert all(set(text) & set("<＜\0") for text in unread), "special tokens and NUL alone"
    assert len(unread) < 20
    for text, ids, real in zip(texts, found, ids_of(reference, texts), strict=True):
        assert ids in (None, real), text


@pytest.mark.parametrize("domain", ["data_eng", "feedback", "question_type", "support"])
def test_ids_are_the_same_on_each_text_of_a_domain(
    tokenizer: PlainTokenizer, reference: Any, domain: str
) -> None:
    path = ROOT / "plugins/domains" / domain / "train.csv"
    with path.open(encoding="utf-8", newline="") as file:
        texts = list({row["text"] for row in csv.DictReader(file)})
    assert [tokenizer.ids(text, EVERYTHING) for text in texts] == ids_of(reference, texts)


@THOROUGH
@given(text=ANY_TEXT)
def test_ids_are_the_same_on_any_text_or_there_are_none(
    tokenizer: PlainTokenizer, reference: Any, text: str
) -> None:
    assert tokenizer.ids(text, EVERYTHING) in (None, *ids_of(reference, [text]))


def test_every_character_is_normalised_as_by_tokenizers_alone_and_in_a_cluster(
    tokenizer: PlainTokenizer, reference: Any
) -> None:
    """The rules concern the Basic Multilingual Plane and mathematical letters."""
    codes = [*range(1, 0xD800), *range(0xE000, 0x10000), *range(0x1D400, 0x1F300)]
    normalise = reference.normalizer.normalize_str
    for around in ("{}", "{}\u0301", "a{}"):
        texts = [around.format(chr(code)) for code in codes]
        real = normalise("\0".join(texts)).split("\0")  # which no rule concerns
        changed = [i for i, text in enumerate(texts) if real[i] != text]
        assert len(changed) > 2000
        for i in (*changed, *range(0, len(texts), 50)):
            # A space for several is the next step's.
            mine = tokenizer._normalise(texts[i])
            assert mine is None or mine.replace("  ", " ") == real[i], texts[i]


@pytest.mark.parametrize("text", ["a </s> b", "<s>", "<mask>", "a\0b"])
def test_what_is_not_read_has_no_ids(tokenizer: PlainTokenizer, text: str) -> None:
    assert tokenizer.ids(text, EVERYTHING) is None


def test_a_long_word_and_many_words_cost_time_in_proportion(
    tokenizer: PlainTokenizer, reference: Any
) -> None:
    texts = [
        "数据清洗流程是什么" * 1500,
        "how do I clean data? " * 700,
        "\u0301" * 5000,
        " " * 9000,
    ]
    assert [tokenizer.ids(text, EVERYTHING) for text in texts] == ids_of(reference, texts)


def test_no_more_words_are_read_than_give_enough_ids(tokenizer: PlainTokenizer) -> None:
    words = "word " * 100_000
    some = tokenizer.ids(words, 10)
    assert some is not None
    assert 10 <= len(some) < 20


def same_in_other_pipelines(tmp_path: Path, content: dict[str, Any]) -> PlainTokenizer | None:
    """The plain form of such a tokenizer.json, which agrees with `tokenizers` on many texts."""
    from tokenizers import Tokenizer

    base = write_base(tmp_path / "base", content)
    TextEncoder(base, tmp_path / "cache")
    found = plain.load(plain.place(base.path, tmp_path / "cache"))
    real = Tokenizer.from_file(str(base.path / "tokenizer.json"))
    texts = [*expected_texts(), *AWKWARD, "a".join(AWKWARD), " a  b\u2028c\x1cd ▁e▁ ", "", "\u3000"]
    texts += ["x" * 40, "\x01", "�", "靐龘"]
    if found is not None:
        for text, ids in zip(texts, ids_of(real, texts), strict=True):
            assert found.ids(text, EVERYTHING) in (None, ids), text
    return found


def test_fewer_pieces_leave_runs_of_unknown_characters(
    tmp_path: Path, small: dict[str, Any]
) -> None:
    found = same_in_other_pipelines(tmp_path, small)
    assert found is not None
    assert found.ids("龘靐齉 龘", EVERYTHING) == [6, 3, 6, 3]


def test_the_pipeline_of_the_original_file_splits_at_white_space(
    tmp_path: Path, small: dict[str, Any]
) -> None:
    small["normalizer"] = small["normalizer"]["normalizers"][0]
    metaspace = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    split = {"type": "WhitespaceSplit"}
    small["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, metaspace]}
    assert same_in_other_pipelines(tmp_path, small) is not None


def test_several_spaces_may_stay(tmp_path: Path, small: dict[str, Any]) -> None:
    small["normalizer"] = small["normalizer"]["normalizers"][0]
    found = same_in_other_pipelines(tmp_path, small)
    assert found is not None
    assert found.ids("a  b", EVERYTHING) != found.ids("a b", EVERYTHING)
    assert found.ids("a\r\nb", EVERYTHING) == found.ids("a b", EVERYTHING)  # one cluster


def test_an_unknown_character_is_less_likely_than_the_least_likely_piece(
    tmp_path: Path, small: dict[str, Any]
) -> None:
    small["model"]["vocab"] += [["靐龘", -40.0], ["龘", 5.0]]
    found = same_in_other_pipelines(tmp_path, small)
    assert found is not None
    assert found.ids("靐龘", EVERYTHING) == [6, len(small["model"]["vocab"]) - 2]


def test_a_piece_that_is_there_twice_has_its_last_id_and_score(
    tmp_path: Path, small: dict[str, Any]
) -> None:
    small["model"]["vocab"] = [*small["model"]["vocab"], ["▁data", -2.0], ["▁data", -30.0]]
    assert same_in_other_pipelines(tmp_path, small) is not None


def test_added_words_are_left_to_tokenizers(tmp_path: Path, small: dict[str, Any]) -> None:
    word = {"id": len(small["model"]["vocab"]), "content": "Ⅻ data", "special": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True}
    small["added_tokens"].append(word | flags)
    found = same_in_other_pipelines(tmp_path, small)
    assert found is not None
    assert found.ids("what is XII data", EVERYTHING) is None
    assert found.ids("what is Ⅻ data", EVERYTHING) is None
    assert found.ids("what is ⅩII data", EVERYTHING) is None
    assert found.ids("what is XI data", EVERYTHING) is not None


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("normalizer", {"type": "NFKC"}),
        ("normalizer", None),
        ("pre_tokenizer", {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"}),
        ("pre_tokenizer", {"type": "Whitespace"}),
        ("model", {"byte_fallback": True}),
    ],
)
def test_another_pipeline_is_left_to_tokenizers(
    tmp_path: Path, small: dict[str, Any], part: str, changes: dict[str, Any] | None
) -> None:
    small[part] = small[part] | changes if part == "model" and changes else changes
    assert same_in_other_pipelines(tmp_path, small) is None
