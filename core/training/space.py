"""Which values of which recipe settings a search may try."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RecipeError, unknown
from .recipe import Recipe, make_recipe, read_recipe

if TYPE_CHECKING:
    from .prepare import Prepared

FEW = 20  # examples a class below which longer trainings are worth trying
FIXED: Mapping[str, str] = {
    **dict.fromkeys(
        ("val_share", "test_share"), "trials that are judged by other texts cannot be compared"
    ),
    "seed": "the seed that chance favoured is no better than another; a search keeps its own",
    "base": "a search is of one base; search once for each with --base",
    "report_to": "it changes nothing that is trained",
    **dict.fromkeys(
        ("long_text", "stride", "abstain"),
        "trials are judged by the first window of a text, before any step, so it changes none",
    ),
}
"""Settings that cannot be searched, and why."""
KEYS = ("low", "high", "log", "choices")
EXAMPLE = "for example: [learning_rate] with low = 1e-4, high = 3e-3 and log = true below it"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values, which may be of any type that JSON has."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values to check."""
        return self.values


@dataclass(frozen=True, slots=True)
class Between:
    """A number between two ends, which are of it.

    Attributes:
        log: whether all magnitudes are tried alike rather than all numbers.
    """

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[float, ...]:
        """The values to check."""
        return (self.low, self.high)


Values = Choice | Between
Space = Mapping[str, Values]
"""By a setting's name, ``peft.r`` for one of the PEFT method's."""


def with_settings(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """The recipe with other values, by names as in a space. Raises `RecipeError`."""
    nested: dict[str, Any] = {}
    for name, value in settings.items():
        key, _, inner = name.partition(".")
        if inner:
            nested.setdefault(key, {})[inner] = value
        else:
            nested[key] = value
    return make_recipe(recipe.model_dump(), nested)


def default_space(recipe: Recipe, prepared: Prepared) -> Space:
    """What is worth trying with so much data: around the recipe's own values, which are of it."""
    texts, classes = len(prepared.rows["train"]), len(prepared.scheme.classes)
    epochs, rate = prepared.epochs, recipe.learning_rate
    few = texts / classes < FEW
    dropouts = dict.fromkeys((recipe.base_dropout, 0.0, 0.05))
    space: dict[str, Values] = {
        "learning_rate": Between(rate / 10, max(3e-3, 3 * rate), log=True),
        "epochs": Between(max(1, epochs // 2), (3 if few else 2) * epochs),
        "base_dropout": Choice(tuple(dropouts)),
    }
    if recipe.contrastive_share:
        space["contrastive_weight"] = Between(0.0, max(0.9, recipe.contrastive_weight))
    if recipe.peft_method in ("LORA", "DORA"):
        own = recipe.peft_settings()["r"]
        space["peft.r"] = Choice(tuple(sorted({4, 8, 16, own})))
    if not few:
        sizes = {16, 32, prepared.batch_size}
        space["batch_size"] = Choice(tuple(sorted(sizes)))
    return space


def own_settings(space: Space, recipe: Recipe, prepared: Prepared) -> dict[str, Any]:
    """What the recipe itself has for the settings of a space, as far as they are of it."""
    said = recipe.model_dump()
    pace = {"epochs": prepared.epochs, "batch_size": prepared.batch_size}
    meant = {**said, **pace, "peft": recipe.peft_settings()}
    found = {}
    for name, values in space.items():
        key, _, inner = name.partition(".")
        for settings in (meant, said):
            own = settings[key].get(inner) if inner else settings[key]
            if _allows(values, own):
                found[name] = own
    return found


def _allows(values: Values, value: Any) -> bool:
    if isinstance(values, Choice):
        return _as_text(value) in map(_as_text, values.values)
    return isinstance(value, int | float) and values.low <= value <= values.high


def _as_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def read_space(path: Path, recipe: Recipe) -> Space:
    """The space in a TOML or JSON file: a table for each setting, with ``low`` and ``high``, which
    may have ``log``, or ``choices``; those of the PEFT method below ``peft``.

    Args:
        recipe: the recipe whose settings they are.

    Raises:
        RecipeError: the file is missing, or names a setting or value that cannot be.
    """
    tables: dict[str, Any] = {}
    for key, table in read_recipe(path, "space").items():
        if key == "peft" and isinstance(table, Mapping):
            tables |= {f"peft.{inner}": values for inner, values in table.items()}
        else:
            tables[key] = table
    if not tables:
        raise RecipeError(f"the space {path} names no setting", EXAMPLE)
    return {name: _values(name, table, recipe) for name, table in tables.items()}


def _values(name: str, table: Any, recipe: Recipe) -> Values:
    setting, _, inner = name.partition(".")
    if setting not in Recipe.model_fields:
        raise unknown("recipe setting", setting, Recipe.model_fields, RecipeError)
    if setting in FIXED:
        raise RecipeError(f"{setting!r} cannot be searched: {FIXED[setting]}")
    if not isinstance(table, Mapping):
        raise RecipeError(f"what {name!r} may be is no table, but {table!r}", EXAMPLE)
    for key in table:
        if key not in KEYS:
            raise unknown(f"key of the values of {name!r}", key, KEYS, RecipeError)
    found = _choice(name, table) if "choices" in table else _between(name, table)
    for value in found.ends:
        taken = with_settings(recipe, {name: value})
        if isinstance(found, Between) and not inner:
            kind = float if isinstance(getattr(taken, setting), float) else int
            found = Between(kind(found.low), kind(found.high), found.log)
    return found


def _choice(name: str, table: Mapping[str, Any]) -> Choice:
    if len(table) > 1:
        raise RecipeError(f"the values of {name!r} are either choices or have low and high")
    choices = table["choices"]
    if not isinstance(choices, list) or not choices:
        raise RecipeError(
            f"the choices of {name!r} are {choices!r}, and should be a list of values"
        )
    try:
        return Choice(tuple({_as_text(value): value for value in choices}.values()))
    except TypeError as error:  # a date, which TOML has
        raise RecipeError(f"the choices of {name!r} are no values of a recipe: {error}") from error


def _between(name: str, table: Mapping[str, Any]) -> Between:
    for end in ("low", "high"):
        if end not in table:
            raise RecipeError(f"the values of {name!r} have no {end}, and no choices", EXAMPLE)
        number = table[end]
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise RecipeError(f"{end} of {name!r} is no number, but {number!r}")
        if not math.isfinite(number):
            raise RecipeError(f"{end} of {name!r} is no number to begin or end at: {number}")
    low, high, log = table["low"], table["high"], table.get("log", False)
    if low > high:
        raise RecipeError(f"the range of {name!r} is empty: its low, {low}, is above {high}")
    if not isinstance(log, bool):
        raise RecipeError(f"log of {name!r} is true or false, not {log!r}")
    if log and low <= 0:
        raise RecipeError(f"the range of {name!r} cannot be logarithmic from {low}: it has no end")
    return Between(low, high, log)
