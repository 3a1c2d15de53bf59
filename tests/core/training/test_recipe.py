"""Recipes: presets, layers of settings, files, and sentences for what cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.errors import RecipeError, UsageError
from adapter_platform.core.training.meanings import RECIPE
from adapter_platform.core.training.recipe import (
    FILE,
    PRESETS,
    Recipe,
    make_recipe,
    parse_setting,
    read_recipe,
)


def test_the_seed_preset_is_the_seed() -> None:
    recipe = make_recipe(preset="seed")
    assert recipe.peft_method == "LORA"
    assert recipe.peft_settings() == {
        "r": 8,
        "lora_alpha": 16,
        "lora_dropout": 0.1,
        "target_modules": ["query", "key", "value", "dense"],
        "bias": "none",
    }
    assert recipe.learning_rate == 1e-4
    assert recipe.epochs == 5
    assert recipe.batch_size == 8
    assert recipe.warmup == 0.1
    assert recipe.max_length == 128
    assert recipe.loss == "cross_entropy"
    assert recipe.head == "trained"
    assert recipe.base_dropout is None
    assert recipe.class_weights == "none"
    assert recipe.weight_decay == 0.01
    assert recipe.label_smoothing == 0
    assert recipe.typos == 0
    assert not recipe.label_texts


def test_the_seed_preset_stays_what_it_is_when_defaults_change() -> None:
    """All but where it trains, the method's settings, and who watches."""
    assert set(Recipe.model_fields) - set(PRESETS["seed"]) == {"base", "peft", "report_to"}


def test_later_layers_win_and_peft_settings_are_merged_key_by_key() -> None:
    recipe = make_recipe(
        {"epochs": 3, "peft": {"r": 4, "lora_alpha": 4}},
        {"learning_rate": 0.01, "peft": {"r": 2}},
        preset="fast",
    )
    assert recipe.epochs == 3
    assert recipe.learning_rate == 0.01
    assert recipe.base_dropout == 0.0, "the preset's own setting stays"
    assert recipe.peft_settings()["r"] == 2
    assert recipe.peft_settings()["lora_alpha"] == 4
    assert recipe.peft_settings()["lora_dropout"] == 0.1


def test_dora_is_lora_with_its_defaults_and_use_dora() -> None:
    settings = make_recipe({"peft_method": "dora"}).peft_settings()
    assert settings == {**make_recipe().peft_settings(), "use_dora": True}


def test_other_methods_begin_from_their_own_defaults() -> None:
    assert make_recipe({"peft_method": "ia3"}).peft_settings() == {}
    assert make_recipe({"peft_method": "LOHA", "peft": {"r": 4}}).peft_settings() == {"r": 4}


def test_a_written_recipe_reads_back_as_the_same(tmp_path: Path) -> None:
    recipe = make_recipe({"peft": {"r": 4}, "epochs": "auto", "seed": 7}, preset="seed")
    recipe.write(tmp_path)
    assert make_recipe(read_recipe(tmp_path / FILE)) == recipe


def test_a_recipe_file_may_be_toml(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("epochs = 4\n[peft]\nr = 2\n", encoding="utf-8")
    recipe = make_recipe(read_recipe(path))
    assert (recipe.epochs, recipe.peft) == (4, {"r": 2})


def test_a_byte_order_mark_is_no_part_of_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("epochs = 4\n", encoding="utf-8-sig")
    assert read_recipe(path) == {"epochs": 4}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("mine.json", b"{", "is not JSON"),
        ("mine.toml", b"epochs", "is not TOML"),
        ("mine.json", b"[1, 2]", "is not a table of settings"),
        ("mine.json", b"[" * 100_000, "is not JSON"),
        ("mine.toml", "# 批次".encode("gb18030"), "is not UTF-8 text"),
        ("mine.toml", None, "there is no recipe file"),
        ("", None, "cannot be read: is a directory"),
        ("x" * 300, None, "cannot be read: file name too long"),
    ],
    ids=["no JSON", "no TOML", "list", "deep", "GB18030", "missing", "directory", "long name"],
)
def test_a_recipe_file_that_is_none_ends_in_a_sentence(
    tmp_path: Path, name: str, content: bytes | None, sentence: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=sentence) as error:
        read_recipe(path)
    assert str(path) in error.value.message
    assert "Errno" not in error.value.message


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("epochs=5", {"epochs": 5}),
        ("learning_rate=1e-3", {"learning_rate": 1e-3}),
        ("pooling=mean", {"pooling": "mean"}),
        ("peft.r=4", {"peft": {"r": 4}}),
        ('peft.target_modules=["query"]', {"peft": {"target_modules": ["query"]}}),
        ("peft.use_rslora=true", {"peft": {"use_rslora": True}}),
        ("base=a=b", {"base": "a=b"}),
    ],
)
def test_a_setting_on_the_command_line_is_json_where_it_can_be(
    text: str, setting: dict[str, Any]
) -> None:
    assert parse_setting(text) == setting


@pytest.mark.parametrize("text", ["epochs", "=5", " = 5"])
def test_a_setting_without_key_or_equals_sign_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="key=value"):
        parse_setting(text)


@pytest.mark.parametrize(
    "setting",
    [
        {"epochs": 0},
        {"epochs": -1},
        {"epochs": "many"},
        {"learning_rate": 0},
        {"learning_rate": float("inf")},
        {"learning_rate": float("nan")},
        {"batch_size": 0},
        {"warmup": 1.0},
        {"loss": "hinge"},
        {"pooling": "max"},
        {"contrastive_weight": 1.5},
        {"val_share": 0.6},
        {"max_length": 2},
        {"long_text": "pages"},
        {"stride": -1},
        {"stride": 65, "long_text": "windows"},
        {"peft": 5},
        {"peft": "r=4"},
        {"peft_method": 5},
        {"seed": "x"},
        {"seed": -1},
        {"seed": 2**32},
        {"epochs": True},
        {"learning_rate": True},
        {"base_dropout": False},
    ],
    ids=str,
)
def test_a_value_that_cannot_be_is_told_with_what_it_is_and_what_it_may_be(
    setting: dict[str, Any],
) -> None:
    name, value = next(iter(setting.items()))
    with pytest.raises(RecipeError) as error:
        make_recipe(setting)
    given = json.dumps(value) if isinstance(value, bool) else repr(value)
    assert f"{name!r} cannot be {given}: it " in error.value.message
    assert error.value.hint
    assert "nput should" not in error.value.message


def test_every_setting_has_a_phrase_that_says_what_it_is() -> None:
    assert RECIPE.keys() == Recipe.model_fields.keys()


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ({"epochs": 0}, "it may be a whole number from 1 on or 'auto'; left out, it is 'auto'"),
        (
            {"layers": -1},
            "it may be a whole number from 1 on, 'auto' or 'all'; left out, it is 'auto'",
        ),
        ({"val_share": 1}, "it may be a number above 0 and below 0.5; left out, it is 0.1"),
        ({"base_dropout": 2}, "it may be a number from 0 to below 1 or null"),
        ({"label_texts": "x"}, "it may be true or false; left out, it is true"),
        (
            {"report_to": "mlflow"},
            """it may be a list of texts; for example: --set 'report_to=["tensorboard"]'""",
        ),
    ],
    ids=str,
)
def test_the_hint_lists_what_a_setting_may_be(setting: dict[str, Any], hint: str) -> None:
    with pytest.raises(RecipeError) as error:
        make_recipe(setting)
    assert error.value.hint == hint


def test_an_unknown_setting_or_preset_suggests_the_nearest() -> None:
    with pytest.raises(RecipeError) as setting:
        make_recipe({"learning_rte": 0.1})
    assert setting.value.hint == "did you mean 'learning_rate'?"
    with pytest.raises(RecipeError) as preset:
        make_recipe(preset="sed")
    assert preset.value.hint == "did you mean 'seed'?"


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().epochs = 3  # type: ignore[misc]  # what the test is about


def test_windows_overlap_by_half_at_most_and_elsewhere_the_stride_means_nothing() -> None:
    assert make_recipe({"stride": 64, "long_text": "windows"}).stride == 64
    assert make_recipe({"max_length": 16}).long_text == "truncate"
    with pytest.raises(RecipeError, match=r"'stride' cannot be 32: .*more than half of max_length"):
        make_recipe({"max_length": 16, "long_text": "windows"})


def test_texts_are_contrasted_where_it_is_said() -> None:
    assert make_recipe().contrastive_share == 0.0
    assert make_recipe({"loss": "contrastive"}).contrastive_share == 0.5
    weighed = {"loss": "contrastive", "contrastive_weight": 0.3}
    assert make_recipe(weighed).contrastive_share == 0.3
