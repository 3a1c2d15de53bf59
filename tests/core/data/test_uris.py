"""Rows by URI: a source that fails otherwise than sources may is said in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapter_platform.core.data.uris import open_rows
from adapter_platform.core.errors import DataError, PluginError
from adapter_platform.core.registry import BadRow, Brought, Record, Registry, Rows

ROWS = [Record("odd:1", {"text": "one"}), BadRow("odd:2", "no text")]


class Odd:
    """A source whose `read` is what it is given."""

    name = "odd"
    suffixes = (".odd",)

    def __init__(self, read: Callable[[str], Any]) -> None:
        self.read = read


def opened(uri: str, read: Callable[[str], Any]) -> Rows:
    return open_rows(uri, Registry(sources={"odd": Brought(Odd(read), "acme", "1.0")}))[0]


def raises_at_once(location: str) -> Any:
    raise KeyError("url")


def raises_later(location: str) -> Iterator[Any]:
    yield ROWS[0]
    raise KeyError("url")


def refuses(location: str) -> Iterator[Any]:
    raise DataError(f"{location} is no place", "try another")
    yield


@pytest.mark.parametrize("uri", ["odd:x.odd", "x.odd"])
def test_rows_come_as_the_source_reads_them(uri: str) -> None:
    assert list(opened(uri, lambda _: ROWS)) == ROWS


@pytest.mark.parametrize("rows", [ROWS, []])
def test_columns_that_the_source_knows_are_known_once_a_row_was_asked_for(rows: Any) -> None:
    found = opened("odd:x", lambda _: Rows(iter(rows), ["id", "text"]))
    next(found, None)
    assert list(found.columns) == ["id", "text"]


@pytest.mark.parametrize("uri", ["odd:x.odd", "x.odd"])
@pytest.mark.parametrize("read", [raises_at_once, raises_later])
def test_whatever_a_source_raises_is_a_sentence_with_its_plugin(uri: str, read: Any) -> None:
    with pytest.raises(PluginError) as caught:
        list(opened(uri, read))
    assert caught.value.message == (
        "the data source 'odd' of the plugin 'acme' failed on 'x.odd': KeyError: 'url'"
    )


def test_what_a_source_says_itself_stays_as_it_is() -> None:
    with pytest.raises(DataError, match=r"^x is no place$"):
        list(opened("odd:x", refuses))


def test_a_source_that_yields_something_else_is_named() -> None:
    with pytest.raises(PluginError, match="'odd' of the plugin 'acme' yields a dict, not a Record"):
        list(opened("odd:x", lambda _: [{"text": "one"}]))
