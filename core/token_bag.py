"""Token bags: what a text's tokens say by themselves, beside what the encoder makes of them.

``logits = W pool(h) + b + V x``, where ``x`` is the TF-IDF vector of the text's own tokens. A small
encoder blurs names of products and systems, codes and jargon, which tell much where there are many
texts to learn them from. It costs no forward pass of its own. `training.token_bags` fits it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import AdapterCorrupt
from .store.tensors import read_tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .store.manifest import Manifest
    from .store.source import AdapterSource

    FloatArray = NDArray[np.float32]

FILE = "token_bag.safetensors"
TENSORS = ("tokens", "idf", "weight")
METHOD = {"method": "tf-idf"}  # the file's own words for what it holds
REMEDY = "upgrade adapter-platform, or train it again"


@dataclass(frozen=True, slots=True)
class TokenBag:
    """Weights of tokens.

    Attributes:
        tokens: ``(known,)`` int64, ascending: ids in the base's vocabulary.
        idf: ``(known,)`` float32, how telling each is whatever the label.
        weight: ``(known, classes)`` float32.
    """

    tokens: NDArray[np.int64]
    idf: FloatArray
    weight: FloatArray

    @property
    def tensors(self) -> dict[str, NDArray[np.generic]]:
        """All of them by name."""
        return {name: getattr(self, name) for name in TENSORS}

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def logits(self, rows: Sequence[Sequence[int]]) -> FloatArray:
        """What is added to the head's, ``(texts, classes)`` float32, from texts' token ids."""
        import numpy as np

        found = np.empty((len(rows), self.weight.shape[1]), np.float32)
        for i, row in enumerate(rows):
            places, values = self.vector(row)
            found[i] = values @ self.weight[places]
        return found

    def vector(self, row: Sequence[int]) -> tuple[NDArray[np.intp], FloatArray]:
        """The places of a text's known tokens, and their TF-IDF, a vector of length 1.

        ``(1 + ln n) idf``, as scikit-learn's ``sublinear_tf`` has it (Manning et al. 2008, section
        6.4). A text without known tokens has none.
        """
        import numpy as np

        ids, counts = np.unique(np.asarray(row, np.int64), return_counts=True)
        places = np.searchsorted(self.tokens, ids)
        there = places < len(self.tokens)
        there[there] = self.tokens[places[there]] == ids[there]
        places = places[there]
        values = (1 + np.log(counts[there], dtype=np.float32)) * self.idf[places]
        length = np.linalg.norm(values)
        return places, values / length if length else values

    def save(self, directory: Path) -> None:
        """Writes the file."""
        from safetensors.numpy import save_file

        save_file(self.tensors, directory / FILE, METHOD)


def read_token_bag(source: AdapterSource) -> TokenBag:
    """The bag of an adapter whose manifest says that it has one.

    Raises:
        AdapterNotFound: the adapter has been removed since it was resolved.
        AdapterCorrupt: the file is not as published, or does not fit the adapter.
    """
    bag = TokenBag(**read_tensors(source, FILE, TENSORS, METHOD, REMEDY))
    if not _fits(bag, source.manifest):
        raise AdapterCorrupt(
            f"{FILE} of {source.manifest.reference} does not hold what its adapter asks for"
        )
    return bag


def _fits(bag: TokenBag, manifest: Manifest) -> bool:
    import numpy as np

    known, classes = manifest.token_bag, len(manifest.scheme.classes)
    return (
        bag.tokens.dtype == np.int64
        and bag.tokens.shape == bag.idf.shape == (known,)
        and bag.weight.shape == (known, classes)
        and bool((np.diff(bag.tokens) > 0).all())
        and all(
            tensor.dtype == np.float32 and bool(np.isfinite(tensor).all())
            for tensor in (bag.idf, bag.weight)
        )
    )
