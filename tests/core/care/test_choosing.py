"""Texts are chosen by features and probabilities: uncertain ones that differ, typical ones."""

from __future__ import annotations

import numpy as np
import pytest

from adapter_platform.core.care.choosing import (
    directions,
    typical,
    uncertain_and_diverse,
    uncertainty,
)
from adapter_platform.core.labels import LabelScheme

SIZES = (40, 20, 10, 8)


def heaps(sizes: tuple[int, ...] = SIZES, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points ``(points, 16)`` in heaps far from each other, and the heap of each."""
    draw = np.random.default_rng(seed)
    middles = 10 * np.eye(16)[: len(sizes)]
    parts = [middles[k] + draw.normal(size=(size, 16)) for k, size in enumerate(sizes)]
    return np.concatenate(parts), np.repeat(np.arange(len(sizes)), sizes)


def test_uncertain_texts_come_from_every_heap_and_the_most_uncertain_is_first() -> None:
    points, heap = heaps()
    weights = np.linspace(0.1, 0.9, len(points))
    chosen = uncertain_and_diverse(points, weights, 4)
    assert {int(heap[i]) for i, _ in chosen} == {0, 1, 2, 3}
    assert sorted((size for _, size in chosen), reverse=True) == list(SIZES)
    assert [i for i, _ in chosen] == sorted((i for i, _ in chosen), key=lambda i: -weights[i])


def test_within_a_heap_what_is_uncertain_draws_the_choice_to_itself() -> None:
    draw = np.random.default_rng(0)
    one, other = np.eye(8)[0] * 20, np.eye(8)[1] * 20
    near, far = np.eye(8)[2] * 6, np.eye(8)[3] * 6
    points = np.concatenate([[one + near] * 10, [one + far] * 10, [other] * 20])
    points = points + 0.1 * draw.normal(size=points.shape)
    for sure in (slice(0, 10), slice(10, 20)):
        weights = np.ones(len(points))
        weights[sure] = 0.001
        first = next(i for i, _ in uncertain_and_diverse(points, weights, 2) if i < 20)
        assert weights[first] == 1


def test_texts_that_are_all_the_same_give_one() -> None:
    assert len(uncertain_and_diverse(np.ones((6, 4)), np.ones(6), 3)) == 1


def test_typical_texts_come_from_every_heap_and_the_largest_is_first() -> None:
    points, heap = heaps()
    chosen = typical(points, 4, points[:0])
    assert [int(heap[i]) for i, _ in chosen] == [0, 1, 2, 3]
    assert [size for _, size in chosen] == list(SIZES)


def test_a_typical_text_lies_among_many() -> None:
    points, heap = heaps()
    ends = directions(points)
    for index, _ in typical(points, 4, points[:0]):
        inside = ends[heap == heap[index]]
        away = np.linalg.norm(inside - inside.mean(axis=0), axis=1)
        assert np.linalg.norm(ends[index] - inside.mean(axis=0)) < np.median(away)


def test_what_is_labelled_is_not_asked_for_again() -> None:
    points, heap = heaps()
    labelled = heaps(SIZES[:1], seed=1)[0][:1]
    assert {int(heap[i]) for i, _ in typical(points, 3, labelled)} == {1, 2, 3}


def test_more_than_there_is_gives_all() -> None:
    points, _ = heaps((5, 3))
    assert sorted(i for i, _ in typical(points, 20, points[:0])) == list(range(8))
    assert typical(points[:1], 3, points[:0]) == [(0, 1)]


def test_a_text_between_two_classes_is_uncertain() -> None:
    scheme = LabelScheme.of("single", ["a", "b", "c"])
    rows = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.6, 0.3, 0.1]])
    assert uncertainty(scheme, rows) == pytest.approx([1.0, 0.0, 0.7])
    assert uncertainty(LabelScheme.of("single", ["a"]), np.ones((2, 1))).tolist() == [0, 0]


def test_with_several_labels_the_one_nearest_its_threshold_counts() -> None:
    scheme = LabelScheme.of("multi", ["a", "b"])
    rows = np.array([[0.5, 0.0], [1.0, 0.0], [0.75, 0.1]])
    assert uncertainty(scheme, rows) == pytest.approx([1.0, 0.0, 0.5])
    moved = uncertainty(scheme, rows, {"a": 0.75, "b": 0.5})
    assert moved[2] == pytest.approx(1.0)
    assert moved[0] == pytest.approx(1 - 0.25 / 0.75)
