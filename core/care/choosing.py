"""Which of many texts to label next: uncertain ones that differ, or typical ones of every sort."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestNeighbors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..labels import LabelScheme

    Floats = NDArray[np.floating[Any]]
    Integers = NDArray[np.int64]

MOST_CLUSTERS = 500
NEIGHBOURS = 20
SMALL = 5  # texts; a smaller cluster is rather an oddity than a sort of text


def uncertainty(
    scheme: LabelScheme, probabilities: Floats, thresholds: Mapping[str, float] | None = None
) -> Floats:
    """``(texts,)`` from 0, sure, to 1, torn between two answers.

    One minus the margin between the two most probable classes (Scheffer, Decomain & Wrobel 2001).
    In `multi`, the closeness of the label that is nearest to its threshold (binary minimum, Brinker
    2006).

    Args:
        probabilities: calibrated, ``(texts, classes)``.
        thresholds: of `multi`, 0.5 where none is given.
    """
    if scheme.kind == "multi":
        limits = np.array([(thresholds or {}).get(name, 0.5) for name in scheme.classes])
        side = np.where(probabilities >= limits, 1 - limits, limits)
        away = np.abs(probabilities - limits) / np.maximum(side, 1e-9)
        return cast("Floats", 1 - np.minimum(away, 1).min(axis=1))
    if probabilities.shape[1] == 1:
        return np.zeros(len(probabilities))
    top = np.partition(probabilities, -2, axis=1)[:, -2:]
    return cast("Floats", 1 - np.abs(top[:, 1] - top[:, 0]))


def uncertain_and_diverse(features: Floats, weights: Floats, count: int) -> list[tuple[int, int]]:
    """Positions of `count` texts that are uncertain and differ, with how many each stands for.

    The texts are clustered into `count` clusters by k-means with their uncertainty as weights, and
    each gives the one nearest to its centre (Zhdanov 2019, "Diverse mini-batch Active Learning").

    Args:
        features: ``(texts, hidden)`` of the candidates.
        weights: ``(texts,)``, how uncertain each is.

    Returns:
        the most uncertain first; fewer where there are fewer different texts.
    """
    points = directions(features)
    clusters, centres = _clusters(points, count, weights)
    chosen = []
    for cluster in np.unique(clusters):
        members = np.flatnonzero(clusters == cluster)
        away = np.linalg.norm(points[members] - centres[cluster], axis=1)
        chosen.append((int(members[away.argmin()]), len(members)))
    return sorted(chosen, key=lambda pick: -weights[pick[0]])


def typical(features: Floats, count: int, labelled: Floats) -> list[tuple[int, int]]:
    """Positions of `count` texts that are typical of what is not labelled yet.

    TypiClust (Hacohen, Dekel & Weinshall 2022, "Active Learning on a Budget", section 3): as many
    clusters as there will be labelled texts, at most 500; again and again, of the clusters with the
    fewest labelled texts the largest gives the text whose 20 nearest neighbours in the cluster are
    nearest.

    Args:
        features: ``(texts, hidden)``.
        labelled: ``(labelled texts, hidden)``, what is labelled already; may be none.

    Returns:
        position, and how many of the texts its cluster holds; in the order of choice.
    """
    points = directions(np.concatenate([features, labelled]) if len(labelled) else features)
    total = len(features)
    wanted = min(len(labelled) + count, MOST_CLUSTERS, len(points))
    clusters, _ = _clusters(points, wanted, np.ones(len(points)))
    members = {int(c): np.flatnonzero(clusters[:total] == c) for c in np.unique(clusters[:total])}
    covered = {c: int((clusters[total:] == c).sum()) for c in members}
    ranked = {c: _by_typicality(points[inside], inside) for c, inside in members.items()}
    chosen: list[tuple[int, int]] = []
    while len(chosen) < count and any(ranked.values()):
        cluster = min(
            (c for c in ranked if ranked[c]),
            key=lambda c: (len(members[c]) < SMALL, covered[c], -len(members[c]), c),
        )
        chosen.append((ranked[cluster].pop(0), len(members[cluster])))
        covered[cluster] += 1
    return chosen


def directions(features: Floats) -> Floats:
    """Features of length one about their mean: then nearness is that of meaning, not of size."""
    centred = features - features.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return cast("Floats", centred / np.maximum(lengths, 1e-12))


def _clusters(points: Floats, count: int, weights: Floats) -> tuple[Integers, Floats]:
    """Each point's cluster ``(points,)`` and the centres ``(count, hidden)``."""
    model = KMeans(n_clusters=min(count, len(points)), n_init=1, random_state=0)
    with warnings.catch_warnings():
        # Fewer different points than clusters: then there are fewer clusters.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(points, sample_weight=np.maximum(weights, 1e-6))
    return model.labels_.astype(np.int64), model.cluster_centers_


def _by_typicality(points: Floats, positions: Integers) -> list[int]:
    """The positions, that of the point whose nearest neighbours are nearest first."""
    near = min(NEIGHBOURS, len(points) - 1)
    if not near:
        return list(map(int, positions))
    distances, _ = NearestNeighbors(n_neighbors=near).fit(points).kneighbors()
    return list(map(int, positions[np.argsort(distances.mean(axis=1), kind="stable")]))
