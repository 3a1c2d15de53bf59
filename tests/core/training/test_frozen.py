"""Layers below the adapted ones are run once, and nothing but the time changes by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    BertConfig,
    BertModel,
    CamembertConfig,
    CamembertModel,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from adapter_platform.core.errors import RecipeError
from adapter_platform.core.training import frozen
from adapter_platform.core.training.frozen import above, frozen_layers, frozen_states
from adapter_platform.core.training.prepare import features
from adapter_platform.core.training.run import train
from adapter_platform.core.training.workshop import Quiet, Workshop

from .conftest import MakeClassifier, MakeRequest
from .test_run import platform_logits


class Notes(Quiet):
    """Remembers what work there was."""

    def __init__(self) -> None:
        self.notes: set[str] = set()

    def advance(self, done: int, total: int, note: str) -> None:
        self.notes.add(note)


ROWS = [(2, *range(10, 10 + n), 3) for n in (1, 7, 3, 12, 3, 5)]
POOLER_ONLY = {"target_modules": ["pooler.dense"]}


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (BertModel, BertConfig),
        (RobertaModel, RobertaConfig),
        (XLMRobertaModel, XLMRobertaConfig),
        (CamembertModel, CamembertConfig),
    ],
)
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_what_the_upper_layers_make_of_frozen_states_is_what_all_make_of_tokens(
    workshop: Workshop, kind: Any, config: Any, layers: int
) -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    sizes = {"intermediate_size": 24, "vocab_size": 60, "max_position_embeddings": 40}
    encoder = kind(config(**shape, **sizes, initializer_range=0.3, pad_token_id=1))
    encoder.requires_grad_(False)
    lora = LoraConfig(target_modules=["query", "pooler.dense"], init_lora_weights=False)
    lora.layers_to_transform = list(range(layers, 3)) or [2]
    model = get_peft_model(encoder, lora).eval()
    if layers == 3:
        encoder.encoder.requires_grad_(False)
    assert frozen_layers(model) == layers
    whole = features(model, ROWS, "mean", 1, workshop, lambda *_: None)
    names = [name for name, _ in model.named_parameters()]
    states = frozen_states(model, layers, ROWS, 1, workshop, lambda *_: None)
    with above(model, layers):
        upper = features(model, states, "mean", 1, workshop, lambda *_: None)
        assert set(dict(model.named_parameters())) < set(names)
    np.testing.assert_allclose(upper, whole, atol=1e-5)
    assert [name for name, _ in model.named_parameters()] == names
    after = features(model, ROWS, "mean", 1, workshop, lambda *_: None)
    np.testing.assert_array_equal(after, whole)


@pytest.mark.filterwarnings("ignore:Unsupported layer type:UserWarning")  # PEFT's, of its own
@pytest.mark.parametrize(
    ("recipe", "layers"),
    [
        ({}, 1),
        ({"layers": "all"}, 0),
        ({"layers": 1}, 1),
        ({"layers": 2}, 0),
        ({"peft": {"layers_to_transform": [0]}}, 0),
        ({"peft": {"target_modules": "all-linear"}}, 0),
        ({"peft_method": "IA3"}, 0),
        ({"peft_method": "VERA"}, 1),
        ({"peft_method": "LN_TUNING"}, 0),
        ({"peft_method": "PREFIX_TUNING"}, 0),
        ({"peft_method": "TRAINABLE_TOKENS", "peft": {"token_indices": [5]}}, 0),
        ({"pooling": "pooler", "layers": "all", "peft": POOLER_ONLY}, 2),
    ],
    ids=str,
)
def test_layers_are_frozen_that_come_before_all_that_is_trained(
    make_classifier: MakeClassifier, recipe: Mapping[str, Any], layers: int
) -> None:
    assert frozen_layers(make_classifier(**recipe).encoder) == layers


def test_a_recipe_says_how_many_layers_are_adapted(make_classifier: MakeClassifier) -> None:
    for layers, wanted in ((1, {1}), ("all", {0, 1}), ("auto", {1})):
        trained = make_classifier(layers=layers).trained_state()
        found = {int(name.split(".layer.")[1][0]) for name in trained if ".layer." in name}
        assert found == wanted


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"layers": 3}, "the base has 2 layers, not 3"),
        ({"layers": 1, "peft_method": "IA3"}, "IA3 cannot be kept to some of the layers"),
        (
            {"layers": 1, "peft": {"layers_to_transform": [0]}},
            "layers and peft.layers_to_transform cannot both be given",
        ),
        (
            {"layers": 1, "peft": {"target_modules": ".*query"}},
            "PEFT does not take layers beside a pattern for peft.target_modules",
        ),
    ],
    ids=str,
)
def test_layers_that_cannot_be_are_refused_in_a_sentence(
    make_classifier: MakeClassifier, recipe: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(RecipeError) as error:
        make_classifier(**recipe)
    assert error.value.message == said
    assert error.value.hint


def test_where_there_is_no_room_for_states_training_comes_to_the_same(
    ask: MakeRequest, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = {"base_dropout": 0.0, "peft": {"lora_dropout": 0.0}}
    texts = ["refund please", "when will it come", "cannot sign in"]
    with_room, without = Notes(), Notes()
    train(ask(**still), workshop, with_room)
    monkeypatch.setattr(frozen, "ROOM", 0)
    train(ask(**still), workshop, without)
    assert "running 1 frozen layer once (train)" in with_room.notes
    assert not any("frozen layer" in note for note in without.notes)
    first, second = (platform_logits(workshop, f"support@{n}", texts) for n in (1, 2))
    np.testing.assert_allclose(second, first, atol=1e-3)
