"""What is asked: each text with the adapter that its name means, looked up once a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from .errors import UsageError
from .routing.profile import HOW_TO_PROFILE, has_profile
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


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The adapters that ``auto`` chooses among, as they were when the request came in.

    Attributes:
        reference: ``auto`` for all of them in their current versions, or ``auto:NAME,NAME``.
        key: equal for candidates of equal content.
    """

    reference: str
    sources: tuple[AdapterSource, ...]
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Open:
    """One text whose adapter is to be found by it."""

    text: str
    candidates: Candidates


class Names:
    """What adapters' names mean to one request: to its end what they meant at first.

    Args:
        default: who answers where no adapter is named and the store has several; None: nobody.
    """

    def __init__(self, store: Store, default: str | None) -> None:
        self._store = store
        self._default = default
        self._seen: dict[str | None, AdapterSource | Candidates] = {}

    def asked(self, text: str, name: str | None) -> Asked | Open:
        """The text, and who answers it or may. Raises as `meaning`."""
        meant = self.meaning(name)
        return Open(text, meant) if isinstance(meant, Candidates) else Asked(text, meant)

    def source(self, name: str | None) -> AdapterSource:
        """The adapter of this name; None: the only one there is, else the default.

        Raises:
            UsageError: no adapter is named and none can be taken, or ``auto`` is.
            AdapterNotFound: no adapter has this name; the hint is the nearest.
        """
        if name is not None and names_of_auto(name) is not None:
            raise self._no_adapter(name)
        meant = self.meaning(name)
        if isinstance(meant, Candidates):
            raise self._no_adapter(meant.reference)
        return meant

    def meaning(self, name: str | None) -> AdapterSource | Candidates:
        """As `source`; for ``auto`` every adapter that there is, for ``auto:a,b`` those two.

        Raises:
            UsageError: no adapter is named and none can be taken, or ``auto`` has none to choose.
            AdapterNotFound: no adapter has this name; the hint is the nearest.
        """
        if name not in self._seen:
            if name is None:
                self._seen[name] = self.meaning(self._unnamed())
            else:
                among = names_of_auto(name)
                self._seen[name] = (
                    self._store.resolve(name) if among is None else self._candidates(name, among)
                )
        return self._seen[name]

    def _candidates(self, reference: str, among: Sequence[str]) -> Candidates:
        sources = [self._store.resolve(name) for name in among] or self._store.sources()
        if not sources:
            raise UsageError("there are no adapters yet", self._choices(()))
        if not any(has_profile(source.manifest) for source in sources):
            raise UsageError(
                f"{reference!r} has no adapter to choose: none has a routing profile",
                HOW_TO_PROFILE,
            )
        key = tuple(source.content_hash for source in sources)
        return Candidates(reference, tuple(sources), key)

    def _no_adapter(self, reference: str) -> UsageError:
        return UsageError(
            f"{reference!r} is no adapter: it finds one for each text",
            self._choices(self._store.names()),
        )

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


def names_of_auto(name: str) -> list[str] | None:
    """The names in ``auto:NAME,NAME``; none for ``auto``, which means all; None for an adapter's.

    Raises:
        UsageError: a name in the list is empty.
    """
    head, colon, rest = name.partition(":")
    if head != AUTO:
        return None
    names = [part.strip() for part in rest.split(",")] if colon else []
    if not all(names):
        raise UsageError(f"{name!r} lacks a name", "write auto:NAME,NAME, or auto alone for all")
    return names


def pair(texts: Any, adapter: str | Sequence[str] | None, names: Names) -> list[Asked | Open]:
    """Texts with one adapter for all, or with one for each.

    Raises:
        UsageError: they are no texts, or not as many as there are adapters.
        as `Names.meaning`.
    """
    checked = check_texts(texts)
    if adapter is None or isinstance(adapter, str):
        return [names.asked(text, adapter) for text in checked]
    if len(adapter) != len(checked):
        raise UsageError(
            f"texts and adapters differ in number: {len(checked)} and {len(adapter)}",
            "give one adapter for all texts, or one for each",
        )
    return [names.asked(text, name) for text, name in zip(checked, adapter, strict=True)]


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
