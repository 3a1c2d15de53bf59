"""The number that says whether a text is in an adapter's scope, and the file that holds what it is
made from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from adapter_platform.core.errors import AdapterCorrupt, AdapterNotFound
from adapter_platform.core.scope import FILE, METHOD, Scope, has_scope, read_scope
from adapter_platform.core.store.source import AdapterSource

MakeAdapter = Any

LINE = Scope(
    whitening=np.eye(1, dtype=np.float32),
    centroids=np.array([[0.0], [100.0]], np.float32),
    weights=np.array([1, 0.5], np.float32),
    known=np.arange(1, 11, dtype=np.float32),
)
"""Two classes on a line, and validation texts at 1, 2 ... 10 from the nearest, of energy 0."""


def at(*places: float) -> Any:
    return np.array(places, np.float32)[:, None]


def shares_at(*places: float, energy: float = 0.0, scope: Scope = LINE) -> Any:
    return scope.shares(at(*places), np.full(len(places), energy))


def test_a_distance_is_that_to_the_nearest_class() -> None:
    np.testing.assert_allclose(LINE.distances(at(3, -4, 98, 50)), [3, 4, 2, 50])


def test_whitening_makes_a_step_where_classes_are_narrow_a_long_one() -> None:
    whitening = np.diag([10.0, 1.0]).astype(np.float32)
    scope = Scope(whitening, np.zeros((1, 2), np.float32), LINE.weights, LINE.known)
    np.testing.assert_allclose(scope.distances(np.eye(2, dtype=np.float32)), [10, 1])


def test_the_share_is_that_of_the_validation_texts_which_are_at_least_as_strange() -> None:
    np.testing.assert_allclose(shares_at(0, 1, 2, 9, 10), [1, 1, 0.9, 0.2, 0.1])
    np.testing.assert_allclose(shares_at(2.5), [0.85])


def test_a_text_is_the_stranger_the_less_its_logits_speak_for_any_label() -> None:
    np.testing.assert_allclose(shares_at(2, energy=4), shares_at(4))
    np.testing.assert_allclose(shares_at(4, energy=-2), shares_at(3))


def test_beyond_all_validation_texts_the_share_goes_on_falling_to_zero() -> None:
    shares = shares_at(10, 10.001, 11, 15, 49.9)
    assert (np.diff(shares) < 0).all()
    assert shares[1] == pytest.approx(0.1, abs=1e-3)
    assert 0 <= shares[-1] < 1e-3


def test_validation_texts_that_all_lie_at_one_distance_give_shares_too() -> None:
    known = np.full(30, 2, np.float32)
    scope = Scope(LINE.whitening, LINE.centroids, LINE.weights, known)
    shares = shares_at(1, 2, 3, scope=scope)
    assert np.isfinite(shares).all()
    assert shares[0] == 1
    assert shares[2] < 1e-6


# The file


@pytest.fixture
def scope() -> Scope:
    draw = np.random.default_rng(0)
    return Scope(
        draw.normal(size=(32, 5)).astype(np.float32),
        draw.normal(size=(3, 5)).astype(np.float32),
        draw.random(2).astype(np.float32),
        np.sort(draw.random(40)).astype(np.float32),
    )


@pytest.fixture
def with_scope(make_adapter_dir: MakeAdapter, tiny_base: Path, scope: Scope) -> AdapterSource:
    source = make_adapter_dir(tiny_base)
    scope.save(source.path)
    return rewritten(source)


def rewritten(source: AdapterSource) -> AdapterSource:
    """The adapter with a manifest that agrees with its files."""
    manifest = source.manifest.write(source.path)
    return AdapterSource(source.path, manifest, manifest.content_hash)


def test_it_is_read_as_it_was_written(with_scope: AdapterSource, scope: Scope) -> None:
    assert has_scope(with_scope.manifest)
    assert scope.whitening.shape[0] == with_scope.manifest.base.hidden_size
    again = read_scope(with_scope)
    for name, tensor in scope.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], tensor)
    assert again.nbytes == 4 * (32 * 5 + 3 * 5 + 2 + 40)


def test_an_adapter_without_the_file_has_none(
    make_adapter_dir: MakeAdapter, tiny_base: Path
) -> None:
    assert not has_scope(make_adapter_dir(tiny_base).manifest)


def test_a_file_that_is_not_as_published_is_named(with_scope: AdapterSource) -> None:
    path = with_scope.path / FILE
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(
        AdapterCorrupt, match=r"support@1 is damaged: scope\.safetensors has change"
    ):
        read_scope(with_scope)
    path.unlink()
    with pytest.raises(AdapterCorrupt, match=r"scope\.safetensors is missing"):
        read_scope(with_scope)
    shutil.rmtree(with_scope.path)
    with pytest.raises(AdapterNotFound, match="has been removed"):
        read_scope(with_scope)


def test_a_damaged_head_is_not_this_files_matter(with_scope: AdapterSource) -> None:
    (with_scope.path / "head.json").write_text("{}", encoding="utf-8")
    read_scope(with_scope)


@pytest.mark.parametrize(
    "change",
    [
        {"whitening": np.zeros((31, 5), np.float32)},
        {"whitening": np.zeros((32, 4), np.float32)},
        {"whitening": np.zeros((32, 5), np.float64)},
        {"whitening": np.full((32, 5), np.nan, np.float32)},
        {"centroids": np.zeros((0, 5), np.float32)},
        {"centroids": np.zeros(5, np.float32)},
        {"weights": np.zeros(3, np.float32)},
        {"weights": np.array([1, np.inf], np.float32)},
        {"known": np.zeros(0, np.float32)},
        {"known": np.array([2, 1], np.float32)},
        {"known": np.zeros((2, 2), np.float32)},
    ],
    ids=str,
)
def test_tensors_that_do_not_fit_the_adapter_are_refused(
    with_scope: AdapterSource, scope: Scope, change: Any
) -> None:
    save_file(scope.tensors | change, with_scope.path / FILE, METHOD)
    with pytest.raises(AdapterCorrupt, match=r"scope\.safetensors of support@1 does not hold"):
        read_scope(rewritten(with_scope))


def test_what_is_no_such_file_or_of_another_method_is_refused_in_a_sentence(
    with_scope: AdapterSource, scope: Scope
) -> None:
    path = with_scope.path / FILE
    path.write_bytes(b"not tensors")
    with pytest.raises(AdapterCorrupt, match=r"scope\.safetensors of support@1 cannot be read"):
        read_scope(rewritten(with_scope))
    save_file({"known": scope.known}, path, METHOD)
    with pytest.raises(AdapterCorrupt, match="cannot be read"):
        read_scope(rewritten(with_scope))
    for method in ({"method": "of tomorrow"}, None):
        save_file(scope.tensors, path, method)
        with pytest.raises(AdapterCorrupt, match="a method not known here") as caught:
            read_scope(rewritten(with_scope))
        assert caught.value.hint == "upgrade adapter-platform, or train it again"
