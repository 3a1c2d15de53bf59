"""The author kit: a sound plugin passes, and each fault in one is found."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from adapter_platform.core.errors import DataError
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.predictions import Prediction
from adapter_platform.core.registry import BadRow, Domain, Record
from adapter_platform.core.settings import load_settings
from adapter_platform.plugins.hookspecs import hookimpl
from adapter_platform.plugins.testing import PluginConformance, Ran, check_invariants, predictions

ACME = Path(__file__).parents[1] / "data" / "plugins" / "acme_tickets" / "acme_tickets"


class TestAcme(PluginConformance):
    """The suite as its author would run it."""

    name = "acme"
    locations: ClassVar[Mapping[str, str]] = {"acme": str(ACME / "tickets" / "desk.tickets")}

    @pytest.fixture(autouse=True)
    def _installed(self, install: Any) -> None:
        install("acme_tickets")
        import acme_tickets  # type: ignore[import-not-found]  # lies under tests/data

        type(self).plugin = acme_tickets


class TestADomainFolder(PluginConformance):
    """A folder without Python is tried by the same suite."""

    @pytest.fixture(autouse=True)
    def _made(self, tmp_path: Path) -> None:
        (tmp_path / "train.csv").write_text("text,label\nhello,a\n", encoding="utf-8")
        toml = 'name = "greetings"\n[data]\ntrain = "train.csv"\n[columns]\ntext = "text"\n'
        (tmp_path / "domain.toml").write_text(toml, encoding="utf-8")
        type(self).plugin = tmp_path


class Steps:
    """A plugin with one step that does `change` to a prediction."""

    def __init__(self, change: Callable[[Prediction], Prediction]) -> None:
        self._change = change

    @hookimpl
    def postprocessors(self) -> list[Any]:
        return [self]

    name = "step"

    def build(self, settings: Mapping[str, Any], scheme: LabelScheme) -> Any:
        return self._change


class Lines:
    """A plugin with one source, which reads `rows` whatever it is asked for."""

    name, suffixes = "lines", ()

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    @hookimpl
    def data_sources(self) -> list[Any]:
        return [self]

    def read(self, location: str) -> Iterator[Any]:
        yield from self._rows
        self._rows = []


def suite(plugin: object, **attributes: Any) -> Any:
    """The conformance suite over a plugin, its fixtures filled in by hand."""
    cls = type("Suite", (PluginConformance,), {"plugin": plugin, **attributes})
    made = cls()
    fixture = cls.__dict__.get("loaded", PluginConformance.loaded)
    return made, fixture.__wrapped__(made)


def noted(prediction: Prediction, **changes: Any) -> Prediction:
    return replace(prediction, steps=(*prediction.steps, "step"), **changes)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda _: None, "does not return a Prediction"),
        (lambda p: p, "does not append its name"),
        (lambda p: noted(p, text="other"), "changes 'text'"),
        (lambda p: noted(p, version=2), "changes 'version'"),
        (lambda p: noted(p, confidence=1.5), "confidence 1.5"),
        (lambda p: noted(p, abstained=False), "answers after an earlier step did not"),
        (lambda p: noted(p, abstained=True), "abstains with a label"),
        (lambda p: noted(p, labels=(("a", 0.1), ("b", 0.2))), "out of order"),
    ],
)
def test_a_step_that_breaks_an_answer_is_found(change: Any, complaint: str) -> None:
    made, (info, registry) = suite(Steps(change))
    with pytest.raises(AssertionError, match=complaint):
        made.test_its_steps_change_answers_and_nothing_else(info, registry)


def test_a_step_that_changes_its_input_is_found() -> None:
    made, (info, registry) = suite(Steps(lambda p: p.probabilities.clear() or noted(p)))  # type: ignore[attr-defined]  # the mistake
    with pytest.raises(TypeError, match="cannot be changed"):
        made.test_its_steps_change_answers_and_nothing_else(info, registry)


def test_a_step_that_takes_any_setting_is_found() -> None:
    made, (info, registry) = suite(Steps(noted))
    with pytest.raises(pytest.fail.Exception):
        made.test_its_steps_refuse_a_setting_that_they_do_not_know(info, registry)


def test_a_source_that_reads_nothing_or_only_once_or_anything_is_found(tmp_path: Path) -> None:
    for rows, complaint in (
        ([BadRow("f:1", "why")], "reads no row"),
        ([Record("f:1", {})], "reads once only"),
    ):
        made, (info, registry) = suite(Lines(list(rows)), locations={"lines": "x"})
        with pytest.raises(AssertionError, match=complaint):
            made.test_its_data_sources_read_rows(info, registry)
    with pytest.raises(pytest.fail.Exception):
        made.test_its_data_sources_say_in_a_sentence_what_they_cannot_read(info, registry, tmp_path)


def test_a_source_that_is_given_nothing_to_read_is_asked_about() -> None:
    made, (info, registry) = suite(Lines([]))
    with pytest.raises(AssertionError, match="say what to read"):
        made.test_its_data_sources_read_rows(info, registry)


def brings_domain(file: Path, content: str, **settings: Any) -> Any:
    """A plugin with a domain whose data is this file."""
    file.write_text(content, encoding="utf-8")

    class Brings:
        @hookimpl
        def domains(self) -> list[Domain]:
            return [Domain("d", {"train": f"csv:{file}"}, **settings)]

    return Brings()


@pytest.mark.parametrize(
    ("content", "settings", "complaint"),
    [
        ("text,label\n", {}, "has no rows"),
        ("text,label\nhi,a\n", {"columns": {"text": "question"}}, "no column 'question'"),
        ("words,label\nhi,a\n", {}, "no column for the text"),
        ("text,label\nhi,a\nho,b\nho ho,\n", {}, "csv:4: the row has no label"),
        (
            "text,label\nhi,a\nho,b\nho ho,c\n",
            {"scheme": LabelScheme.of("single", ["a", "b"])},
            "csv:4: there is no label named 'c'",
        ),
    ],
)
def test_a_domain_that_cannot_be_trained_on_all_of_its_data_is_found(
    tmp_path: Path, content: str, settings: dict[str, Any], complaint: str
) -> None:
    made, (info, registry) = suite(brings_domain(tmp_path / "x.csv", content, **settings))
    with pytest.raises((AssertionError, DataError), match=complaint):
        made.test_its_domains_have_data_to_train_on(info, registry)


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        ("text,label\nhi,a|b\nho,a\n", {"columns": {"separator": "|"}}),
        ("Question,Category\nhi,a\n", {"columns": {"text": "question"}}),
        ("text,label,part\nhi,a,train\n", {"columns": {"split": "part"}}),
    ],
)
def test_a_domain_with_columns_that_training_takes_passes(
    tmp_path: Path, content: str, settings: dict[str, Any]
) -> None:
    made, (info, registry) = suite(brings_domain(tmp_path / "x.csv", content, **settings))
    assert info.failure is None
    made.test_its_domains_have_data_to_train_on(info, registry)


def test_a_plugin_without_a_hook_is_found() -> None:
    made, (info, _) = suite(object())
    with pytest.raises(AssertionError, match="@hookimpl"):
        made.test_it_implements_a_hook(info)


def test_the_made_up_answers_are_of_every_sort() -> None:
    answers = list(predictions(LabelScheme.of("multi", ["a", "b"])))
    assert {p.abstained for p in answers} == {True, False}
    assert any(p.label is None and not p.abstained for p in answers)
    for answer in answers:
        check_invariants("step", answer, noted(answer))


def test_the_runner_gives_exit_code_and_both_streams(run_platform: Callable[..., Ran]) -> None:
    version = run_platform("--version")
    assert version.exit_code == 0
    assert version.stdout.strip()
    wrong = run_platform("no-such-command")
    assert wrong.exit_code == 2
    assert "no-such-command" in wrong.stderr
    assert wrong.stdout == ""


def test_the_store_of_a_test_is_empty_and_nobody_elses(
    platform_store: Path, private_home: Path
) -> None:
    assert not platform_store.exists()
    assert private_home in platform_store.parents


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_nothing_of_the_authors_own_is_seen_in_the_home_of_a_test(
    platform_home: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    settings = load_settings()
    assert platform_home in settings.store.parents
    assert platform_home in settings.cache.parents
    assert Path.cwd() == platform_home
    for variable in os.environ:
        assert not variable.startswith("PLATFORM_") or variable in (
            "PLATFORM_STORE",
            "PLATFORM_CACHE",
        )
