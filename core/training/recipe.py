"""Recipes: everything that makes training repeatable, written beside the adapter."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ..errors import RecipeError, UsageError, unknown
from .allowed import allowed, shown, wrong_value
from .meanings import RECIPE

FILE = "training_config.json"

FEW = 5  # training texts a class, below which there are too few steps in usual epochs
EPOCHS_OF_FEW = 40
MANY = 144  # texts a class, from which on epochs do not get fewer, batches are smaller instead, and
# tokens may count by themselves
SEED_PEFT: Mapping[str, Any] = {
    "r": 8,
    "lora_alpha": 16,
    "lora_dropout": 0.1,
    "target_modules": ["query", "key", "value", "dense"],
    "bias": "none",
}
"""LoRA as in the classifier that this platform grew out of."""
EXAMPLES: Mapping[str, str] = {
    "abstain": "--set abstain.max_error=0.05",
    "report_to": """--set 'report_to=["tensorboard"]'""",
}
PRINCIPAL = re.compile(r"pissa(_niter_\d+)?|olora")
"""Starts of LoRA, as `init_lora_weights` has them, that are a part of the base's own weights."""


def takes_from_base(start: Any) -> bool:
    """Whether LoRA that begins so takes its start out of the base that it is trained on."""
    return isinstance(start, str) and PRINCIPAL.fullmatch(start) is not None


class Recipe(BaseModel):
    """How an adapter is trained. Field defaults are the preset ``default``.

    Attributes:
        base: the base model, a name that ``platform bases list`` shows, a Hub id or a directory;
            where it is not set, the platform's setting.
        peft_method: PEFT's name of the method, ``LORA``, ``IA3``, ``LOHA`` ...; ``DORA`` is LoRA
            with ``use_dora``.
        peft: the method's own settings, handed to its PEFT configuration class; for LoRA over
            r=8, alpha=16, dropout=0.1 on query, key, value and dense; for others over PEFT's own
            defaults, on the same modules (layer norms for ``LN_TUNING``, word embeddings for
            ``TRAINABLE_TOKENS``, for ``IA3`` PEFT's own). Prompt methods put 16 virtual tokens
            before a text. ``ADALORA`` gets its total number of steps from the training, and spends
            a tenth of them before it takes ranks away and a third after that. LoRA and DoRA may
            begin (`peft.init_lora_weights`) as a part of the base, ``pissa``, ``pissa_niter_4``
            (which takes so many iterations) or ``olora``, and lora_dropout is then 0 unless it is
            set, since it would drop what is the base's own; or along what the layers read of the
            training texts, ``eva``.
        layers: how many of the base's layers the method adapts, counted from the last; what comes
            before them is run once for all epochs, without dropout. ``auto`` takes half of them, or
            all where the method cannot be kept to some or `peft` says itself where it goes.
        pooling: how a text's tokens become one vector: ``mean`` of all, the first one (``cls``), or
            the base's own ``pooler``, if it has one. ``auto`` takes what the base says; of a Hub id
            or a directory ``pooler`` where the checkpoint has one, else ``mean``.
        loss: ``cross_entropy``, which is binary for multi-label schemes; ``contrastive`` is half of
            that, half supervised contrastive (Khosla et al. 2020, section 3), for one label a text;
            ``auto`` takes ``cross_entropy``.
        contrastive_weight: share of the contrastive term, 0 to 1.
        contrastive_temperature: its temperature.
        learning_rate: the highest one, reached after the warm-up; it falls to 0 along a straight
            line. Methods other than LoRA may want another one by magnitudes.
        epochs: passes over the training texts; ``auto`` takes 40 where a class has fewer than 5 of
            them on average, else 36 / sqrt(texts a class), 3 at least.
        batch_size: examples a step; ``auto`` takes 32, or 16 from 144 training texts a class on.
        warmup: share of steps during which the learning rate rises.
        weight_decay: AdamW's.
        base_dropout: dropout probability inside the base while training; not set: the base's own.
        label_smoothing: share of a text's target that is spread evenly: over all classes, or in
            multi-label schemes over yes and no.
        class_weights: ``balanced`` weighs a class by the inverse of its frequency; ``auto`` does so
            where the largest class has more than three times the examples of the smallest, never in
            multi-label schemes.
        label_texts: whether labels' names for people, aliases and descriptions count as training
            examples of theirs; of a label that has none of these, the words of its name
            (``set_alarm``), unless it is a code (``c1``).
        typos: share of the training texts that count once more with a typing error.
        head: ``refit`` starts where the probe ended and is fitted anew by logistic regression on
            the adapted features at the end; ``trained`` starts at random and keeps what was
            trained along; ``auto`` starts as ``refit`` and ends with the one of the two that has
            the less log loss on validation, once calibrated, or as ``refit`` where there are fewer
            than 30 validation texts.
        token_bag: whether the head also counts a text's tokens by themselves (`core.token_bag`).
            ``auto`` tries it where a class has 144 training texts or more and there are 30
            validation texts, and keeps it where the log loss on them falls by more than its
            standard error; ``always``, ``never``.
        max_length: tokens that the adapter reads at once, special tokens included; fewer where the
            base's positions, less a prompt method's virtual tokens, are fewer.
        long_text: ``truncate`` reads the beginning of a longer text; ``windows`` reads all of it in
            windows of `max_length` that overlap, and averages their logits by their tokens. Either
            way training, calibration and the report's figures go by the first window;
            ``adapters eval`` judges by all.
        stride: tokens that a window shares with the one before, as transformers' tokenizers
            understand it; at most half of `max_length`.
        val_share, test_share: shares cut from the data where it brings no such split.
        abstain: settings of an ``abstain`` step that the adapter carries before its domain's own
            steps, ``{"max_error": 0.05}``; empty: none.
        seed: of all that is drawn by chance: the split of the data, the order of the texts, the
            start of the adapter, dropout and typing errors.
        report_to: transformers' experiment trackers (``tensorboard``, ``mlflow`` ...); what they
            write stays in the cache, under ``logs``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    base: str | None = None
    peft_method: str = "LORA"
    peft: dict[str, Any] = Field(default_factory=dict)
    layers: Annotated[int, Field(ge=1)] | Literal["auto", "all"] = "auto"
    pooling: Literal["auto", "mean", "cls", "pooler"] = "auto"
    loss: Literal["auto", "cross_entropy", "contrastive"] = "auto"
    contrastive_weight: float = Field(0.5, ge=0, le=1)
    contrastive_temperature: float = Field(0.1, gt=0)
    learning_rate: float = Field(1e-3, gt=0)
    epochs: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    warmup: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    base_dropout: float | None = Field(None, ge=0, lt=1)
    class_weights: Literal["auto", "balanced", "none"] = "auto"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    label_texts: bool = True
    typos: float = Field(0.0, ge=0, le=1)
    head: Literal["auto", "refit", "trained"] = "auto"
    token_bag: Literal["auto", "always", "never"] = "auto"
    max_length: int = Field(128, ge=4)
    long_text: Literal["truncate", "windows"] = "truncate"
    stride: int = Field(32, ge=0, validate_default=True)
    val_share: float = Field(0.1, gt=0, lt=0.5)
    test_share: float = Field(0.1, gt=0, lt=0.5)
    abstain: dict[str, Any] = Field(default_factory=dict)
    seed: int = Field(42, ge=0, lt=2**32)
    report_to: list[str] = Field(default_factory=list)

    @field_validator("*", mode="before")
    @classmethod
    def _no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """To Python, and so to pydantic, true and false are the numbers 1 and 0."""
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and field.annotation is not bool:
            raise PydanticCustomError("no_number", "true and false are no value of it")
        return value

    def epochs_for(self, texts: int, classes: int) -> int:
        """Epochs that are meant for so many training texts: fewer the more a class has."""
        if self.epochs != "auto":
            return self.epochs
        if texts < FEW * classes:
            return EPOCHS_OF_FEW
        return max(3, round(36 / math.sqrt(texts / classes)))

    def batch_for(self, texts: int, classes: int) -> int:
        """Examples a step that are meant for so many training texts."""
        if self.batch_size != "auto":
            return self.batch_size
        return 32 if texts < MANY * classes else 16

    @property
    def contrastive_share(self) -> float:
        """The supervised contrastive term's share of the loss."""
        return self.contrastive_weight if self.loss == "contrastive" else 0.0

    def layers_of(self, base: int) -> int:
        """How many of so many layers of a base are meant to be adapted.

        Raises:
            RecipeError: it has fewer than the recipe says.
        """
        if self.layers == "all":
            return base
        if self.layers == "auto":
            return math.ceil(base / 2)
        if self.layers > base:
            raise RecipeError(
                f"the base has {base} layers, not {self.layers}",
                f"layers may be 'auto', 'all' or a whole number from 1 to {base}",
            )
        return self.layers

    @field_validator("stride")
    @classmethod
    def _check_stride(cls, stride: int, info: ValidationInfo) -> int:
        most = info.data.get("max_length", 0) // 2
        if info.data.get("long_text") == "windows" and stride > most:
            raise ValueError(
                f"it is more than half of max_length, {most}", "lower stride, or raise max_length"
            )
        return stride

    def peft_settings(self) -> dict[str, Any]:
        """The settings for PEFT's configuration class, defaults filled in."""
        settings = dict(self.peft)
        if self.peft_method in ("LORA", "DORA"):
            settings = {**SEED_PEFT, **settings}
            if (
                takes_from_base(settings.get("init_lora_weights"))
                and "lora_dropout" not in self.peft
            ):
                settings["lora_dropout"] = 0.0
        if self.peft_method == "DORA":
            settings["use_dora"] = True
        return settings

    def write(self, directory: Path) -> None:
        """Writes `training_config.json`."""
        (directory / FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "fast": {"epochs": 2, "loss": "cross_entropy", "base_dropout": 0.0},
    "seed": {  # every field that has a part in the outcome, so that it stays what it is
        "peft_method": "LORA",
        "layers": "all",
        "pooling": "auto",
        "loss": "cross_entropy",
        "contrastive_weight": 0.5,
        "contrastive_temperature": 0.1,
        "learning_rate": 1e-4,
        "epochs": 5,
        "batch_size": 8,
        "warmup": 0.1,
        "weight_decay": 0.01,
        "base_dropout": None,
        "class_weights": "none",
        "label_smoothing": 0.0,
        "label_texts": False,
        "typos": 0.0,
        "head": "trained",
        "token_bag": "never",
        "max_length": 128,
        "long_text": "truncate",
        "stride": 32,
        "val_share": 0.1,
        "test_share": 0.1,
        "abstain": {},
        "seed": 42,
    },
}


def make_recipe(*layers: Mapping[str, Any], preset: str | None = None) -> Recipe:
    """A recipe from a preset and layers of settings, later ones winning.

    A layer's `peft` settings are merged key by key.

    Raises:
        RecipeError: an unknown preset or setting, or a value that cannot be.
    """
    if preset is not None and preset not in PRESETS:
        raise unknown("preset", preset, PRESETS, RecipeError)
    merged: dict[str, Any] = {}
    for layer in (PRESETS[preset or "default"], *layers):
        peft = layer.get("peft") or {}
        if not isinstance(peft, Mapping):
            raise RecipeError(
                f"the recipe setting 'peft' cannot be {peft!r}: it is a table of settings",
                "for example: --set peft.r=4",
            )
        peft = {**merged.get("peft", {}), **peft}
        merged = {**merged, **layer, "peft": peft}
    if isinstance(merged.get("peft_method"), str):
        merged["peft_method"] = merged["peft_method"].upper()
    try:
        return Recipe(**merged)
    except ValidationError as error:
        raise _plain(error, merged) from error


def recipe_text(recipe: Recipe, path: Path) -> str:
    """The whole recipe as `read_recipe` reads it from a file of this name, in TOML or JSON.

    What is None, which TOML cannot say, is left out.
    """
    if path.suffix == ".json":
        return recipe.model_dump_json(indent=2) + "\n"
    settings = recipe.model_dump(exclude_none=True)
    peft = settings.pop("peft")
    lines = [f"{key} = {_toml(value)}" for key, value in settings.items()]
    if peft:
        lines += ["", "[peft]", *(f"{_toml(k)} = {_toml(v)}" for k, v in peft.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_toml(str(k))} = {_toml(v)}" for k, v in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)  # numbers, texts and truth are alike in both


def read_recipe(path: Path, what: str = "recipe") -> dict[str, Any]:
    """The settings in a TOML or JSON file (a `training_config.json` is one).

    Args:
        what: the file is to be called in errors.

    Raises:
        RecipeError: the file is missing or is not a table of settings.
    """
    is_json = path.suffix == ".json"
    try:
        text = path.read_text(encoding="utf-8-sig")
        data = json.loads(text) if is_json else tomllib.loads(text)
    except FileNotFoundError as error:
        raise RecipeError(
            f"there is no {what} file {path}", f"the path is seen from {Path.cwd()}"
        ) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RecipeError(f"the {what} {path} cannot be read: {reason}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"the {what} {path} is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        kind = "JSON" if is_json else "TOML"
        raise RecipeError(f"the {what} {path} is not {kind}: {error}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"the {what} {path} is not a table of settings")
    return data


def parse_setting(text: str) -> dict[str, Any]:
    """One ``key=value`` of ``--set``; the value is JSON where it can be, else text.

    ``peft.r=4`` gives ``{"peft": {"r": 4}}``.

    Raises:
        UsageError: there is no ``=`` or no key.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{text!r} is not of the form key=value", "for example: --set epochs=5")
    parsed: Any
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = value
    for part in reversed(key.strip().split(".")):
        parsed = {part: parsed}
    return dict(parsed)


def _plain(error: ValidationError, settings: Mapping[str, Any]) -> RecipeError:
    """The first mistake as a sentence: what the setting is, what it was given, what it may be."""
    first = error.errors()[0]
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        found = unknown("recipe setting", name, Recipe.model_fields, RecipeError)
        return RecipeError(found.message, found.hint)
    if first["type"] == "value_error":  # a validator's own sentence and hint
        given = shown(settings.get(name, Recipe.model_fields[name].default))
        reason, hint = first["ctx"]["error"].args
        return RecipeError(f"the recipe setting {name!r} cannot be {given}: {reason}", hint)
    field = Recipe.model_fields[name]
    usual = field.get_default(call_default_factory=True)
    may_be = allowed(field.annotation, field.metadata).words
    if isinstance(usual, bool | int | float | str):
        may_be += f"; left out, it is {shown(usual)}"
    if name in EXAMPLES:
        may_be += f"; for example: {EXAMPLES[name]}"
    return wrong_value(name, settings[name], RECIPE[name], may_be)
