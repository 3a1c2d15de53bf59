"""Seen texts: hashes of the texts that an adapter was trained on or chosen by, so that it is never
judged by them.

The file holds no text, but who has a text can tell whether it was among them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from .data.near import normalise
from .errors import AdapterCorrupt
from .store.tensors import read_tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .store.manifest import Manifest
    from .store.source import AdapterSource

    Hashes = NDArray[np.uint64]

FILE = "seen.safetensors"
TENSORS = ("train", "val")
METHOD = {"method": "blake2b-64 of normalised texts"}  # the file's own words for what it holds


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What an adapter has seen.

    Attributes:
        train: ``(texts,)`` uint64, ascending: hashes of its training texts, labels' names among
            them where they were some, but not of mistyped copies.
        val: ``(texts,)`` uint64, ascending: of its validation texts, by which head, calibration,
            thresholds and scope were chosen.
    """

    train: Hashes
    val: Hashes

    @classmethod
    def of(cls, train: Iterable[str], val: Iterable[str]) -> Seen:
        """From the texts themselves."""
        import numpy as np

        return cls(*(np.unique(_hashes(texts)) for texts in (train, val)))

    def among(self, texts: Sequence[str], splits: Collection[str] = TENSORS) -> NDArray[np.bool_]:
        """``(texts,)``: which of them stood in one of the splits, but for what `normalise` drops.

        Args:
            splits: of `TENSORS`.
        """
        import numpy as np

        hashes, known = _hashes(texts), [getattr(self, split) for split in splits]
        found = np.isin(hashes, np.concatenate(known)) if known else np.zeros(len(hashes), bool)
        return cast("NDArray[np.bool_]", found)

    def save(self, directory: Path) -> None:
        """Writes the file."""
        from safetensors.numpy import save_file

        save_file({name: getattr(self, name) for name in TENSORS}, directory / FILE, METHOD)


def _hashes(texts: Iterable[str]) -> Hashes:
    import numpy as np

    digests = (
        hashlib.blake2b(normalise(text).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for text in texts
    )
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def has_seen(manifest: Manifest) -> bool:
    """Whether the adapter says what it has seen; older and imported ones do not."""
    return FILE in manifest.files


def read_seen(source: AdapterSource) -> Seen:
    """What an adapter that says so has seen.

    Raises:
        AdapterNotFound: the adapter has been removed since it was resolved.
        AdapterCorrupt: the file is not as published, or holds something else.
    """
    tensors = read_tensors(source, FILE, TENSORS, METHOD, "upgrade adapter-platform")
    if not all(_fits(tensor) for tensor in tensors.values()):
        raise AdapterCorrupt(
            f"{FILE} of {source.manifest.reference} does not hold what its adapter asks for"
        )
    return Seen(**tensors)


def _fits(hashes: Hashes) -> bool:
    import numpy as np

    ascending = hashes.ndim == 1 and bool((hashes[1:] > hashes[:-1]).all())
    return hashes.dtype == np.uint64 and ascending
