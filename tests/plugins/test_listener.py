"""What plugins hear, and that one which fails there costs nobody an answer."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from adapter_platform.core.errors import PluginError
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.predictions import Prediction
from adapter_platform.core.store.manifest import BaseRecord, Manifest
from adapter_platform.core.training.recipe import make_recipe
from adapter_platform.plugins.hookspecs import EVENTS, hookimpl
from adapter_platform.plugins.testing import predictions

SCHEME = LabelScheme.of("single", ["yes", "no"])
MANIFEST = Manifest("m", BaseRecord("tiny", "f", 32, 2), SCHEME, "LORA", "mean", 16)


class Hears:
    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    @hookimpl
    def before_training(self, name: str, recipe: Any) -> None:
        self.heard.append(("before_training", name, recipe))

    @hookimpl
    def after_training(self, manifest: Manifest) -> None:
        self.heard.append(("after_training", manifest))

    @hookimpl
    def after_adapter_published(self, manifest: Manifest) -> None:
        self.heard.append(("after_adapter_published", manifest))

    @hookimpl
    def after_adapter_loaded(self, engine: str) -> None:  # a hook may leave arguments out
        self.heard.append(("after_adapter_loaded", engine))

    @hookimpl
    def on_predictions(self, predictions: Any) -> None:
        self.heard.append(("on_predictions", predictions))


class Fails:
    @hookimpl
    def on_predictions(self, predictions: Any) -> None:
        raise ValueError("the metrics server is away")


@pytest.fixture
def answers() -> list[Prediction]:
    return list(predictions(SCHEME))


def test_every_event_reaches_the_plugins_that_implement_it(
    load: Any, answers: list[Prediction]
) -> None:
    hears = Hears()
    listener = load({"hears": hears}).listener
    recipe = make_recipe()
    listener.before_training("m", recipe)
    listener.after_training(MANIFEST)
    listener.after_adapter_published(MANIFEST)
    listener.after_adapter_loaded(MANIFEST, "peft")
    listener.on_predictions(answers)
    assert hears.heard == [
        ("before_training", "m", recipe),
        ("after_training", MANIFEST),
        ("after_adapter_published", MANIFEST),
        ("after_adapter_loaded", "peft"),
        ("on_predictions", tuple(answers)),
    ]
    assert tuple(event[0] for event in hears.heard) == EVENTS


def test_a_plugin_that_raises_is_logged_once_and_the_next_still_hears(
    load: Any, answers: list[Prediction], caplog: pytest.LogCaptureFixture
) -> None:
    hears = Hears()
    listener = load({"fails": Fails(), "hears": hears}).listener
    with caplog.at_level(logging.INFO, "adapter_platform.plugins"):
        for _ in range(3):
            listener.on_predictions(answers)
    assert len(hears.heard) == 3
    (record,) = caplog.records
    assert "'fails'" in record.getMessage()
    assert "the metrics server is away" in record.getMessage()


def test_in_strict_mode_a_plugin_that_raises_is_fatal(load: Any, answers: list[Prediction]) -> None:
    listener = load({"fails": Fails()}, strict_plugins=True).listener
    with pytest.raises(PluginError, match="'fails' failed in on_predictions"):
        listener.on_predictions(answers)


def test_predictions_are_not_even_looked_at_when_nobody_listens(load: Any) -> None:
    class Untouchable:
        def __iter__(self) -> Any:
            raise AssertionError("somebody looked")

    load().listener.on_predictions(Untouchable())


def test_what_a_plugin_does_to_the_batch_reaches_nobody_else(
    load: Any, answers: list[Prediction]
) -> None:
    class Drops:
        @hookimpl
        def on_predictions(self, predictions: Any) -> None:
            predictions.clear()

    hears, before = Hears(), [replace(p) for p in answers]
    load({"drops": Drops(), "hears": hears}).listener.on_predictions(answers)
    assert answers == before
    assert hears.heard == [("on_predictions", tuple(before))]
