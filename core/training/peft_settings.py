"""Settings of PEFT's methods, checked before PEFT meets them: it would say what broke inside it."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from . import meanings
from .allowed import Allowed, allowed, listed, shown, wrong_value
from .recipe import SEED_PEFT

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Strength = Annotated[float, Field(gt=0)]


def _names(value: Any) -> bool:
    several = isinstance(value, list | tuple)
    return isinstance(value, str) or (several and all(isinstance(n, str) and n for n in value))


MODULES = Allowed(
    "a list of names of modules, or a text as a pattern for whole names", "modules", _names
)
RULES: Mapping[str, Allowed] = {
    **dict.fromkeys(("exclude_modules", "feedforward_modules"), MODULES),
    "target_modules": dataclasses.replace(MODULES, takes=lambda v: bool(v) and _names(v)),
    **dict.fromkeys(("r", "init_r", "target_r"), allowed(Positive)),
    **dict.fromkeys(("alpha", "lora_alpha"), allowed(Strength)),
    "alpha_pattern": allowed(dict[str, Strength]),
}
"""What PEFT declares less narrowly than it takes, or more narrowly."""
EXAMPLES: Mapping[str, str] = {
    "target_modules": """--set 'peft.target_modules=["query", "value"]'""",
    "layers_to_transform": "--set 'peft.layers_to_transform=[0, 1]'",
    "rank_pattern": """--set 'peft.rank_pattern={"query": 4}'""",
    "token_indices": "--set 'peft.token_indices=[101, 102]'",
}
ELSEWHERE = frozenset({"init_lora_weights", "num_virtual_tokens", "modules_to_save"})
"""Settings that other rooms have their own sentences on."""


def check_values(method: str, kind: type[Any], settings: Mapping[str, Any], layers: int) -> None:
    """That each setting has a value that it may have.

    Args:
        method: as the recipe names it.
        kind: PEFT's configuration class of it; every setting is a field.
        layers: the base's.

    Raises:
        RecipeError: one has not.
    """
    declared = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in sorted(settings.keys() - ELSEWHERE):
        value, field = settings[name], fields[name]
        if value is None and field.default is None:
            continue
        if field.default is not dataclasses.MISSING and _same(value, field.default):
            continue
        if name == "target_modules" and not value and settings.get("target_parameters"):
            continue  # then those alone are meant
        may_be = _rule(name, method, declared[name], layers)
        if not may_be.takes(value):
            meaning = meanings.of_peft(name, method)
            said = may_be.words + _left_out(name, method, field) + _example(name)
            raise wrong_value(f"peft.{name}", value, meaning, said)


def _rule(name: str, method: str, declared: Any, layers: int) -> Allowed:
    if name in RULES:
        return RULES[name]
    if name.endswith("dropout"):
        return allowed(Share)
    if name.endswith(("_alpha", "_lambda")):  # declared as whole, and no more so than LoRA's
        return allowed(float)
    if name == "layers_to_transform":
        layer = Annotated[int, Field(ge=0, le=layers - 1)]
        return allowed(list[layer] | layer)
    if name == "rank_pattern" and method in ("LORA", "DORA", "LOHA", "LOKR"):
        return allowed(dict[str, Positive])
    return allowed(declared)


def _same(value: Any, default: Any) -> bool:
    """Equal, and of one type: to Python, true is 1."""
    return type(value) is type(default) and bool(value == default)


def _left_out(name: str, method: str, field: dataclasses.Field[Any]) -> str:
    usual = field.default
    if method in ("LORA", "DORA"):
        usual = SEED_PEFT.get(name, usual)
    if isinstance(usual, bool | int | float | str):
        return f"; left out, it is {shown(usual)}"
    if isinstance(usual, list):
        return f"; left out, it is {listed(map(repr, usual)).replace(' or ', ' and ')}"
    return ""


def _example(name: str) -> str:
    return f"; for example: {EXAMPLES[name]}" if name in EXAMPLES else ""
