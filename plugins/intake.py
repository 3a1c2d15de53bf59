"""Checks what registration hooks return, so that a plugin's slip is its author's sentence.

A wrong object would otherwise fail far from its cause, in the middle of a training run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from adapter_platform.core.data.columns import check_settings
from adapter_platform.core.data.example import ALL, SPLITS
from adapter_platform.core.errors import PlatformError, PluginError, UsageError, unknown
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.registry import BaseModel, Domain, Step
from adapter_platform.core.store.names import check_name

DATA_KEYS = (*SPLITS, ALL)
"""Keys of a domain's data; ``all`` leaves the split to the data's own column or the platform."""

_URI_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+")  # two letters at least: "C:" is a drive
_NAME = re.compile(r"[^\s/\\@:]+")
_BASE_ID = re.compile(r"[^\s@]+")


def items(hook: str, returned: Any) -> Iterator[tuple[str, Any]]:
    """(name, thing) for each thing that the registration hook `hook` returned.

    Raises:
        PluginError: the whole is not of the form that the hook asks for.
    """
    if hook == "label_schemes":
        if not isinstance(returned, Mapping):
            raise PluginError(f"{hook}() must return a mapping from names to schemes")
        yield from returned.items()
        return
    if isinstance(returned, str | Mapping) or not isinstance(returned, Iterable):
        raise PluginError(f"{hook}() must return a list, not {type(returned).__name__}")
    for item in returned:
        if isinstance(item, type):
            raise PluginError(f"{hook}() returned the class {item.__name__}, not an instance of it")
        yield getattr(item, "name", ""), item


def check(hook: str, name: Any, item: Any) -> None:
    """That one thing is what `hook` promises. Raises `PlatformError` with a sentence."""
    _CHECKS[hook](name, item)


def _source(name: Any, source: Any) -> None:
    _named("data source", name, _URI_SCHEME, "two or more small letters or digits, as in 'csv'")
    suffixes = getattr(source, "suffixes", None)
    if not isinstance(suffixes, tuple | list) or not all(
        isinstance(s, str) and s.startswith(".") and s == s.lower() for s in suffixes
    ):
        raise PluginError(f"the data source {name!r} needs 'suffixes' such as ('.csv',), or ()")
    _method("data source", name, source, "read")


def _scheme(name: Any, scheme: Any) -> None:
    _named("label scheme", name, _NAME)
    _instance("label scheme", name, scheme, LabelScheme)


def _postprocessor(name: Any, step: Any) -> None:
    _named("post-processor", name, _NAME)
    _method("post-processor", name, step, "build")


def _base(name: Any, base: Any) -> None:
    _instance("base model", name, base, BaseModel)
    _named("base model", name, _BASE_ID, "text without spaces")
    _method("base model", name, base, "fetch")


def _domain(name: Any, domain: Any) -> None:
    _instance("domain", name, domain, Domain)
    if not isinstance(name, str):
        raise PluginError(f"a domain cannot be named {name!r}")
    try:
        check_name(name)
    except UsageError as error:
        raise PluginError(
            f"a domain cannot be named {name!r}: {error.message}", error.hint
        ) from error
    check_splits(f"the domain {name!r}", domain.data)
    if domain.scheme is not None:
        _instance("label scheme of the domain", name, domain.scheme, LabelScheme)
    steps = domain.postprocess
    if not isinstance(steps, tuple | list) or not all(isinstance(step, Step) for step in steps):
        raise PluginError(f"each post-processing step of the domain {name!r} must be a Step")
    for step in steps:
        _table(f"settings of the step {step.name!r} of the domain", name, step.settings)
    _table("columns of the domain", name, domain.columns)
    if not all(isinstance(column, str) for column in domain.columns.values()):
        raise PluginError(
            f"the columns of the domain {name!r} must be texts, as in {{'text': 'question'}}"
        )
    _in_domain(name, lambda: check_settings(domain.columns))
    _table("recipe of the domain", name, domain.recipe)
    if domain.recipe:  # the model of recipes takes a moment to import, and most domains have none
        from adapter_platform.core.training.recipe import make_recipe

        _in_domain(name, lambda: make_recipe(domain.recipe))


_CHECKS: Mapping[str, Callable[[Any, Any], None]] = {
    "data_sources": _source,
    "label_schemes": _scheme,
    "postprocessors": _postprocessor,
    "base_models": _base,
    "domains": _domain,
}


def check_splits(where: str, data: Any) -> None:
    """That a domain's data names a training split or ``all``, and no split that there is not."""
    if not isinstance(data, Mapping) or not all(isinstance(v, str) for v in data.values()):
        raise PluginError(f"{where}: 'data' must map splits to texts such as 'train.csv'")
    for split in data:
        if split not in DATA_KEYS:
            found = unknown("data split", str(split), DATA_KEYS, PluginError)
            raise PluginError(f"{where}: {found.message}", found.hint)
    if ("all" in data) == ("train" in data) or ("all" in data and len(data) > 1):
        raise PluginError(
            f"{where}: 'data' needs a 'train' split, or 'all' and nothing else",
            "'val' and 'test' may stand beside 'train'; without them the platform makes its own",
        )


def _table(kind: str, name: Any, table: Any) -> None:
    if not isinstance(table, Mapping) or not all(isinstance(key, str) for key in table):
        raise PluginError(f"the {kind} {name!r} must be a mapping from names to values")


def _in_domain(name: str, read: Callable[[], object]) -> None:
    """Calls `read`; an error of ours begins with the domain."""
    try:
        read()
    except PlatformError as error:
        raise type(error)(f"the domain {name!r}: {error.message}", error.hint) from error


def _named(
    kind: str,
    name: Any,
    pattern: re.Pattern[str],
    rule: str = "text without spaces, slashes, ':' or '@'",
) -> None:
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise PluginError(f"a {kind} cannot be named {name!r}", f"a name is {rule}")


def _instance(kind: str, name: Any, item: Any, wanted: type) -> None:
    if not isinstance(item, wanted):
        raise PluginError(
            f"the {kind} {name!r} is a {type(item).__name__}, not a {wanted.__name__}"
        )


def _method(kind: str, name: str, item: Any, method: str) -> None:
    if not callable(getattr(item, method, None)):
        raise PluginError(f"the {kind} {name!r} has no {method}() to call")
