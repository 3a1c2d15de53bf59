"""A unigram tokenizer.json in a form that loads in milliseconds, and the ids that it gives.

The form is a directory below the cache, derived once (`deriving`); its name changes with the files
that it is derived from, so it is never out of date.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .normaliser import Breaks, Charsmap, Normaliser
from .unigram import Unigram

FORM = 1
SOURCES = ("tokenizer.json", "tokenizer_config.json")
SETTINGS, CHARSMAP, ARRAYS = "plain.json", "charsmap.bin", ("pieces", "scores", "ids")
SPACE = "\u2581"
WORD = re.compile(f"{SPACE}[^{SPACE}]*")
# What Rust calls white space; Python's \s has four more.
CHUNK = re.compile("[^\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")


@dataclass(frozen=True, slots=True)
class Special:
    """Ids that a tokenizer puts before and after a text, and the one for what it does not know."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    unknown: int | None


class PlainTokenizer:
    """The ids of `tokenizers`, or None: exact in all that it answers. Threads may share it.

    For a few short texts; a process that reads many is better served by `tokenizers`.
    """

    def __init__(
        self, settings: dict[str, Any], charsmap: Charsmap, arrays: dict[str, Any]
    ) -> None:
        special = settings["special"]
        self.special = Special(
            tuple(special["before"]), tuple(special["after"]), special["unknown"]
        )
        breaks = Breaks(**{name: tuple(bounds) for name, bounds in settings["breaks"].items()})
        self._normalise = Normaliser(charsmap, breaks)
        self._unigram = Unigram(**arrays, **settings["model"])
        self._spaces = settings["spaces"]  # what stands for two spaces or more; None: they stay
        self._in_chunks = settings["in_chunks"]
        self._added = tuple(settings["added"])

    def ids(self, text: str, enough: int) -> list[int] | None:
        """Ids without special tokens, at least the first `enough` of them.

        None: the text holds what only `tokenizers` reads with certainty, as a special token does.
        """
        normalised = self._normalise(text)
        if normalised is None or "\0" in text:
            return None
        if any(token in text or token in normalised for token in self._added):
            return None
        if self._spaces is not None:
            normalised = re.sub(" {2,}", self._spaces, normalised)
        ids: list[int] = []
        for word in self._words(normalised):
            ids += self._unigram(word)
            if len(ids) >= enough:
                break
        return ids

    def _words(self, text: str) -> Iterator[str]:
        """Each begins with the sign for a space, and has no other."""
        for chunk in CHUNK.findall(text) if self._in_chunks else [text] * bool(text):
            marked = chunk.replace(" ", SPACE)
            yield from WORD.findall(marked if marked.startswith(SPACE) else SPACE + marked)


def place(directory: Path, cache: Path) -> Path:
    """Where the plain form of a model directory's tokenizer lies, if it has been derived."""
    spec = find_spec("tokenizers")
    files = [directory / name for name in SOURCES]
    library = [Path(spec.origin)] if spec and spec.origin else []
    stamps = [_stamp(file) for file in files + library]
    source, state = (_digest(part) for part in (str(directory), json.dumps([FORM, stamps])))
    return cache / "tokenizers" / f"{source}-{state}"


def load(form: Path) -> PlainTokenizer | None:
    """What was derived; None where nothing was, or the tokenizer is of another kind."""
    import numpy as np

    try:
        settings = json.loads((form / SETTINGS).read_bytes())
        if "unread" in settings:
            return None
        charsmap = Charsmap((form / CHARSMAP).read_bytes())
        # np.memmap's own indexing is slow.
        maps = {name: np.load(form / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        arrays = {name: array.view(np.ndarray) for name, array in maps.items()}
        return PlainTokenizer(settings, charsmap, arrays)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _stamp(file: Path) -> list[int]:
    try:
        status = os.stat(file)  # noqa: PTH116 - Path.stat is twice as slow
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
