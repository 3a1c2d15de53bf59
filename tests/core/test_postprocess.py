"""Steps by the records of a manifest: whose they are, and what becomes of those that fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from adapter_platform.core.errors import PluginError
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.postprocess import build_chain
from adapter_platform.core.predictions import Notice, Prediction
from adapter_platform.core.registry import Brought, Registry
from adapter_platform.core.store.manifest import BaseRecord, Manifest, StepRecord

SCHEME = LabelScheme.of("single", ["yes", "no"])
BEFORE = Notice("empty_text", "the text is empty")
ANSWER = Prediction(
    text="a text",
    label="yes",
    labels=(("yes", 0.9), ("no", 0.1)),
    confidence=0.9,
    probabilities={"yes": 0.9, "no": 0.1},
    adapter="desk",
    version=3,
    base="tiny",
    engine="packed",
    warnings=(BEFORE,),
)


class Redact:
    """A step whose settings are what it does: ``say`` puts a text into `display`."""

    name = "redact"

    def build(
        self, settings: Mapping[str, Any], scheme: LabelScheme
    ) -> Callable[[Prediction], Prediction]:
        said = settings["say"]  # a careless author's KeyError

        def step(prediction: Prediction) -> Any:
            if said == "nothing":
                return None
            return replace(prediction, display=said, steps=(*prediction.steps, self.name))

        return step


def answered(by: Brought[Any], *records: StepRecord) -> Prediction:
    """The answer after the steps that these records name, where `by` is what is installed."""
    base = BaseRecord("tiny", "f", 32, 2)
    published = Manifest(
        "desk", base, SCHEME, "LORA", "mean", 16, version=3, postprocess=tuple(records)
    )
    return build_chain(published, Registry(postprocessors={"redact": by}))(ANSWER)


def record(plugin: str = "alpha", version: str = "1.0", say: str = "hm") -> StepRecord:
    return StepRecord("redact", {"say": say}, plugin, version)


def test_the_step_of_the_same_plugin_and_version_answers_without_a_word() -> None:
    answer = answered(Brought(Redact(), "alpha", "1.0"), record(), record(say="ho"))
    assert (answer.display, answer.steps) == ("ho", ("redact", "redact"))
    assert answer.warnings == (BEFORE,)


def test_another_plugins_step_of_the_same_name_does_not_answer() -> None:
    with pytest.raises(PluginError) as caught:
        answered(Brought(Redact(), "beta", "1.0"), record())
    assert caught.value.message == (
        "desk@3 needs the step 'redact' of the plugin 'alpha', and the plugin 'beta' brings the "
        "one that is here"
    )
    assert caught.value.hint == "install alpha 1.0 in its place"


def test_another_version_answers_and_says_so_once() -> None:
    answer = answered(Brought(Redact(), "alpha", "2.0"), record(), record(say="ho"))
    assert answer.display == "ho"
    assert answer.warnings == (
        BEFORE,
        Notice(
            "step_version",
            "desk@3 was published with alpha 1.0, and 2.0 is installed: its step 'redact' may "
            "answer otherwise",
        ),
    )


def test_a_built_in_step_of_a_newer_platform_is_nothing_to_warn_of() -> None:
    answer = answered(Brought(Redact(), "alpha", "2.0", built_in=True), record())
    assert answer.warnings == (BEFORE,)


def test_an_adapter_that_does_not_say_whose_its_step_is_takes_any() -> None:
    assert answered(Brought(Redact(), "beta"), record(plugin="", version="")).display == "hm"


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({"colour": "red"}, "{'colour': 'red'}: KeyError: 'say'"),
        (5, "5: TypeError: 'int' object is not subscriptable"),  # as a manifest may hold it
    ],
)
def test_a_step_that_raises_anything_on_its_settings_is_named_with_its_plugin(
    settings: Any, shown: str
) -> None:
    bad = StepRecord("redact", settings, "alpha", "1.0")
    with pytest.raises(PluginError) as caught:
        answered(Brought(Redact(), "alpha", "1.0"), bad)
    assert caught.value.message == (
        "desk@3 cannot answer: the step 'redact' of the plugin 'alpha' failed on its settings "
        + shown
    )


def test_a_step_that_returns_no_prediction_is_named() -> None:
    with pytest.raises(PluginError, match=r"'redact' of desk@3 failed: .* returned a NoneType"):
        answered(Brought(Redact(), "alpha", "1.0"), record(say="nothing"), record())
