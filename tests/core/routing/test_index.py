"""Whose texts a text is nearest to: of few adapters and of very many, of large and of tiny ones."""

from __future__ import annotations

import numpy as np
import pytest

from adapter_platform.core.routing import index as module
from adapter_platform.core.routing.index import Index
from adapter_platform.core.routing.profile import Profile

WIDTH = 24


def clouds(count: int, texts: int = 40, spread: float = 0.3, seed: int = 0) -> list[np.ndarray]:
    """Texts around one direction for each adapter, all leaning one way as those of a base do."""
    random = np.random.default_rng(seed)
    everyones = 3 * random.normal(size=WIDTH)
    centres = random.normal(size=(count, WIDTH))
    noise = random.normal(size=(count, texts, WIDTH))
    return list((everyones + centres[:, None] + spread * noise).astype(np.float32))


def index_of(features: list[np.ndarray]) -> Index:
    labels = [[i % 3 for i in range(len(of_adapter))] for of_adapter in features]
    profiles = [Profile.of(*pair) for pair in zip(features, labels, strict=True)]
    return Index([profile.digest() for profile in profiles], profiles.__getitem__)


def test_a_text_goes_to_the_adapter_whose_texts_lie_around_it() -> None:
    kept, asked = zip(*((c[:30], c[30:]) for c in clouds(6)), strict=True)
    nearest = index_of(list(kept)).nearest(np.concatenate(asked))
    assert nearest.first.tolist() == np.repeat(range(6), 10).tolist()
    assert (nearest.second != nearest.first).all()
    assert (nearest.similarities[:, 0] > nearest.similarities[:, 1]).all()
    assert nearest.typicality.mean() > 0.3


def test_a_text_is_as_typical_as_its_place_among_the_adapters_own() -> None:
    cloud, other = clouds(2)
    index = index_of([cloud, other])
    own = index.own(0)
    assert (np.diff(own) >= 0).all()
    stranger = index.nearest(clouds(1, texts=1, seed=9)[0])
    assert stranger.typicality[0] == 0
    assert stranger.standing[0] < -2
    # Its own texts find themselves too, so they are nearer than they are to the others.
    assert (np.sort(index.nearest(cloud).similarities[:, 0]) > own).all()


def test_where_two_adapters_share_a_region_what_tells_them_apart_is_learnt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(3)
    shared = random.normal(size=(2, 600, WIDTH))  # most of what sets two texts apart is noise
    shared[:, :, 0] = 0.2 * shared[:, :, 0] + np.array([[0.6], [-0.6]])
    far = clouds(1, texts=40, seed=5)
    features = [*(3 + shared).astype(np.float32), far[0]]
    kept, asked = [c[: len(c) // 2] for c in features], [c[len(c) // 2 :] for c in features]
    x, wanted = np.concatenate(asked), np.repeat(range(3), [len(c) for c in asked])
    learnt = index_of(kept).nearest(x)
    monkeypatch.setattr(module, "DOUBT", 0.0)
    nearest = index_of(kept).nearest(x)
    assert (learnt.first == wanted).mean() > (nearest.first == wanted).mean() + 0.03
    turned = learnt.first != nearest.first
    assert (learnt.first[turned] == nearest.second[turned]).all()
    np.testing.assert_allclose(
        learnt.similarities[turned], nearest.similarities[turned, ::-1], atol=1e-5
    )


def test_an_adapter_of_uniform_texts_is_not_alone_in_saying_how_near_is_near_enough() -> None:
    uniform, *others = clouds(1, spread=0.02)[0], *clouds(5, seed=1)
    asked = clouds(1, texts=60, spread=0.1)[0][40:]  # a little farther off than its own all are
    index = index_of([uniform, *others])
    nearest = index.nearest(asked)
    assert (nearest.first == 0).all()
    assert (nearest.similarities[:, 0] < index.own(0)[0]).mean() > 0.5
    assert (nearest.typicality > 0.02).mean() > 0.9


def test_an_adapter_alone_is_the_nearest_and_has_no_runner_up() -> None:
    cloud = clouds(1)[0]
    nearest = index_of([cloud]).nearest(cloud[:3])
    assert nearest.first.tolist() == [0, 0, 0]
    assert nearest.second.tolist() == [-1, -1, -1]


@pytest.mark.parametrize("texts", [1, 2, 3])
def test_an_adapter_of_very_few_texts_is_found_too(texts: int) -> None:
    few, many = clouds(2)
    index = index_of([few[:texts], many])
    nearest = index.nearest(few[20:30])
    assert (nearest.first == 0).mean() > 0.8
    assert np.isfinite(nearest.standing).all()


def test_a_profile_twice_its_length_means_the_same() -> None:
    kept, asked = zip(*((c[:30], c[30:]) for c in clouds(3)), strict=True)
    one, other = index_of(list(kept)), index_of([5 * c for c in kept])
    x = np.concatenate(asked)
    np.testing.assert_allclose(
        one.nearest(x).similarities, other.nearest(3 * x).similarities, atol=1e-3
    )


def test_among_very_many_a_shortlist_finds_what_comparing_all_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, asked = zip(*((c[:36], c[36:]) for c in clouds(120)), strict=True)
    x = np.concatenate(asked)
    shortlisted = index_of(list(kept)).nearest(x)
    monkeypatch.setattr(module, "EXACT", 1000)
    exact = index_of(list(kept)).nearest(x)
    assert (shortlisted.first == exact.first).mean() > 0.99
    same = shortlisted.first == exact.first
    np.testing.assert_allclose(
        shortlisted.similarities[same, 0], exact.similarities[same, 0], atol=1e-5
    )
    np.testing.assert_allclose(shortlisted.typicality[same], exact.typicality[same], atol=1e-5)


def test_texts_in_blocks_are_answered_as_alone() -> None:
    cloud = clouds(3, texts=200)
    index, x = index_of([c[:20] for c in cloud]), np.concatenate(cloud)
    together = index.nearest(x)
    for i in (0, 255, 256, 599):
        alone = index.nearest(x[i : i + 1])
        assert alone.first[0] == together.first[i]
        np.testing.assert_allclose(alone.similarities[0], together.similarities[i], atol=1e-5)
