"""docs/recipes.md lists every recipe key and setting that there is, and its examples can be."""

from __future__ import annotations

import re
import runpy
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.settings import Settings
from adapter_platform.core.training.recipe import Recipe, make_recipe, parse_setting

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    """The names of docs/make_recipes_md.py."""
    return runpy.run_path(str(DOCS / "make_recipes_md.py"))


@pytest.fixture(scope="module")
def text() -> str:
    """The page."""
    return (DOCS / "recipes.md").read_text(encoding="utf-8")


def test_recipes_md_is_what_its_generator_prints(generator: dict[str, Any], text: str) -> None:
    assert text == generator["page"](), "python docs/make_recipes_md.py > docs/recipes.md"


@pytest.mark.parametrize("model", [Recipe, Settings])
def test_every_key_has_a_line(model: type[Recipe | Settings], text: str) -> None:
    for name in model.model_fields:
        assert f"\n| `{name}` |" in text


def test_a_key_without_a_meaning_is_refused(generator: dict[str, Any]) -> None:
    class More(Recipe):
        __doc__ = Recipe.__doc__
        colour: str = "red"

    with pytest.raises(LookupError, match="colour"):
        list(generator["key_rows"](More))


def test_a_meaning_without_a_key_is_refused(generator: dict[str, Any]) -> None:
    class More(Recipe):
        __doc__ = f"{Recipe.__doc__ or ''}    colour: of nothing.\n"

    with pytest.raises(LookupError, match="colour"):
        list(generator["key_rows"](More))


def test_what_the_generator_says_of_keys_is_said_of_keys_that_there_are(
    generator: dict[str, Any],
) -> None:
    keys = Recipe.model_fields.keys() | Settings.model_fields.keys()
    assert generator["MORE"].keys() | generator["COMPUTED"].keys() <= keys


def test_the_example_files_can_be(text: str) -> None:
    files = dict(re.findall(r"```toml\n# (\S+)\n(.*?)```", text, re.S))
    recipe = make_recipe(tomllib.loads(files["recipe.toml"]))
    assert recipe.peft["r"] == 16
    assert recipe.abstain == {"max_error": 0.05}
    assert Settings(**tomllib.loads(files["platform.toml"])).device == "cuda:0"


def test_every_change_that_is_shown_can_be(text: str) -> None:
    changes = re.findall(r"--set ('[^']+'|[a-z_.]+=[^\s`]+)", text)
    assert len(changes) >= 8
    for change in changes:
        make_recipe(parse_setting(shlex.split(change)[0]))
