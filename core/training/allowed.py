"""What a setting may be, read off the type that declares it: in words, and as a check of values."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from ..errors import RecipeError

SHOWN = 80  # characters of a wrong value


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a setting may be.

    Attributes:
        words: go on after "it may be".
        several: the same of several values, after "a list of".
        takes: whether it may be a value.
    """

    words: str
    several: str
    takes: Callable[[Any], bool]


def wrong_value(name: str, value: Any, meaning: str, may_be: str) -> RecipeError:
    """The error for a recipe setting's value.

    Args:
        meaning: what the setting is.
        may_be: what its value may be, and what it is where it is left out.
    """
    verb = "says" if meaning.split()[0] in ("how", "what", "whether", "which") else "is"
    return RecipeError(
        f"the recipe setting {name!r} cannot be {shown(value)}: it {verb} {meaning}",
        f"it may be {may_be}",
    )


def shown(value: Any) -> str:
    """A value as whoever set it wrote it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = repr(value.value if isinstance(value, enum.Enum) else value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def allowed(declared: Any, bounds: Iterable[Any] = ()) -> Allowed:
    """What a declared type takes: numbers, truth, texts, choices, or lists and tables of these.

    A type that is none of them takes everything: whoever declares it has to check it.

    Args:
        bounds: pydantic's of numbers.
    """
    origin, inner = get_origin(declared), get_args(declared)
    if origin is Annotated:
        return allowed(inner[0], [*bounds, *inner[1:]])
    if origin in (Union, types.UnionType):
        return _one_of([allowed(each, bounds) for each in _apart(inner)], inner)
    if origin is Literal:
        return _choices(inner)
    if declared in (int, float) and isinstance(declared, type):
        return _number(declared, bounds)
    if declared in _PLAIN:
        return _PLAIN[declared]
    if (origin or declared) is list:
        return _list(allowed(inner[0], bounds) if inner else _ANYTHING)
    if (origin or declared) is dict:
        return _table(allowed(inner[1], bounds) if inner else _ANYTHING)
    if isinstance(declared, type) and issubclass(declared, enum.Enum):
        return _choices([member.value for member in declared])
    if dataclasses.is_dataclass(declared):
        return Allowed(
            "a table of settings",
            "tables of settings",
            lambda value: isinstance(value, Mapping | declared),
        )
    return _ANYTHING


def _one_of(kinds: Iterable[Allowed], declared: Iterable[Any]) -> Allowed:
    """Any of several; null too where it is among the declared types."""
    members = list({kind.words: kind for kind in kinds}.values())
    none = type(None) in declared
    words = [kind.words for kind in members] + (["null"] if none else [])
    return Allowed(
        listed(words),
        listed([kind.several for kind in members]),
        lambda value: (none and value is None) or any(kind.takes(value) for kind in members),
    )


def _apart(declared: Iterable[Any]) -> Iterator[Any]:
    """The members of a union, each choice by itself, so that all are listed alike."""
    for each in declared:
        if get_origin(each) is Literal:
            yield from (Literal[value] for value in get_args(each))
        elif each is not type(None):
            yield each


def listed(words: Iterable[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _choices(values: Iterable[Any]) -> Allowed:
    known = tuple(values)
    words = listed([shown(value) for value in known])
    return Allowed(words, words, lambda value: value in known)


def _number(kind: type, bounds: Iterable[Any]) -> Allowed:
    limits = _limits(bounds)
    words, several = ("a whole number", "whole numbers") if kind is int else ("a number", "numbers")
    extent = _extent(limits)
    return Allowed(
        f"{words} {extent}".strip(),
        f"{several} {extent}".strip(),
        lambda value: (
            isinstance(value, int if kind is int else int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and all(_WITHIN[name](value, limit) for name, limit in limits.items())
        ),
    )


_WITHIN: Mapping[str, Callable[[Any, Any], bool]] = {
    "ge": lambda value, limit: value >= limit,
    "gt": lambda value, limit: value > limit,
    "le": lambda value, limit: value <= limit,
    "lt": lambda value, limit: value < limit,
}


def _limits(bounds: Iterable[Any]) -> dict[str, Any]:
    """By pydantic's names, from bounds and from fields that hold some."""
    flat = [each for bound in bounds for each in getattr(bound, "metadata", [bound])]
    return {name: getattr(each, name) for each in flat for name in _WITHIN if hasattr(each, name)}


def _extent(limits: Mapping[str, Any]) -> str:
    low = f"above {limits['gt']}" if "gt" in limits else ""
    if "ge" in limits:
        low = f"from {limits['ge']}"
    if "le" in limits:
        return f"{low} to {limits['le']}" if low else f"up to {limits['le']}"
    if "lt" in limits:
        joint = "to" if "ge" in limits else "and"
        return f"{low} {joint} below {limits['lt']}" if low else f"below {limits['lt']}"
    return f"{low} on" if "ge" in limits else low


def _list(of: Allowed) -> Allowed:
    return Allowed(
        f"a list of {of.several}",
        f"lists of {of.several}",
        lambda value: isinstance(value, list | tuple) and all(map(of.takes, value)),
    )


def _table(of: Allowed) -> Allowed:
    return Allowed(
        f"a table of {of.several}",
        f"tables of {of.several}",
        lambda value: isinstance(value, Mapping) and all(map(of.takes, value.values())),
    )


_ANYTHING = Allowed("something else", "values", lambda _: True)
_PLAIN: Mapping[Any, Allowed] = {
    bool: Allowed("true or false", "true or false", lambda value: isinstance(value, bool)),
    str: Allowed("a text", "texts", lambda value: isinstance(value, str)),
}
