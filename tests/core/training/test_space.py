"""What a search may try: by the amount of data, or as a file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.errors import RecipeError
from adapter_platform.core.training.prepare import prepare
from adapter_platform.core.training.recipe import Recipe, make_recipe, read_recipe, recipe_text
from adapter_platform.core.training.space import (
    Between,
    Choice,
    default_space,
    own_settings,
    read_space,
    with_settings,
)
from adapter_platform.core.training.workshop import Workshop

from .conftest import TOPICS, MakeRequest, WriteTexts


def space_of(tmp_path: Path, text: str, **recipe: Any) -> Any:
    path = tmp_path / "space.toml"
    path.write_text(text, encoding="utf-8")
    return read_space(path, make_recipe(recipe))


def test_a_file_names_ranges_and_choices_below_their_settings(tmp_path: Path) -> None:
    text = """
    epochs = {low = 2, high = 8}
    base_dropout = {choices = [0.0, 0.1]}

    [learning_rate]
    low = 1e-4
    high = 1
    log = true

    [peft.r]
    choices = [2, 4]

    [peft.target_modules]
    choices = [["query"], ["query", "value"]]
    """
    assert space_of(tmp_path, text) == {
        "epochs": Between(2, 8),
        "base_dropout": Choice((0.0, 0.1)),
        "learning_rate": Between(1e-4, 1, log=True),
        "peft.r": Choice((2, 4)),
        "peft.target_modules": Choice((["query"], ["query", "value"])),
    }


def test_a_range_is_of_whole_numbers_where_the_setting_is_one(tmp_path: Path) -> None:
    text = "epochs = {low = 1, high = 3}\ncontrastive_weight = {low = 0, high = 1}"
    space = space_of(tmp_path, text + "\npeft.r = {low = 2, high = 4}")
    assert {name: values.whole for name, values in space.items()} == {
        "epochs": True,
        "contrastive_weight": False,
        "peft.r": True,  # the method's numbers are tried as they are written
    }
    assert space_of(tmp_path, "epochs = {low = 1.0, high = 3.0}")["epochs"].whole
    assert not space_of(tmp_path, "base_dropout = {low = 0, high = 0}")["base_dropout"].whole


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "names no setting"),
        ("[learning_rat]\nlow = 1\nhigh = 2", "no recipe setting named 'learning_rat'"),
        ("[seed]\nlow = 1\nhigh = 2", "'seed' cannot be searched"),
        ("[base]\nchoices = ['minilm']", "'base' cannot be searched"),
        ("[test_share]\nlow = 0.1\nhigh = 0.2", "'test_share' cannot be searched"),
        ("[stride]\nlow = 8\nhigh = 16", "'stride' cannot be searched: trials are judged by"),
        ("[long_text]\nchoices = ['windows']", "'long_text' cannot be searched"),
        ("[abstain]\nchoices = [{max_error = 0.1}]", "'abstain' cannot be searched"),
        ("epochs = 3", "no table, but 3"),
        ("[epochs]\nlow = 3\nhigh = 2", "range of 'epochs' is empty"),
        ("[epochs]\nlow = 3", "have no high"),
        ("[epochs]\nmost = 3", "no key of the values of 'epochs' named 'most'"),
        ("[epochs]\nlow = 1\nhigh = 2\nchoices = [1]", "either choices or"),
        ("[epochs]\nlow = 'a'\nhigh = 'b'", "is no number, but 'a'"),
        ("[epochs]\nlow = true\nhigh = 2", "is no number, but True"),
        ("[epochs]\nlow = 0\nhigh = 2", "'epochs' cannot be 0"),
        ("[epochs]\nlow = 1.5\nhigh = 2", "'epochs' cannot be 1.5"),
        ("[epochs]\nchoices = []", "choices of 'epochs'"),
        ("[epochs]\nchoices = 3", "choices of 'epochs'"),
        ("[epochs]\nchoices = [2, 'many']", "'epochs' cannot be 'many'"),
        ("[epochs]\nchoices = [1979-05-27]", "no values of a recipe"),
        ("[learning_rate]\nlow = 0.0\nhigh = 1.0\nlog = true", "cannot be logarithmic"),
        ("[learning_rate]\nlow = 0.1\nhigh = inf", "no number to begin or end at"),
        ("[learning_rate]\nlow = 0.1\nhigh = 1.0\nlog = 1", "log of 'learning_rate'"),
        ("peft = 3", "no table, but 3"),
        ("epochs = [", "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_is_refused_in_a_sentence(
    tmp_path: Path, text: str, part: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        space_of(tmp_path, text)
    assert part in caught.value.message


def test_a_file_that_is_not_there_is_called_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no space file"):
        read_space(tmp_path / "nothing.toml", Recipe())


def test_the_default_space_goes_by_the_amount_of_data(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts
) -> None:
    def space(each: int, **settings: Any) -> Any:
        data = write_texts(dict.fromkeys(TOPICS, each), name=f"n{each}")
        request = ask(data=data, epochs="auto", batch_size=32, **settings)
        return default_space(request.recipe, prepare(request, workshop))

    few, many = space(12), space(60)
    assert few["epochs"].high > many["epochs"].high
    assert "batch_size" not in few
    assert many["batch_size"] == Choice((16, 32))
    assert few["learning_rate"] == Between(1e-4, 3e-3, log=True)
    assert few["peft.r"] == Choice((4, 8, 16))
    assert few["base_dropout"] == Choice((None, 0.0, 0.05))
    assert "contrastive_weight" not in few
    assert space(12, loss="contrastive")["contrastive_weight"] == Between(0.0, 0.9)
    other = space(12, peft_method="IA3", learning_rate=0.01)
    assert "peft.r" not in other
    assert other["learning_rate"] == Between(0.001, 0.03, log=True)


def test_the_recipes_own_values_are_of_the_default_space(
    ask: MakeRequest, workshop: Workshop
) -> None:
    request = ask(epochs="auto", loss="contrastive")
    prepared = prepare(request, workshop)
    space = default_space(request.recipe, prepared)
    own = own_settings(space, request.recipe, prepared)
    assert own == {
        "learning_rate": 1e-3,
        "epochs": prepared.epochs,
        "base_dropout": None,
        "contrastive_weight": 0.5,
        "peft.r": 8,
    }


def test_own_values_that_are_not_of_a_space_are_left_out(
    ask: MakeRequest, workshop: Workshop
) -> None:
    request = ask(epochs="auto")
    space = {
        "learning_rate": Between(0.1, 0.2),
        "epochs": Choice(("auto", 2)),
        "peft.target_modules": Choice((["query"], ["value"])),
    }
    own = own_settings(space, request.recipe, prepare(request, workshop))
    assert own == {"epochs": "auto"}


def test_settings_of_a_space_go_over_a_recipe_and_leave_the_rest() -> None:
    recipe = make_recipe({"epochs": 4, "peft": {"r": 2, "lora_alpha": 4}})
    changed = with_settings(recipe, {"learning_rate": 0.5, "peft.r": 8})
    assert changed == make_recipe(
        {"epochs": 4, "learning_rate": 0.5, "peft": {"r": 8, "lora_alpha": 4}}
    )


@pytest.mark.parametrize("name", ["recipe.toml", "recipe.json"])
def test_a_recipe_that_is_written_is_read_again_as_it_was(tmp_path: Path, name: str) -> None:
    recipe = make_recipe(
        {
            "base": 'a "base" \\ 名',
            "learning_rate": 1.25e-05,
            "label_texts": False,
            "report_to": ["tensorboard"],
            "peft": {
                "r": 4,
                "target_modules": ["query", "value"],
                "rank_pattern": {"layer.1.*": 2},
                "use_rslora": True,
            },
        },
        preset="fast",
    )
    path = tmp_path / name
    path.write_text(recipe_text(recipe, path), encoding="utf-8")
    assert make_recipe(read_recipe(path)) == recipe
