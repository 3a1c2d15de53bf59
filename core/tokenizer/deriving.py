"""Derives the plain form from a tokenizer.json, once, where its pipeline is one that is known."""

from __future__ import annotations

import base64
import json
import logging
import shutil
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .normaliser import PICTOGRAPHS, Breaks, Charsmap
from .plain import CHARSMAP, SETTINGS, SPACE, Special
from .unigram import UNKNOWN_PENALTY

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)

LONGEST = 32  # characters in a piece, at most: looking up costs in proportion
PROBED = [*range(1, 0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0xE1000)]
"""Characters whose cluster boundaries are tried out; the others are private or unassigned."""


class Unread(Exception):
    """The tokenizer has a part that the plain form has not; the message says which."""


def derive(tokenizer: Tokenizer, special: Special, source: Path, form: Path) -> None:
    """Writes the plain form of `source`, a tokenizer.json, as the directory `form`, which is new.

    For a tokenizer of another kind, the directory only says so. A cache that cannot be written only
    costs loading the tokenizer each time.
    """
    prefix = form.name.partition("-")[0]
    try:
        form.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(dir=form.parent, prefix=f".{prefix}-"))
        try:
            _write(building, tokenizer, special, source)
        except Unread as reason:
            _write_settings(building, {"unread": str(reason)})
        building.chmod(0o755)  # mkdtemp's is for its owner alone; a cache may be shared
        building.rename(form)
    except OSError as error:  # where another process was faster too
        log.info("the tokenizer's plain form is not kept in %s: %s", form, error)
    for left in (*form.parent.glob(f"{prefix}-*"), *form.parent.glob(f".{prefix}-*")):
        if left != form:
            shutil.rmtree(left, ignore_errors=True)


def _write(directory: Path, tokenizer: Tokenizer, special: Special, source: Path) -> None:
    content = json.loads(source.read_text(encoding="utf-8"))
    data, spaces = _normaliser(content.get("normalizer"))
    in_chunks = _in_chunks(content.get("pre_tokenizer"))
    model, arrays = _unigram(content.get("model"))
    breaks = _breaks()
    _check_rules(Charsmap(data), breaks)
    contents = [token["content"] for token in content.get("added_tokens", [])]
    added = {*contents, *map(tokenizer.normalizer.normalize_str, contents)}
    _write_settings(
        directory,
        {
            "special": asdict(special),
            "breaks": asdict(breaks),
            "model": model,
            "spaces": spaces,
            "in_chunks": in_chunks,
            "added": sorted(added),
        },
    )
    (directory / CHARSMAP).write_bytes(data)
    for name, array in arrays.items():
        np.save(directory / f"{name}.npy", array)


def _write_settings(directory: Path, settings: Mapping[str, Any]) -> None:
    (directory / SETTINGS).write_text(json.dumps(settings), encoding="utf-8")


# --- what is read -----------------------------------------------------------------------------


def _normaliser(part: Any) -> tuple[bytes, str | None]:
    """The charsmap, and what stands for several spaces; None: they stay."""
    steps = part.get("normalizers") if _type(part) == "Sequence" else [part]
    match steps:
        case [{"type": "Precompiled", "precompiled_charsmap": str(text)}]:
            return base64.b64decode(text), None
        case [
            {"type": "Precompiled", "precompiled_charsmap": str(text)},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": str(spaces)},
        ] if spaces in (" ", SPACE):
            return base64.b64decode(text), spaces
    raise Unread(f"normalizer {_type(part)}")


def _in_chunks(part: Any) -> bool:
    """Whether the text is split at white space before Metaspace, the only way to split, sees it."""
    steps = part.get("pretokenizers") if _type(part) == "Sequence" else [part]
    match steps:
        case [{"type": "WhitespaceSplit"}, metaspace]:
            in_chunks = True
        case [metaspace]:
            in_chunks = False
        case _:
            raise Unread(f"pre-tokenizer {_type(part)}")
    match metaspace:
        case {"type": "Metaspace", "replacement": "\u2581", **rest}:
            rest.pop("str_rep", None)  # in old files, and without effect
            usual = {"prepend_scheme": "always", "split": True, "add_prefix_space": True}
            if usual | rest != usual:
                raise Unread("another Metaspace")
        case _:
            raise Unread(f"pre-tokenizer {_type(metaspace)}")
    return in_chunks


def _unigram(part: Any) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    match part:
        case {"type": "Unigram", "unk_id": int(unknown), "vocab": list(vocabulary), **rest}:
            if rest.get("byte_fallback", False) or set(rest) - {"byte_fallback"}:
                raise Unread("a unigram model with fallback or other settings")
        case _:
            raise Unread(f"model {_type(part)}")
    # A piece that is there twice has its last id, as in `tokenizers`.
    numbers = {piece.encode(): number for number, (piece, _) in enumerate(vocabulary)}
    pieces = sorted(numbers)
    ids = np.array([numbers[piece] for piece in pieces], np.uint32)
    every = np.array([score for _, score in vocabulary], np.float64)
    lowest, longest = float(every.min()), max(len(piece) for piece, _ in vocabulary)
    if longest > LONGEST or lowest >= UNKNOWN_PENALTY or any(b"\0" in piece for piece in pieces):
        raise Unread("a unigram model with unusual pieces or scores")
    model = {"longest": longest, "unknown": unknown, "lowest": lowest}
    return model, {"pieces": np.array(pieces), "scores": every[ids], "ids": ids}


def _type(part: Any) -> str:
    return str(part.get("type")) if isinstance(part, dict) else "none"


# --- where clusters break ---------------------------------------------------------------------


@cache
def _breaks() -> Breaks:
    """Tried out on the `tokenizers` that is installed, whose version of Unicode may be any."""
    from tokenizers import normalizers

    probe = normalizers.Precompiled(_one_sign_a_cluster())
    codes = [code for code in PROBED if code not in (0x0A, 0x0D)]

    def those_with(signs: int, around: str) -> list[int]:
        """Characters that make so many signs in such a place: a cluster's one, or one each."""
        found = probe.normalize_str("\n".join(around.format(chr(code)) for code in codes))
        return [c for c, line in zip(codes, found.split("\n"), strict=True) if len(line) == signs]

    return Breaks(
        joining=_bounds(those_with(1, "a{}")),
        leading=_bounds(those_with(1, "{}a")),
        lone=_bounds(sorted({0x0A, 0x0D, *those_with(2, "{}\u0301\u0301")})),
    )


def _one_sign_a_cluster() -> bytes:
    """A charsmap with a rule for each first byte, so for whatever is looked up: K. Not for \\n."""
    children, leaf, size = 256, 512, 1024  # positions in the trie
    units = np.zeros(size, "<u4")
    units[0] = children << 10
    labels = np.array([label for label in range(1, 256) if label != 0x0A], "<u4")
    units[children ^ labels] = labels | 1 << 8 | (children ^ labels ^ leaf) << 10
    units[leaf] = 1 << 31
    return struct.pack("<I", units.nbytes) + units.tobytes() + b"K\0"


def _bounds(codes: list[int]) -> tuple[int, ...]:
    """Sorted code points as the first in, the first out, the next in, ..."""
    edges = np.flatnonzero(np.diff(np.array([-2, *codes, 1 << 32]), 1) != 1)
    starts = [codes[i] for i in edges[:-1]]
    ends = [codes[i - 1] + 1 for i in edges[1:]]
    return tuple(bound for pair in zip(starts, ends, strict=True) for bound in pair)


def _check_rules(charsmap: Charsmap, breaks: Breaks) -> None:
    """Refuses rules for the characters whose clusters `Normaliser` does not tell apart."""
    bounds = breaks.leading
    leading = [
        chr(c)
        for low, high in zip(bounds[::2], bounds[1::2], strict=True)
        for c in range(low, high)
    ]
    if any(charsmap.replacement(f"{c}\u0301") is not None for c in (*leading, *PICTOGRAPHS)):
        raise Unread("rules for characters that open a cluster")
