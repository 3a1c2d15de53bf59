"""What a recipe says of the steps reaches them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import set_seed

from adapter_platform.core.heads import Head
from adapter_platform.core.training.phases import Phases
from adapter_platform.core.training.prepare import prepare
from adapter_platform.core.training.requests import TrainingRequest
from adapter_platform.core.training.workshop import Quiet, Workshop

from .conftest import MakeRequest


def trained_state(request: TrainingRequest, workshop: Workshop, state: Path) -> Any:
    """What the steps alone make of the adapter and the head that is trained along."""
    prepared = prepare(request, workshop)
    phases = Phases(request, prepared, workshop, Quiet())
    set_seed(request.recipe.seed)
    model, taken = phases.peft_model(phases.encoder(), phases.config())
    unread: Any = None
    classifier = phases.classifier(model, Head("mean", unread, unread))
    phases.steps(classifier, prepared.rows, state, taken)
    return classifier.trained_state()


@pytest.mark.parametrize(
    ("option", "matters"),
    [
        ({"contrastive_temperature": 1.0}, True),
        ({"weight_decay": 1.0}, True),
        ({"label_smoothing": 0.3}, True),
        ({"long_text": "windows", "stride": 8, "abstain": {"max_error": 0.1}}, False),
    ],
    ids=str,
)
def test_an_option_of_the_steps_changes_what_is_trained_and_one_of_the_answers_does_not(
    ask: MakeRequest, workshop: Workshop, tmp_path: Path, option: dict[str, Any], matters: bool
) -> None:
    plain = {"loss": "contrastive", "head": "trained"}
    before, after = (
        trained_state(ask(**settings), workshop, tmp_path / str(len(settings)))
        for settings in (plain, {**plain, **option})
    )
    same = [torch.equal(tensor, after[name]) for name, tensor in before.items()]
    assert all(same) is not matters
