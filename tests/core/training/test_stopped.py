"""Trainings that were stopped, and two at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapter_platform.core.errors import TrainingError
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.training.run import Outcome, train
from adapter_platform.core.training.workshop import Quiet, Workshop

from .conftest import TOPICS, MakeRequest, WriteTexts
from .outcomes import Said, assert_same_adapter, tensors


@pytest.mark.parametrize("head", ["auto", "trained"])
def test_a_stopped_training_goes_on_and_ends_as_one_that_was_not_stopped(
    ask: MakeRequest, workshop: Workshop, tmp_path: Path, head: str
) -> None:
    request = ask(epochs=3, head=head, label_texts=False)
    whole = train(request, workshop, Quiet())
    stopped = replace(request, name="other")
    with pytest.raises(KeyboardInterrupt):
        train(stopped, workshop, Said(stop_at=8))
    assert workshop.store.names() == ["support"], "nothing half-made is seen"
    assert list((workshop.cache / "training").iterdir())
    said = Said()
    resumed = train(stopped, workshop, said)
    assert resumed.resumed
    assert said.steps[0][0] == 6, "it went on from the end of the first epoch"
    assert resumed.manifest.metrics == whole.manifest.metrics
    assert resumed.manifest.calibration == whole.manifest.calibration
    assert_same_adapter(tensors(whole, workshop), tensors(resumed, workshop))
    assert not list((workshop.cache / "training").iterdir()), "nothing is left behind"


def test_a_training_that_is_not_the_same_begins_anew(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(ask(epochs=3), workshop, Said(stop_at=8))
    backwards = LabelScheme.of("single", sorted(TOPICS, reverse=True))
    for other in (
        ask(epochs=2),
        ask(epochs=3, request={"scheme": backwards}),
        ask(epochs=3, data=write_texts(dict.fromkeys(TOPICS, 15), name="less")),
    ):
        assert not train(other, workshop, Quiet()).resumed
    assert train(ask(epochs=3), workshop, Quiet()).resumed


def test_a_checkpoint_of_another_version_of_a_library_is_not_gone_on_from(
    ask: MakeRequest, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(ask(epochs=3), workshop, Said(stop_at=8))
    installed = tmp_path / "site" / "peft-0.0.1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Name: peft\nVersion: 0.0.1\n", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(installed.parent)
        outcome = train(ask(epochs=3), workshop, Quiet())
    assert outcome.manifest.libraries["peft"] == "0.0.1"
    assert not outcome.resumed
    assert train(ask(epochs=3), workshop, Quiet()).resumed


def test_the_very_same_training_cannot_run_twice_at_once(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts
) -> None:
    refusals: list[TrainingError] = []
    others: list[Outcome] = []

    class Impatient(Quiet):
        """Starts the same training and another one in the middle of the first."""

        def advance(self, done: int, total: int, note: str) -> None:
            if note.startswith("training") and not refusals:
                with pytest.raises(TrainingError) as refused:
                    train(ask(), workshop, Quiet())
                refusals.append(refused.value)
                others.append(train(ask(epochs=2), workshop, Quiet()))

    outcome = train(ask(), workshop, Impatient())
    assert refusals[0].message == "the very same training of 'support' is running already"
    assert refusals[0].hint is not None
    assert (others[0].manifest.version, outcome.manifest.version) == (1, 2)
    assert not list((workshop.cache / "training").iterdir()), "nothing is left behind"
    assert train(ask(), workshop, Quiet()).manifest.version == 3


def test_a_cache_that_cannot_be_written_is_refused_before_the_work(
    ask: MakeRequest, workshop: Workshop
) -> None:
    said = Said()
    workshop.bases.resolve(ask().base_id)
    (workshop.cache / "training").write_text("a file", encoding="utf-8")
    with pytest.raises(TrainingError, match="checkpoints cannot be written") as error:
        train(ask(), workshop, said)
    assert "PLATFORM_CACHE" in (error.value.hint or "")
    assert said.lines == []
