"""Scope: whether a text is one of those that an adapter was trained for, by the very state that its
head reads, and by what the head makes of it.

A text is the stranger the farther its state lies from the nearest class (Mahalanobis' distance in
pooled states of the adapted encoder, Lee et al. 2018, section 2.1), and the less its logits speak
for any label (energy, Liu et al. 2020). Neither costs a forward pass of its own. `training.scope`
fits it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from .errors import AdapterCorrupt
from .store.tensors import read_tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .store.manifest import Manifest
    from .store.source import AdapterSource

    FloatArray = NDArray[np.float32]

FILE = "scope.safetensors"
TENSORS = ("whitening", "centroids", "weights", "known")
METHOD = {"method": "mahalanobis+energy"}  # the file's own words for what it holds
TAIL = 0.9  # the share of known texts that lie below the tail
LEAST_FALL = 1e-3  # of validation texts' spread


@dataclass(frozen=True, slots=True)
class Scope:
    """What the texts that an adapter knows look like.

    Attributes:
        whitening: ``(hidden, directions)`` float32; states times it have about unit covariance
            within a class.
        centroids: ``(classes, directions)`` float32, the classes' whitened means.
        weights: ``(2,)`` float32, of a distance and of an energy in a text's strangeness.
        known: ``(texts,)`` float32, ascending: how strange validation texts are.
    """

    whitening: FloatArray
    centroids: FloatArray
    weights: FloatArray
    known: FloatArray

    @property
    def tensors(self) -> dict[str, FloatArray]:
        """All of them by name."""
        return {name: getattr(self, name) for name in TENSORS}

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def distances(self, pooled: FloatArray) -> FloatArray:
        """``(texts,)`` from pooled states ``(texts, hidden)``: each to the nearest centroid."""
        import numpy as np

        middle = self.centroids.mean(axis=0)  # between them squares are small, and round little
        centroids, states = self.centroids - middle, pooled @ self.whitening - middle
        squares = np.square(states).sum(axis=1)[:, None] + np.square(centroids).sum(axis=1)
        squares -= 2 * states @ centroids.T
        return cast("FloatArray", np.sqrt(np.maximum(squares.min(axis=1), 0)))

    def strangeness(self, pooled: FloatArray, energies: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(texts,)`` from pooled states ``(texts, hidden)`` and `LabelScheme.energies`."""
        import numpy as np

        parts = np.stack([np.asarray(self.distances(pooled), np.float64), energies])
        return np.asarray(self.weights, np.float64) @ parts

    def shares(self, pooled: FloatArray, energies: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(texts,)`` from pooled states ``(texts, hidden)`` and `LabelScheme.energies`: how many
        of the validation texts, as a share, are at least as strange.

        Between two validation texts it is interpolated; beyond the strangest, where nothing is
        known, it goes on falling as an exponential with the mean excess of the strangest tenth, so
        that strange and stranger still differ.
        """
        import numpy as np

        texts = len(self.known)
        found = self.strangeness(pooled, energies)
        known = np.asarray(self.known, np.float64)
        steps, first = np.unique(known, return_index=True)
        shares = np.interp(found, steps, (texts - first) / texts)
        start = int(TAIL * texts)
        excess = known[start:] - known[max(0, start - 1)]
        fall = max(float(excess.mean()), LEAST_FALL)
        beyond = np.maximum(found - known[-1], 0.0)
        return cast("NDArray[np.float64]", shares * np.exp(-beyond / fall))

    def save(self, directory: Path) -> None:
        """Writes the file."""
        from safetensors.numpy import save_file

        save_file(self.tensors, directory / FILE, METHOD)


def has_scope(manifest: Manifest) -> bool:
    """Whether the adapter brings a scope; older and imported ones do not."""
    return FILE in manifest.files


def read_scope(source: AdapterSource) -> Scope:
    """The scope of an adapter that has one.

    Raises:
        AdapterNotFound: the adapter has been removed since it was resolved.
        AdapterCorrupt: the file is not as published, or does not fit the adapter.
    """
    remedy = "upgrade adapter-platform, or train it again"
    tensors = read_tensors(source, FILE, TENSORS, METHOD, remedy)
    scope = Scope(**tensors)
    if not _fits(scope, source.manifest.base.hidden_size):
        raise AdapterCorrupt(
            f"{FILE} of {source.manifest.reference} does not hold what its adapter asks for"
        )
    return scope


def _fits(scope: Scope, hidden: int) -> bool:
    import numpy as np

    tensors = scope.tensors.values()
    return (
        all(tensor.dtype == np.float32 and np.isfinite(tensor).all() for tensor in tensors)
        and scope.whitening.ndim == scope.centroids.ndim == 2
        and scope.whitening.shape == (hidden, scope.centroids.shape[1])
        and scope.weights.shape == (2,)
        and scope.known.ndim == 1
        and min(len(scope.centroids), len(scope.known)) > 0
        and bool((np.diff(scope.known) >= 0).all())
    )
