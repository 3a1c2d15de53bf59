"""JSON Lines: one object a line; and a `.json` file that holds a list of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adapter_platform.core.errors import DataError
from adapter_platform.core.registry import BadRow, Record

from .lines import Line, read_lines


class JsonlSource:
    """``jsonl:FILE``: UTF-8, one JSON object a line; the objects' keys name the columns.

    A ``.json`` file may hold a list of objects instead; that alone is read whole.
    """

    name = "jsonl"
    suffixes: tuple[str, ...] = (".jsonl", ".ndjson", ".json")

    def read(self, location: str) -> Iterator[Record | BadRow]:
        """See `DataSource.read`. Memory does not grow with a file of lines."""
        lines = read_lines(location)
        if Path(location).suffix.lower() == ".json":
            yield from _json_file(location, lines)
        else:
            yield from _json_lines(location, lines)


def _json_lines(location: str, lines: Iterator[Line]) -> Iterator[Record | BadRow]:
    blank: list[int] = []
    for line in lines:
        if not line.text.strip() and line.problem is None:
            blank = [*blank[:1], line.number]
            continue
        if blank:  # empty lines at the end are no rows; between rows someone may have meant one
            span = f"lines {blank[0]} to {blank[-1]} are" if len(blank) > 1 else "the line is"
            yield BadRow(f"{location}:{blank[0]}", f"{span} empty")
            blank = []
        where = f"{location}:{line.number}"
        if line.problem is not None:
            yield BadRow(where, line.problem)
            continue
        try:
            value = _parse(line.text.rstrip())
        except ValueError as error:
            yield BadRow(where, _explained(error))
        else:
            yield _row(where, value)


def _json_file(location: str, lines: Iterator[Line]) -> Iterator[Record | BadRow]:
    held = []
    for line in lines:
        held.append(line)
        if line.text.strip():
            break
    start = held[-1].text.lstrip()[:1] if held else ""
    if start == "{" and _is_object(held[-1].text):  # JSON Lines under another suffix
        yield from _json_lines(location, _chained(held, lines))
        return
    if start != "[":
        raise DataError(
            f"{location} holds neither a list of objects nor one object a line",
            "a .json file of rows looks like [{...}, {...}]",
        )
    held.extend(lines)
    problem = next((line for line in held if line.problem), None)
    if problem is not None:
        raise DataError(f"{location}:{problem.number}: {problem.problem}")
    try:
        rows = _parse("".join(line.text for line in held))
    except ValueError as error:
        raise DataError(f"{location} is not JSON: {_explained(error)}") from error
    for number, value in enumerate(rows, 1):
        yield _row(f"{location}:item {number}", value)


def _chained(held: list[Line], lines: Iterator[Line]) -> Iterator[Line]:
    yield from held
    yield from lines


def _is_object(text: str) -> bool:
    try:
        return isinstance(_parse(text), dict)
    except ValueError:
        return False


def _parse(text: str) -> Any:
    """The JSON value. Raises `ValueError`, also for what Python's reader fails on otherwise."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        if "int_max_str_digits" in str(error):
            raise ValueError("a number has too many digits") from None
        raise


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice")
    return found


def _row(where: str, value: Any) -> Record | BadRow:
    if isinstance(value, dict):
        return Record(where, value)
    kinds = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return BadRow(where, f"it holds {kinds.get(type(value), 'a number')}, not an object")


def _explained(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        place = f"line {error.lineno}, column" if error.lineno > 1 else "column"
        return f"this is not JSON: {error.msg} ({place} {error.colno})"
    return f"this is not JSON that can be used: {error}"
