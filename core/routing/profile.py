"""What an adapter keeps so that its kind of text is known again: what the bare base makes of some
of its training texts, and no word of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.near import near_duplicates
from ..errors import AdapterCorrupt
from ..hashes import sha256

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..examples import Example
    from ..heads import Pooling
    from ..store.manifest import Manifest
    from ..store.source import AdapterSource

    FloatArray = NDArray[np.float32]
    HalfArray = NDArray[np.float16]
    IntArray = NDArray[np.int32]

FILE = "routing.safetensors"
FEATURES, LABELS = "features", "labels"
TEXTS = 2048  # kept of each adapter's
BEGINNING = 32  # of them in a digest
TOKENS = 128  # read of a text, special tokens included
HOW_TO_PROFILE = "platform adapters profile NAME adds one; training does so by itself"
POOLING: Pooling = "mean"  # whatever the adapter's head does: all adapters of a base are compared


@dataclass(frozen=True, slots=True)
class Profile:
    """An adapter's training texts as the bare base sees them.

    Attributes:
        features: ``(texts, hidden)`` float16 of length 1, in an order of which every beginning is
            a sample balanced over the labels.
        labels: ``(texts,)`` int32, the same number for texts of the same labels.
    """

    features: HalfArray
    labels: IntArray

    @classmethod
    def of(cls, features: FloatArray, labels: Sequence[Hashable]) -> Profile:
        """From pooled states ``(texts, hidden)`` of any length, and what each text is labelled."""
        import numpy as np

        numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
        numbered = np.array([numbers[label] for label in labels], np.int32)
        return cls(unit(features).astype(np.float16), numbered)

    def save(self, directory: Path) -> None:
        """Writes the file."""
        from safetensors.numpy import save_file

        save_file({FEATURES: self.features, LABELS: self.labels}, directory / FILE)

    @classmethod
    def load(cls, source: AdapterSource) -> Profile:
        """Reads a published adapter's file, once its hash is seen to be right.

        Raises:
            AdapterCorrupt: it is not there, not as published, or no profile on the adapter's base.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        manifest, path = source.manifest, source.path / FILE
        try:
            if sha256(path) != manifest.files[FILE]:
                raise AdapterCorrupt(f"{FILE} of {manifest.reference} has changed")
            tensors = load_file(path)
            profile = cls(tensors[FEATURES], tensors[LABELS])
        except (OSError, KeyError, SafetensorError) as error:
            raise AdapterCorrupt(f"{FILE} of {manifest.reference} cannot be read") from error
        width = manifest.base.hidden_size
        if not profile._fits(width):
            raise AdapterCorrupt(
                f"{FILE} of {manifest.reference} holds no features of a base {width} wide"
            )
        return profile

    def _fits(self, width: int) -> bool:
        import numpy as np

        features, labels = self.features, self.labels
        return (
            features.dtype == np.float16
            and features.ndim == 2
            and features.shape[1] == width
            and len(features) > 0
            and bool(np.isfinite(features).all())
            and labels.dtype == np.int32
            and labels.shape == features.shape[:1]
        )

    def digest(self) -> Digest:
        """What is held of it."""
        import numpy as np

        return Digest(self.features.mean(0, dtype=np.float32), self.features[:BEGINNING].copy())


@dataclass(frozen=True, slots=True, eq=False)
class Digest:
    """What is held in memory of each profile, however many there are.

    Attributes:
        mean: ``(hidden,)`` float32 of its features.
        beginning: ``(at most BEGINNING, hidden)`` float16, the first of them.
    """

    mean: FloatArray
    beginning: HalfArray


def has_profile(manifest: Manifest) -> bool:
    """Whether ``auto`` can choose the adapter."""
    return FILE in manifest.files


def sample(examples: Sequence[Example]) -> list[int]:
    """Which examples make a profile, at most `TEXTS`, in an order balanced over the labels.

    Of texts that are near-duplicates one is taken: the others would make every other text seem
    far. Which ones are taken depends on the examples alone.
    """
    import numpy as np

    groups = near_duplicates([example.text for example in examples])
    by_labels: dict[tuple[str, ...], list[int]] = {}
    seen: set[int] = set()
    for i in np.random.default_rng(0).permutation(len(examples)).tolist():
        if groups[i] not in seen:
            seen.add(groups[i])
            by_labels.setdefault(examples[i].labels, []).append(i)
    turns = chain.from_iterable(zip_longest(*by_labels.values()))
    return [i for i in turns if i is not None][:TEXTS]


def cut_rows(rows: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Token rows as a profile reads them: the first `TOKENS`, of which the last ends the text."""
    return [row if len(row) <= TOKENS else (*row[: TOKENS - 1], row[-1]) for row in rows]


def unit(features: FloatArray) -> FloatArray:
    """Rows ``(texts, hidden)`` at length 1; a row of nothing stays as it is."""
    import numpy as np

    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    scaled: FloatArray = (features / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled
