"""What an adapter may be called, and how a request names one: ``NAME`` or ``NAME@VERSION``."""

from __future__ import annotations

import re
import unicodedata

from ..errors import UsageError

LONGEST = 64
LONGEST_BYTES = 255  # what common file systems take for one name
RESERVED = frozenset({"current", "auto"})  # the pointer's file, and `--adapter auto`
DEVICES = frozenset({"con", "prn", "aux", "nul"})  # files of these names cannot exist on Windows
VERSION = re.compile(r"[1-9][0-9]{0,8}")


def composed(name: str) -> str:
    """The name in Unicode's composed form (NFC): the one form under which it is stored."""
    return unicodedata.normalize("NFC", name)


def check_name(name: str) -> str:
    """The composed name, fit to be a directory's.

    Letters and digits of any script, and ``.``, ``_`` and ``-``; 64 characters at most.

    Raises:
        UsageError: an adapter cannot have this name.
    """
    stored = composed(name)
    reason = _refusal(stored)
    if reason:
        raise UsageError(
            f"an adapter cannot be named {name!r}: {reason}",
            "use letters and digits of any script, '.', '_' and '-'",
        )
    return stored


def parse_reference(reference: str) -> tuple[str, int | None]:
    """``support@3`` as name and version; the version is None where only a name is given.

    The name is composed but not checked: to a reader a name that cannot be is one that nobody has.

    Raises:
        UsageError: what follows the ``@`` is not a version.
    """
    name, at, version = composed(reference).partition("@")
    if not at:
        return name, None
    if not VERSION.fullmatch(version):
        raise UsageError(
            f"{reference!r} does not name a version", "write NAME@VERSION, for example support@3"
        )
    return name, int(version)


def _refusal(name: str) -> str | None:
    if not name:
        return "a name needs at least one character"
    if len(name) > LONGEST or len(name.encode("utf-8", "replace")) > LONGEST_BYTES:
        return f"a name has at most {LONGEST} characters"
    if name.casefold() in RESERVED | DEVICES:
        return "the name is reserved"
    if not name[0].isalnum():
        return "a name starts with a letter or a digit"
    wrong = next((c for c in name if not _allowed(c)), None)
    return None if wrong is None else f"{wrong!r} is not allowed"


def _allowed(character: str) -> bool:
    # Vowel signs of Hindi, Thai and others are marks (M), not letters, and words need them.
    return character.isalnum() or character in "._-" or unicodedata.category(character)[0] == "M"
