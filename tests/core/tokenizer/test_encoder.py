"""A text encoder answers alike with the plain form and without, and knows when to use which."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.bases import Base
from adapter_platform.core.errors import DataError
from adapter_platform.core.tokenizer import plain
from adapter_platform.core.tokens import PLAIN_BYTES, TextEncoder, unreadable

from .conftest import write_base

TEXTS = [
    "",
    "   ",
    "How do I remove duplicate rows from a table?",
    "数据清洗流程是什么？",
    "ጤና ይስጥልኝ 𐌰𐌱 ꙮ",
    "a </s> b",
    "a\0b",
    "e\u0301\u0302 👩‍👩‍👧 ①\u0302",
    "word " * 700,
]


@pytest.fixture
def quick(multilingual: Base, cache: Path) -> TextEncoder:
    return TextEncoder(multilingual, cache)


@pytest.fixture(scope="module")
def usual(multilingual: Base) -> TextEncoder:
    return TextEncoder(multilingual)


def has_loaded_tokenizers(encoder: TextEncoder) -> bool:
    return "_full" in vars(encoder)


@pytest.mark.parametrize("limit", [1, 2, 3, 8, 128, 512, 10_000])
def test_ids_flags_and_warnings_are_the_same(
    quick: TextEncoder, usual: TextEncoder, multilingual: Base, limit: int
) -> None:
    latin = replace(multilingual, scripts=("LATIN",))
    for text in TEXTS:
        (mine,), (real,) = quick.encode([text], limit), usual.encode([text], limit)
        assert mine == real
        assert unreadable(text, mine, latin, 0.2) == unreadable(text, real, latin, 0.2)
    assert quick.limit == usual.limit


def test_a_single_question_needs_no_tokenizers(quick: TextEncoder) -> None:
    quick.encode(["How do I remove duplicate rows from a table?", "数据清洗流程是什么？"], 128)
    assert not has_loaded_tokenizers(quick)


@pytest.mark.parametrize("text", ["a </s> b", "a\0b", "\u1100e\u0301 \u1100\u1fbf\u0301"])
def test_a_text_that_the_plain_form_does_not_read_goes_to_tokenizers(
    quick: TextEncoder, usual: TextEncoder, text: str
) -> None:
    assert quick.encode(["fine", text], 128) == usual.encode(["fine", text], 128)


def test_a_process_that_reads_much_changes_to_tokenizers_for_good(
    quick: TextEncoder, usual: TextEncoder
) -> None:
    text = "数据清洗流程是什么？ how do I clean data? " * 8
    for _ in range(PLAIN_BYTES // len(text.encode())):
        assert quick.encode([text], 128) == usual.encode([text], 128)
    assert not has_loaded_tokenizers(quick)
    assert quick.encode([text], 128) == usual.encode([text], 128)
    assert has_loaded_tokenizers(quick)


def test_a_text_of_megabytes_goes_to_tokenizers(quick: TextEncoder, usual: TextEncoder) -> None:
    for text in ("数据" * 50_000, "word " * 1_000_000):
        assert quick.encode([text], 512) == usual.encode([text], 512)


@pytest.mark.parametrize("text", ["\ud800", "fine \udfff", "👩\ud83d"])
def test_broken_unicode_is_the_same_error(
    quick: TextEncoder, usual: TextEncoder, text: str
) -> None:
    for encoder in (quick, usual):
        with pytest.raises(DataError, match="not valid Unicode"):
            encoder.encode(["fine", text], 16)
    assert not has_loaded_tokenizers(quick)


def test_the_plain_form_needs_neither_tokenizers_nor_torch(multilingual: Base, cache: Path) -> None:
    code = (
        "import sys, pathlib; from adapter_platform.core.bases import Base;"
        "from adapter_platform.core.tokens import TextEncoder;"
        f"base = Base('it', pathlib.Path({str(multilingual.path)!r}),"
        " '', (), 'mean', 32, 2, 'bert', 512, 1);"
        f"encoder = TextEncoder(base, pathlib.Path({str(cache)!r}));"
        "print(encoder.encode(['How do I clean data?'], 128)[0].ids);"
        "print({'torch', 'transformers', 'tokenizers', 'regex'} & set(sys.modules))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    ids, imported = process.stdout.splitlines()
    assert ids == str(TextEncoder(multilingual).encode(["How do I clean data?"], 128)[0].ids)
    assert imported == "set()"


def test_a_changed_tokenizer_is_derived_again_and_the_old_form_goes(
    tmp_path: Path, small: dict[str, Any]
) -> None:
    base, cache = write_base(tmp_path / "base", small), tmp_path / "cache"
    (before,) = TextEncoder(base, cache).encode(["data"], 128)
    small["model"]["vocab"].append(["▁data", 0.0])
    write_base(tmp_path / "base", small)
    for _ in range(2):  # derived, then loaded
        (after,) = TextEncoder(base, cache).encode(["data"], 128)
        assert after != before
        assert after.ids[1:-1] == (len(small["model"]["vocab"]) - 1,)
    assert len(list((cache / "tokenizers").iterdir())) == 1


def test_what_a_crashed_process_left_is_removed(tmp_path: Path, small: dict[str, Any]) -> None:
    base, cache = write_base(tmp_path / "base", small), tmp_path / "cache"
    form = plain.place(base.path, cache)
    left = form.with_name(f".{form.name.split('-')[0]}-abcdefgh")
    left.mkdir(parents=True)
    (left / "pieces.npy").write_bytes(b"half")
    assert plain.load(form) is None
    TextEncoder(base, cache)
    assert list((cache / "tokenizers").iterdir()) == [form]
    assert plain.load(form) is not None


def test_a_tokenizer_of_another_kind_is_looked_at_once(tiny: Base, tmp_path: Path) -> None:
    for _ in range(2):
        encoder = TextEncoder(tiny, tmp_path)
        assert encoder.encode(TEXTS, 64) == TextEncoder(tiny).encode(TEXTS, 64)
    form = plain.place(tiny.path, tmp_path)
    assert [path.name for path in form.iterdir()] == ["plain.json"]
    assert "unread" in (form / "plain.json").read_text(encoding="utf-8")


def test_a_cache_that_cannot_be_written_costs_time_alone(
    tmp_path: Path, small: dict[str, Any]
) -> None:
    base = write_base(tmp_path / "base", small)
    (tmp_path / "file").write_text("")
    encoder = TextEncoder(base, tmp_path / "file")
    assert encoder.encode(["data"], 128) == TextEncoder(base).encode(["data"], 128)


def test_a_shared_cache_can_be_read_by_others(multilingual: Base, cache: Path) -> None:
    assert plain.place(multilingual.path, cache).stat().st_mode & 0o755 == 0o755
