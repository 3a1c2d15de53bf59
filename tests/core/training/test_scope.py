"""The scope that training fits: near where the training texts lie, far elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from adapter_platform.core.bases import Bases
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.registry import Brought, Registry
from adapter_platform.core.training.linear import ENOUGH
from adapter_platform.core.training.scope import fit_scope

if TYPE_CHECKING:
    from adapter_platform.core.scope import Scope

SINGLE = LabelScheme.of("single", "ab")
MULTI = LabelScheme.of("multi", "ab")
MEANS = np.array([[4.0, 0, 0, 0], [0, 4.0, 0, 0]])


def states(wanted: Any, seed: int, hidden: int = 4) -> Any:
    """Gaussian around the classes' means, ten times as wide in the last direction."""
    draw = np.random.default_rng(seed)
    means = np.zeros((2, hidden))
    means[:, :4] = MEANS
    noise = draw.normal(size=(len(wanted), hidden))
    noise[:, -1] *= 10
    return (means[wanted] + noise).astype(np.float32)


def alike(states: Any) -> Any:
    """Energies of texts whose logits say nothing of their scope."""
    return np.zeros(len(states))


def shares(scope: Scope, states: Any) -> Any:
    return scope.shares(states, alike(states))


def fit(scheme: LabelScheme, train: Any, val: Any) -> Scope | None:
    return fit_scope(scheme, train, (val, alike(val)))


def fitted(hidden: int = 4, texts: int = 200) -> Scope:
    wanted, val = np.arange(texts) % 2, np.arange(300) % 2
    found = fit(SINGLE, (states(wanted, 0, hidden), wanted), states(val, 1, hidden))
    assert found is not None
    return found


def test_half_of_the_texts_like_those_of_training_look_farther_than_the_median() -> None:
    found = shares(fitted(), states(np.arange(400) % 2, 2))
    for level in (0.05, 0.2, 0.5, 0.9):
        assert (found < level).mean() == pytest.approx(level, abs=0.1)


def test_far_is_what_is_far_for_the_spread_of_the_classes_in_that_direction() -> None:
    scope = fitted()
    across, along = np.array([[4, 0, 8, 0], [4, 0, 0, 8]], np.float32)
    assert shares(scope, across[None])[0] < 1e-3
    assert shares(scope, along[None])[0] > 0.3


def test_distance_and_energy_count_in_units_of_their_spreads_over_validation_texts() -> None:
    wanted, val = np.arange(200) % 2, states(np.arange(300) % 2, 1)
    energies = np.random.default_rng(2).normal(-5, 50, 300)
    scope = fit_scope(SINGLE, (states(wanted, 0), wanted), (val, energies))
    assert scope is not None
    np.testing.assert_allclose(scope.weights, [1 / scope.distances(val).std(), 1 / energies.std()])
    strange = scope.shares(val[:1], np.array([200.0]))
    assert strange[0] < 0.01 < scope.shares(val[:1], np.array([-55.0]))[0]


def test_between_two_classes_is_not_within_either() -> None:
    between = np.array([[20, 20, 0, 0]], np.float32)
    assert shares(fitted(), between)[0] < 1e-3


def test_states_may_be_wider_than_there_are_texts_and_have_dead_directions() -> None:
    scope = fitted(hidden=128, texts=40)
    assert np.isfinite(scope.whitening).all()
    wanted = np.arange(60) % 2
    flat = states(wanted, 0)
    flat[:, 2] = 7
    found = fit(SINGLE, (flat, wanted), flat)
    assert found is not None
    assert np.isfinite(shares(found, flat)).all()
    same = np.ones((60, 4), np.float32)
    found = fit(SINGLE, (same, wanted), same)
    assert found is not None
    np.testing.assert_allclose(shares(found, same), 1)


def test_too_few_validation_texts_cannot_say_what_is_far() -> None:
    wanted = np.arange(100) % 2
    train = states(wanted, 0), wanted
    assert fit(SINGLE, train, states(np.arange(ENOUGH - 1) % 2, 1)) is None
    assert fit(SINGLE, train, states(np.arange(ENOUGH) % 2, 1)) is not None


def test_a_multi_label_text_counts_for_each_of_its_labels_and_one_without_for_none() -> None:
    draw = np.random.default_rng(0)
    wanted = np.array([[1, 0], [0, 1], [1, 1], [0, 0]] * 50)
    means = wanted @ MEANS / np.maximum(1, wanted.sum(axis=1, keepdims=True))
    texts = (means + 0.5 * draw.normal(size=(200, 4))).astype(np.float32)
    found = fit(MULTI, (texts, wanted), texts)
    assert found is not None
    assert len(found.centroids) == 3  # a, b and neither
    inside, outside = np.array([[4, 0, 0, 0], [0, 0, 0, 0]]), np.array([[0, 0, 6, 0]])
    assert shares(found, inside.astype(np.float32)).min() > 0.3
    assert shares(found, outside.astype(np.float32))[0] < 1e-3
    labelled = wanted.any(axis=1)
    found = fit(MULTI, (texts[labelled], wanted[labelled]), texts)
    assert found is not None
    assert len(found.centroids) == 2


CARDS = (
    "my card was declined", "how do i block a lost card", "what is my card's limit",
    "when does my card expire", "raise the limit of my credit card", "my new card has not come",
    "is there a fee for a card abroad", "i forgot my card's pin", "replace my damaged card",
    "can i get a second card",
)  # fmt: skip
TRANSFERS = (
    "send 50 euros to my brother", "transfer money to my savings account",
    "how long does a transfer take", "cancel my last transfer", "move 100 dollars to checking",
    "why is my transfer still pending", "wire money to an account abroad",
    "set up a monthly transfer to my landlord", "did my payment to anna arrive",
    "how much does a transfer cost",
)  # fmt: skip
FAR = ("how tall is mount everest", "write a poem about the sea", "who won the match yesterday")


def test_words_of_the_domain_look_nearer_than_others_on_a_base_that_knows_words(
    tmp_path: Path,
) -> None:
    import torch

    from adapter_platform.core.engine.encoder import load_encoder, pad, pooled
    from adapter_platform.core.tokens import TextEncoder
    from adapter_platform.plugins.bases.minilm import MINILM

    registry = Registry(bases={"minilm": Brought(MINILM, "bases")})
    base = Bases(registry, tmp_path / "cache").resolve("minilm")
    encoder, tokenizer = load_encoder(base, torch.device("cpu")), TextEncoder(base)

    def read(texts: Any) -> Any:
        rows = [encoded.ids for encoded in tokenizer.encode(texts, 64)]
        with torch.inference_mode():
            return pooled(encoder, *pad(rows, base.pad_id, torch.device("cpu")), "mean").numpy()

    texts, wanted = read([*CARDS, *TRANSFERS]), np.repeat([0, 1], 10)
    # Validation texts like those: the same in other words would be a file of their own.
    val = np.repeat(texts, 2, axis=0)
    scope = fit(SINGLE, (texts, wanted), val)
    assert scope is not None
    near = read(["my card does not work", "transfer 20 dollars to my sister"])
    assert scope.distances(texts).max() < scope.distances(near).max()
    assert scope.distances(near).max() < scope.distances(read(FAR)).min()
    assert shares(scope, read(FAR)).max() < shares(scope, texts).min()
