"""What is asked: each text with the adapter that its name means, looked up once a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from .errors import UsageError
from .store.source import AdapterSource
from .store.store import Store

SHOWN = 12  # names in a hint
AUTO = "auto"  # no adapter can be called so

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """One text, and the adapter that its name meant when the request came in."""

    text: str
    source: AdapterSource


class Names:
    """What adapters' names mean to one request: to its end what they meant at first.

    Args:
        default: who answers where no adapter is named and the store has several; None: nobody.
    """

    def __init__(self, store: Store, default: str | None) -> None:
        self._store = store
        self._default = default
        self._seen: dict[str | None, AdapterSource] = {}

    def source(self, name: str | None) -> AdapterSource:
        """The adapter of this name; None: the only one there is, else the default.

        Raises:
            UsageError: no adapter is named and none can be taken, or one is to be found by text.
            AdapterNotFound: no adapter has this name; the hint is the nearest.
        """
        if name not in self._seen:
            wanted = self._unnamed() if name is None else name
            if wanted == AUTO:
                raise UsageError(
                    "this version does not find the adapter for a text by itself ('auto')",
                    self._choices(self._store.names()),
                )
            self._seen[name] = self._store.resolve(wanted)
        return self._seen[name]

    def _unnamed(self) -> str:
        names = self._store.names()
        if len(names) == 1:
            return names[0]
        if self._default:
            return self._default
        said = "it is not said which adapter to ask" if names else "there are no adapters yet"
        raise UsageError(said, self._choices(names))

    @staticmethod
    def _choices(names: Sequence[str]) -> str:
        if not names:
            return "train one: platform adapters train NAME --data FILE"
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        return f"choose one with --adapter or PLATFORM_DEFAULT_ADAPTER: {shown}"


def pair(texts: Any, adapter: str | Sequence[str] | None, names: Names) -> list[Asked]:
    """Texts with one adapter for all, or with one for each.

    Raises:
        UsageError: they are no texts, or not as many as there are adapters.
        as `Names.source`.
    """
    checked = check_texts(texts)
    if adapter is None or isinstance(adapter, str):
        return [Asked(text, names.source(adapter)) for text in checked]
    if len(adapter) != len(checked):
        raise UsageError(
            f"there are {len(checked)} texts and {len(adapter)} adapters",
            "give one adapter for all texts, or one for each",
        )
    return [Asked(text, names.source(name)) for text, name in zip(checked, adapter, strict=True)]


def check_texts(texts: Any) -> list[str]:
    """The texts of a list. Raises `UsageError` for what is none."""
    if not isinstance(texts, Sequence) or isinstance(texts, bytes):
        raise UsageError(f"texts must be a string or a list of them, not {type(texts).__name__}")
    return [check_text(text) for text in texts]


def check_text(text: Any) -> str:
    """The text. Raises `UsageError` for what is none."""
    if not isinstance(text, str):
        raise UsageError(f"a text must be a string, not {type(text).__name__}")
    return text


def parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` items, each read when it is wanted."""
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part
