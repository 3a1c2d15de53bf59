"""Reads a domain from a folder with `domain.toml` and its data: a plugin without Python."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from adapter_platform.core.data.uris import split_uri
from adapter_platform.core.errors import PlatformError, PluginError, SchemeError, unknown
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.registry import Domain, Step

from ..hookspecs import hookimpl
from ..intake import check, check_splits

T = TypeVar("T")
FILE = "domain.toml"
KEYS = (
    "name",
    "description",
    "languages",
    "data",
    "scheme",
    "recipe",
    "postprocess",
    "columns",
)
FILE_SOURCES = ("csv", "tsv", "jsonl", "parquet")


class FolderPlugin:
    """A folder as a plugin that brings one domain.

    Args:
        schemes: label schemes that `domain.toml` may name, looked up when the hook is called.
    """

    def __init__(self, folder: Path, schemes: Mapping[str, LabelScheme]) -> None:
        self.folder = folder
        self._schemes = schemes

    @hookimpl
    def domains(self) -> list[Domain]:
        return [read_domain_folder(self.folder, self._schemes)]


def read_domain_folder(path: Path, schemes: Mapping[str, LabelScheme] | None = None) -> Domain:
    """The domain that ``path/domain.toml`` describes; its data paths become absolute URIs.

    Args:
        schemes: label schemes that the file may name with ``scheme = "name"``.

    Raises:
        PluginError, SchemeError, RecipeError: something in the file cannot be; the sentence begins
            with the file.
    """
    file = Path(path).absolute() / FILE
    where = str(file)
    table = _table(file)
    _known(where, "setting", table, KEYS)
    name = table.get("name")
    if not isinstance(name, str) or not name:
        raise PluginError(f"{where}: a domain needs a 'name'", 'for example: name = "tickets"')
    languages = table.get("languages", [])
    if not isinstance(languages, list) or not all(isinstance(x, str) for x in languages):
        raise PluginError(f'{where}: \'languages\' must be a list such as ["zh", "en"]')
    domain = Domain(
        name=name,
        data=_data(where, file.parent, table.get("data")),
        description=_text(where, "description", table.get("description", "")),
        scheme=_scheme(where, table.get("scheme"), schemes or {}),
        recipe=_recipe(where, table.get("recipe", {})),
        postprocess=tuple(_steps(where, table.get("postprocess", []))),
        columns=_columns(where, table.get("columns", {})),
        languages=tuple(languages),
    )
    _in_file(where, lambda: check("domains", name, domain))
    return domain


def _table(file: Path) -> dict[str, Any]:
    try:
        # Editors on Windows put a byte-order mark in front.
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise PluginError(f"the folder {file.parent} has no {FILE}") from error
    except OSError as error:
        raise PluginError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PluginError(
            f"{file} is not UTF-8: byte {error.start} cannot be read", "save it as UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise PluginError(f"{file} is not TOML: {error}") from error


def _known(where: str, kind: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in table:
        if key not in known:
            found = unknown(kind, key, known, PluginError)
            raise PluginError(f"{where}: {found.message}", found.hint)


def _text(where: str, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise PluginError(f"{where}: {key!r} must be a text")
    return value


def _data(where: str, folder: Path, data: Any) -> dict[str, str]:
    if data is None:
        raise PluginError(f"{where}: a domain needs a [data] table", '[data] and train = "x.csv"')
    check_splits(where, data)
    return {split: _uri(where, folder, split, location) for split, location in data.items()}


def _uri(where: str, folder: Path, split: str, location: str) -> str:
    """`location` as an absolute URI; URIs of other than plain files stay as they are."""
    scheme, rest = split_uri(location)
    if scheme not in FILE_SOURCES:
        if scheme and not (folder / location).is_file():
            return location
        scheme, rest = "", location
    file = folder / rest
    if not file.is_file():
        what = "is not a file" if file.exists() else "is not there"
        raise PluginError(f"{where}: the {split} data {rest!r} {what}", f"it would be {file}")
    return f"{scheme}:{file}" if scheme else str(file)


def _scheme(where: str, scheme: Any, schemes: Mapping[str, LabelScheme]) -> LabelScheme | None:
    if scheme is None:
        return None
    if isinstance(scheme, str):
        if scheme not in schemes:
            found = unknown("label scheme", scheme, schemes, SchemeError)
            raise SchemeError(f"{where}: {found.message}", found.hint)
        return schemes[scheme]
    if not isinstance(scheme, dict):
        raise SchemeError(f"{where}: 'scheme' is a table, or the name of a registered scheme")
    return _in_file(where, lambda: LabelScheme.from_dict(scheme, FILE))


def _recipe(where: str, recipe: Any) -> dict[str, Any]:
    if not isinstance(recipe, dict):
        raise PluginError(f"{where}: 'recipe' must be a table of settings")
    return recipe


def _steps(where: str, steps: Any) -> Iterable[Step]:
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise PluginError(f"{where}: post-processing steps are written as [[postprocess]] tables")
    for step in steps:
        extra = sorted(set(step) - {"name", "settings"})
        if extra:
            raise PluginError(
                f"{where}: a post-processing step has a 'name' and 'settings', not {extra[0]!r}",
                f"settings = {{ {extra[0]} = ... }}",
            )
        if not isinstance(step.get("name"), str):
            raise PluginError(f"{where}: each post-processing step needs a 'name'")
        settings = step.get("settings", {})
        if not isinstance(settings, dict):
            raise PluginError(f"{where}: 'settings' of the step {step['name']!r} must be a table")
        yield Step(step["name"], settings)


def _columns(where: str, columns: Any) -> dict[str, str]:
    if not isinstance(columns, dict) or not all(isinstance(v, str) for v in columns.values()):
        raise PluginError(f"{where}: 'columns' maps roles to columns, as in text = \"question\"")
    return columns


def _in_file(where: str, read: Callable[[], T]) -> T:
    """What `read` returns; an error of ours begins with the file."""
    try:
        return read()
    except PlatformError as error:
        raise type(error)(f"{where}: {error.message}", error.hint) from error
