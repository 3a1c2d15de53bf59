"""AdaLoRA: ranks are taken away as the training goes on, and a stopped training forgets nothing."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file

from adapter_platform.core.engine.encoder import load_encoder
from adapter_platform.core.engine.peft_groups import Group
from adapter_platform.core.errors import RecipeError
from adapter_platform.core.training.adalora import orthogonality, with_steps
from adapter_platform.core.training.run import train
from adapter_platform.core.training.workshop import Quiet, Workshop

from .conftest import MakeClassifier, MakeRequest
from .outcomes import TENSORS, Said, adapter_of, assert_same_adapter, config_of, tensors

FEW = {"init_r": 6, "target_r": 2}
ADALORA: dict[str, Any] = {"peft_method": "ADALORA", "pooling": "mean", "learning_rate": 0.01}


def test_sites_end_with_unlike_ranks_and_together_with_those_that_were_asked_for(
    ask: MakeRequest, workshop: Workshop
) -> None:
    outcome = train(ask(**ADALORA, epochs=4, peft=FEW), workshop, Quiet())
    config = config_of(outcome, workshop)
    assert config["total_step"] == 4 * -(-outcome.report["splits"]["train"] // 8)
    ranks = {site: sum(kept) for site, kept in config["rank_pattern"].items()}
    assert sum(ranks.values()) == 2 * len(ranks)
    assert len(set(ranks.values())) > 1
    published = load_file(adapter_of(outcome, workshop) / TENSORS)
    for site, rank in ranks.items():
        assert len(published[f"base_model.model.{site}"]) == rank


def test_loading_it_warns_of_nothing(ask: MakeRequest, workshop: Workshop) -> None:
    """PEFT would say that the ranks were ignored, which they are not."""
    train(ask(**ADALORA, peft=FEW), workshop, Quiet())
    source = workshop.store.resolve("support")
    base = workshop.bases.resolve(source.manifest.base.id)
    group = Group("ADALORA", load_encoder(base, workshop.device))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`")  # transformers' old name
        group.add(source)
    assert group.members == {source.content_hash}


@pytest.mark.parametrize("step", [8, 20], ids=["while ranks go", "after that"])
def test_a_stopped_training_ends_with_the_ranks_of_one_that_was_not_stopped(
    ask: MakeRequest, workshop: Workshop, step: int
) -> None:
    request = ask(**ADALORA, epochs=4, peft=FEW)
    whole = train(request, workshop, Quiet())
    stopped = replace(request, name="other")
    with pytest.raises(KeyboardInterrupt):
        train(stopped, workshop, Said(stop_at=step))
    resumed = train(stopped, workshop, Quiet())
    assert resumed.resumed
    ranks = [config_of(outcome, workshop)["rank_pattern"] for outcome in (whole, resumed)]
    assert ranks[0] == ranks[1]
    assert_same_adapter(tensors(whole, workshop), tensors(resumed, workshop))


def test_directions_that_are_not_orthogonal_cost_as_much_as_peft_says(
    make_classifier: MakeClassifier,
) -> None:
    model = make_classifier(peft_method="ADALORA", peft={"orth_reg_weight": 0.25}).encoder
    tuner: Any = model.base_model
    encoder = tuner.model

    class WithLoss(torch.nn.Module):
        """PEFT adds the term to the loss of an encoder that gives one."""

        def forward(self) -> Any:
            return type("Output", (), {"loss": torch.zeros(())})()

        def named_parameters(self, *_: Any, **__: Any) -> Any:
            return encoder.named_parameters()

    tuner.model = WithLoss()
    added = tuner.forward().loss
    tuner.model = encoder
    assert added > 0
    torch.testing.assert_close(orthogonality(model), added)


def test_the_weight_of_that_term_changes_what_is_trained(
    ask: MakeRequest, workshop: Workshop
) -> None:
    none, much = (
        tensors(train(ask(**ADALORA, peft={"orth_reg_weight": w}), workshop, Quiet()), workshop)
        for w in (0.0, 5.0)
    )
    assert any(
        none[name].shape != much[name].shape or (none[name] != much[name]).any() for name in none
    )


@pytest.mark.parametrize(
    ("settings", "steps", "says"),
    [
        ({"total_step": 40}, 40, "total_step is the number of steps of the training itself"),
        ({}, 1, "has no steps to take ranks away in: the training has 1"),
        ({"tfinal": 39}, 40, "no steps to take ranks away"),
        ({"tinit": 40}, 40, "no steps to take ranks away"),
        ({"tinit": "x"}, 40, "are whole numbers"),
        ({"target_r": 12}, 40, "takes ranks away, from 12 a site"),
        ({"init_r": 4}, 40, "takes ranks away, from 4 a site"),
    ],
    ids=str,
)
def test_settings_that_leave_nothing_to_take_away_are_refused(
    settings: dict[str, Any], steps: int, says: str
) -> None:
    with pytest.raises(RecipeError, match=says) as error:
        with_steps(settings, steps)
    assert error.value.hint or "whole numbers" in says


def test_the_shortest_training_that_can_be_is_one_of_two_steps(
    ask: MakeRequest, workshop: Workshop
) -> None:
    short = ask(**ADALORA, batch_size=32, epochs=1)
    assert config_of(train(short, workshop, Quiet()), workshop)["total_step"] == 2
