"""The file by which an adapter knows the texts of its training again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from adapter_platform.core.errors import AdapterCorrupt, AdapterNotFound
from adapter_platform.core.seen import FILE, METHOD, Seen, has_seen, read_seen
from adapter_platform.core.store.source import AdapterSource

MakeAdapter = Any

SEEN = Seen.of(["Where is my parcel?", "C++", "退款"], ["reset my code"])


@pytest.fixture
def with_seen(make_adapter_dir: MakeAdapter, tiny_base: Path) -> AdapterSource:
    source = make_adapter_dir(tiny_base)
    SEEN.save(source.path)
    return rewritten(source)


def rewritten(source: AdapterSource) -> AdapterSource:
    """The adapter with a manifest that agrees with its files."""
    manifest = source.manifest.write(source.path)
    return AdapterSource(source.path, manifest, manifest.content_hash)


def test_texts_are_known_again_but_for_what_a_reader_overlooks() -> None:
    texts = ["where  is MY parcel", "C#", "退款。", "reset my code!", "where is my box?"]
    assert SEEN.among(texts).tolist() == [True, False, True, True, False]
    assert SEEN.among(texts, ["train"]).tolist() == [True, False, True, False, False]
    assert SEEN.among(texts, []).tolist() == [False] * 5
    assert SEEN.among([]).tolist() == []


def test_broken_unicode_is_a_text_like_another() -> None:
    assert Seen.of(["a \ud800"], []).among(["a \ud800", "a"]).tolist() == [True, False]


def test_the_file_has_eight_bytes_a_text_and_neither_texts_nor_their_order(tmp_path: Path) -> None:
    texts = [f"a text that nobody shall read, number {i}" for i in range(200)]
    written = []
    for order in (texts, texts[::-1], texts * 2):
        Seen.of(order, []).save(tmp_path)
        written.append((tmp_path / FILE).read_bytes())
    assert written[0] == written[1] == written[2]
    assert load_file(tmp_path / FILE)["train"].nbytes == 8 * 200
    assert b"nobody" not in written[0]
    assert len(written[0]) < 8 * 200 + 300


def test_it_is_read_as_it_was_written(with_seen: AdapterSource) -> None:
    assert has_seen(with_seen.manifest)
    again = read_seen(with_seen)
    np.testing.assert_array_equal(again.train, SEEN.train)
    np.testing.assert_array_equal(again.val, SEEN.val)


def test_an_adapter_without_the_file_does_not_say_what_it_has_seen(
    make_adapter_dir: MakeAdapter, tiny_base: Path
) -> None:
    assert not has_seen(make_adapter_dir(tiny_base).manifest)


def test_a_file_that_is_not_as_published_is_named(with_seen: AdapterSource) -> None:
    path = with_seen.path / FILE
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(AdapterCorrupt, match=r"support@1 is damaged: seen\.safetensors has change"):
        read_seen(with_seen)
    path.unlink()
    with pytest.raises(AdapterCorrupt, match=r"seen\.safetensors is missing"):
        read_seen(with_seen)
    shutil.rmtree(with_seen.path)
    with pytest.raises(AdapterNotFound, match="has been removed"):
        read_seen(with_seen)


@pytest.mark.parametrize(
    "change",
    [
        {"train": np.array([2, 1], np.uint64)},
        {"train": np.array([1, 1], np.uint64)},
        {"train": np.array([1, 2], np.int64)},
        {"val": np.array([[1, 2]], np.uint64)},
    ],
    ids=str,
)
def test_tensors_that_are_no_hashes_are_refused(
    with_seen: AdapterSource, change: Mapping[str, Any]
) -> None:
    tensors = {"train": SEEN.train, "val": SEEN.val} | change
    save_file(tensors, with_seen.path / FILE, METHOD)
    with pytest.raises(AdapterCorrupt, match=r"seen\.safetensors of support@1 does not hold"):
        read_seen(rewritten(with_seen))


def test_what_is_no_such_file_or_of_another_method_is_refused_in_a_sentence(
    with_seen: AdapterSource,
) -> None:
    path = with_seen.path / FILE
    path.write_bytes(b"not tensors")
    with pytest.raises(AdapterCorrupt, match=r"seen\.safetensors of support@1 cannot be read"):
        read_seen(rewritten(with_seen))
    save_file({"train": SEEN.train}, path, METHOD)
    with pytest.raises(AdapterCorrupt, match="cannot be read"):
        read_seen(rewritten(with_seen))
    save_file({"train": SEEN.train, "val": SEEN.val}, path, {"method": "of tomorrow"})
    with pytest.raises(AdapterCorrupt, match="a method not known here") as caught:
        read_seen(rewritten(with_seen))
    assert caught.value.hint == "upgrade adapter-platform"
