"""From a name, and what is said beside it, to what is trained."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapter_platform.core.errors import DataError, RecipeError, UsageError
from adapter_platform.core.registry import Brought, Registry, Step
from adapter_platform.core.training.recipe import make_recipe
from adapter_platform.core.training.requests import make_request

from .conftest import SCHEME


def test_a_domain_needs_nothing_but_its_name(with_domain: Registry) -> None:
    request = make_request("support", None, with_domain, "tiny")
    domain = with_domain.domain("support")
    assert request.data == domain.data
    assert request.scheme == SCHEME
    assert request.postprocess == domain.postprocess
    assert request.columns == domain.columns
    assert request.description == domain.description
    assert request.recipe == make_recipe({"epochs": 4, "peft": {"r": 4}})
    assert request.base_id == "tiny"
    assert request.promote
    assert not request.allow_worse


def test_what_is_said_wins_over_the_domain(with_domain: Registry) -> None:
    request = make_request(
        "support",
        "other.csv",
        with_domain,
        "tiny",
        settings={"epochs": 2, "base": "minilm"},
        columns={"text": "question"},
        promote=False,
    )
    assert request.data == {"all": "other.csv"}
    assert request.recipe.epochs == 2
    assert request.recipe.peft == {"r": 4}
    assert request.base_id == "minilm"
    assert request.columns == {"text": "question", "label": "label"}
    assert request.scheme == SCHEME
    assert not request.promote


def test_a_preset_stands_in_for_the_domains_recipe_but_for_its_base(
    with_domain: Registry,
) -> None:
    domain = replace(with_domain.domain("support"), recipe={"epochs": 4, "base": "minilm"})
    registry = replace(with_domain, domains={"support": Brought(domain, "mine")})
    request = make_request("support", None, registry, "tiny", preset="seed", settings={"seed": 9})
    assert request.recipe == make_recipe({"base": "minilm", "seed": 9}, preset="seed")
    assert request.base_id == "minilm"


def test_another_kind_makes_the_scheme_anew(with_domain: Registry) -> None:
    request = make_request("support", "other.csv", with_domain, "tiny", kind="multi")
    assert request.scheme is None
    assert request.kind == "multi"


def test_a_name_that_is_no_domain_needs_data(with_domain: Registry) -> None:
    request = make_request("mine", {"train": "a.csv", "test": "b.csv"}, with_domain, "tiny")
    assert request.data == {"train": "a.csv", "test": "b.csv"}
    assert request.scheme is None
    assert request.postprocess == ()
    with pytest.raises(DataError) as error:
        make_request("suport", None, with_domain, "tiny")
    assert error.value.hint == "give --data FILE; did you mean 'support'?"


def test_a_setting_that_cannot_be_is_refused(with_domain: Registry) -> None:
    with pytest.raises(RecipeError, match="epochs"):
        make_request("support", None, with_domain, "tiny", settings={"epochs": 0})


def test_an_option_that_there_is_not_is_refused_with_the_nearest(with_domain: Registry) -> None:
    with pytest.raises(UsageError, match="'setings'") as error:
        make_request("support", None, with_domain, "tiny", setings={"epochs": 1})  # type: ignore[call-arg]
    assert error.value.hint == "did you mean 'settings'?"


def test_the_settings_trackers_are_those_of_a_recipe_that_names_none(with_domain: Registry) -> None:
    def trackers(**settings: list[str]) -> list[str]:
        asked = make_request(
            "support", None, with_domain, "tiny", ["mlflow", "trackio"], settings=settings
        )
        return asked.recipe.report_to

    assert trackers() == ["mlflow", "trackio"]
    assert trackers(report_to=["tensorboard"]) == ["tensorboard"]
    assert trackers(report_to=[]) == []


def test_a_recipe_may_ask_for_an_abstain_step_before_the_domains_own(
    with_domain: Registry,
) -> None:
    asked = {"abstain": {"max_error": 0.05}}
    request = make_request("support", None, with_domain, "tiny", settings=asked)
    own = with_domain.domain("support").postprocess
    assert request.postprocess == (Step("abstain", {"max_error": 0.05}), *own)
    mine = make_request("mine", "a.csv", with_domain, "tiny", settings=asked)
    assert mine.postprocess == (Step("abstain", {"max_error": 0.05}),)
