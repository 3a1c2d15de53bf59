"""Texts to token ids, and whether a base can read what it was given."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BaseUnavailable, DataError
from .predictions import Notice

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from .bases import Base
    from .tokenizer.plain import Special

TOKENIZER = "tokenizer.json"
PLAIN_BYTES = 16_384  # read by then in a fraction of the time that `tokenizers` takes to load
# A text's first tokens lie in its first characters; tokenising megabytes to drop them is waste.
CHARACTERS_A_TOKEN = 64
WINDOWS = 64  # on one text; what follows the last does not count
UNKNOWN_SHARE = 0.2
FOREIGN_SHARE = 0.3
TOKEN_EXCESS = 2.0
UNNAMED_SCRIPTS = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "FULLWIDTH": "CJK", "HALFWIDTH": "CJK"}


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text as ids, special tokens included.

    Attributes:
        ids: of the text's beginning.
        truncated: the text had more tokens than were kept.
        unknown: how many of `ids` are the unknown token.
        special: how many of the ids frame the text, such as ``[CLS]`` and ``[SEP]``.
        further: windows on what follows the beginning, each of at most as many ids.
    """

    ids: tuple[int, ...]
    truncated: bool
    unknown: int
    special: int
    further: tuple[tuple[int, ...], ...] = ()

    @property
    def inner(self) -> int:
        """Tokens of the text itself, as far as `ids` goes."""
        return len(self.ids) - self.special


class TextEncoder:
    """A base's tokenizer. It keeps no settings that a call changes, so threads may share it.

    `tokenizers` takes most of a second to load a vocabulary of 250,000. So a process's first texts,
    up to `PLAIN_BYTES`, are read by a plain form of it where there is one, to the same ids.

    Args:
        cache: where the plain form is kept once it has been derived; None: none is used.
    """

    def __init__(self, base: Base, cache: Path | None = None) -> None:
        from .tokenizer import plain

        self._path = base.path
        form = plain.place(base.path, cache) if cache else None
        self._plain = plain.load(form) if form else None
        self._plain_bytes = PLAIN_BYTES  # that it may still read
        special = self._plain.special if self._plain else _special(self._full, base.path)
        self._before, self._after, self._unknown = special.before, special.after, special.unknown
        self.limit = min(base.max_positions, _positions(base.path) or base.max_positions)
        if form and not form.exists():
            from .tokenizer.deriving import derive

            derive(self._full, special, base.path / TOKENIZER, form)

    @cached_property
    def _full(self) -> Tokenizer:
        return _load(self._path)

    def encode(
        self, texts: Sequence[str], max_length: int, stride: int | None = None
    ) -> list[Encoded]:
        """Ids of each text, at most `max_length` with special tokens.

        Args:
            stride: tokens that each window on a longer text shares with the one before, as
                transformers' tokenizers understand it; None: there is but the first window.

        Raises:
            DataError: a text is not valid Unicode.
        """
        special = len(self._before) + len(self._after)
        room = max(0, min(max_length, self.limit) - special)
        step = 0 if stride is None else max(1, room - stride)
        reach = room + (WINDOWS - 1) * step
        characters = reach * CHARACTERS_A_TOKEN
        cut = [text[:characters] for text in texts]
        result = []
        for text, ids in zip(texts, self._ids(cut, reach + 1), strict=True):
            long = len(ids) > reach or len(text) > characters
            kept = self._window(ids[:room])
            further: tuple[tuple[int, ...], ...] = ()
            if step and len(ids) > room:
                starts = range(step, min(len(ids), reach) - room + step, step)
                further = tuple(self._window(ids[start : start + room]) for start in starts)
            result.append(Encoded(kept, long, kept.count(self._unknown), special, further))
        return result

    def _window(self, ids: Sequence[int]) -> tuple[int, ...]:
        return (*self._before, *ids, *self._after)

    def _ids(self, texts: Sequence[str], enough: int) -> list[list[int]]:
        """Each text's ids, or at least the first `enough` of them, without special tokens."""
        try:
            self._plain_bytes -= sum(len(text.encode()) for text in texts)
        except UnicodeEncodeError as error:
            raise DataError(f"a text is not valid Unicode: {error}") from error
        if self._plain and self._plain_bytes >= 0:
            found = [self._plain.ids(text, enough) for text in texts]
            sure = [ids for ids in found if ids is not None]
            if len(sure) == len(found):
                return sure
        return [e.ids for e in self._full.encode_batch_fast(texts, add_special_tokens=False)]


def unreadable(
    text: str, encoded: Encoded, base: Base, tokens_per_character: float
) -> tuple[Notice, ...]:
    """Reasons why this base may not be able to read a text.

    Args:
        tokens_per_character: the adapter's training texts' 99th percentile; 0: not known.
    """
    notices = []
    foreign = _foreign_scripts(text, base.scripts)
    if foreign:
        notices.append(
            Notice(
                "script",
                f"the base {base.id!r} does not read {' and '.join(foreign)} text, so the answer "
                "is a guess",
            )
        )
    inner = max(1, encoded.inner)
    if encoded.unknown / inner > UNKNOWN_SHARE:
        notices.append(
            Notice(
                "unknown_tokens",
                f"{encoded.unknown} of {inner} tokens are unknown to the base {base.id!r}",
            )
        )
    characters = written(text)
    dense = inner / max(1, characters)
    whole = not encoded.truncated and not encoded.further
    known = tokens_per_character > 0 and characters >= 8 and whole
    # A sign of what the other two say outright.
    if not notices and known and dense > TOKEN_EXCESS * tokens_per_character:
        notices.append(
            Notice(
                "token_density",
                f"{dense:.1f} tokens a character, where the adapter was trained on "
                f"{tokens_per_character:.1f} at most: the text may not be readable for it",
            )
        )
    return tuple(notices)


def written(text: str) -> int:
    """Characters of a text that are no white space."""
    return len("".join(text.split()))


def _foreign_scripts(text: str, scripts: Sequence[str]) -> list[str]:
    """Scripts outside `scripts` that make up a good part of the text's letters, by name."""
    if not scripts or text.isascii():
        return []
    counts: dict[str, int] = {}
    for character in text[:2000]:
        if character.isalpha():
            name = _script(character)
            counts[name] = counts.get(name, 0) + 1
    foreign = {name: n for name, n in counts.items() if name not in scripts}
    if sum(foreign.values()) <= FOREIGN_SHARE * sum(counts.values()):
        return []
    return [_script_title(name) for name in sorted(foreign, key=lambda n: -foreign[n])[:2]]


def script_title(character: str) -> str:
    """The script of a letter, for people: Latin, Cyrillic, Chinese or Japanese."""
    return _script_title(_script(character))


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    """The script's name as Unicode character names begin, with Japanese and Chinese as one."""
    first = unicodedata.name(character, "UNKNOWN").split()[0].split("-")[0]
    return UNNAMED_SCRIPTS.get(first, first)


def _script_title(name: str) -> str:
    return {"CJK": "Chinese or Japanese", "HANGUL": "Korean"}.get(name, name.capitalize())


def _load(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    file = path / TOKENIZER
    if file.is_file():
        try:
            tokenizer = Tokenizer.from_file(str(file))
        # tokenizers raises a bare Exception for a file that it cannot parse.
        except Exception as error:
            raise BaseUnavailable(f"{file} is not a tokenizer: {error}") from error
    else:
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(str(path)).backend_tokenizer
        except (OSError, ValueError, AttributeError) as error:
            raise BaseUnavailable(f"{path} has no tokenizer that loads: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _special(tokenizer: Tokenizer, path: Path) -> Special:
    from .tokenizer.plain import Special

    bare = tokenizer.encode("a", add_special_tokens=False).ids
    full = tokenizer.encode("a").ids
    at = next((i for i in range(len(full)) if full[i : i + len(bare)] == bare), 0)
    unknown = tokenizer.token_to_id(_unknown_token(path))
    return Special(tuple(full[:at]), tuple(full[at + len(bare) :]), unknown)


def _config(path: Path, name: str) -> dict[str, Any]:
    file = path / name
    data = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return data if isinstance(data, dict) else {}


def _unknown_token(path: Path) -> str:
    token = _config(path, "tokenizer_config.json").get("unk_token", "[UNK]")
    return str(token["content"]) if isinstance(token, dict) else str(token)


def _positions(path: Path) -> int | None:
    """`model_max_length` where it is a real limit, not transformers' 1e30 for none."""
    length = _config(path, "tokenizer_config.json").get("model_max_length")
    return int(length) if isinstance(length, int) and length < 1_000_000 else None
