"""How often ``--adapter auto`` finds the right adapter, and how well it tells that there is none.

    python -m benchmarks.quality.routing DATA [--base ID] [--reject SHARE] [--json FILE]
    python -m benchmarks.quality.routing DATA --crowd 1000

DATA holds clinc150: ten domains, each the training texts of one adapter, and texts that belong to
none. Routing needs no trained adapter, so profiles are made of the training texts alone; what is
measured are the texts of --split. Intervals are of 1,000 bootstrap samples of them (95 %). With
--crowd the time is measured that a choice among so many made-up adapters takes, beside the base's
pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ..machine import undisturbed
from .document import JsonFile, Judged, present
from .sets import CLINC, OUT, read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adapter_platform.core.examples import Example
    from adapter_platform.core.routing.index import Nearest

    Floats = NDArray[np.floating[Any]]

RESAMPLES = 1000
CHUNK = 1024


def main(
    data: Annotated[Path, typer.Argument(help="The folder that holds clinc150/.")],
    base: Annotated[str, typer.Option(help="The base.")] = "multilingual",
    reject: Annotated[float, typer.Option(help="PLATFORM_ROUTE_REJECT.")] = 0.02,
    json_file: JsonFile = None,
    split: Annotated[Judged, typer.Option(help="What is judged; val, to choose by.")] = "test",
    crowd: Annotated[int, typer.Option(help="Time a choice among so many adapters.")] = 0,
) -> None:
    """Measures routing over the ten domains of clinc150 and its out-of-scope texts."""
    undisturbed()
    from adapter_platform.core.routing.index import Index
    from adapter_platform.core.routing.profile import Profile, sample

    if crowd:
        time_crowd(crowd)
        return
    began = perf_counter()
    domains = [examples(data, name) for name in CLINC]
    outside = [example.text for example in examples(data, OUT)[split]]
    features = reader(base)
    profiles = []
    for of_domain in domains:
        train = of_domain["train"]
        picked = [train[i] for i in sample(train)]
        states = features([example.text for example in picked])
        profiles.append(Profile.of(states, [example.labels for example in picked]))
    index = Index([profile.digest() for profile in profiles], profiles.__getitem__)
    judged = [of_domain[split] for of_domain in domains]
    wanted = np.repeat(np.arange(len(judged)), [len(of_domain) for of_domain in judged])
    inside = index.nearest(features([e.text for of_domain in judged for e in of_domain]))
    found = judge(inside, wanted, index.nearest(features(outside)), reject)
    document = {
        "base": base,
        "reject": reject,
        "split": split,
        "inside": len(wanted),
        "outside": len(outside),
        "figures": found,
    }
    present(document, lines, json_file)
    print(f"{perf_counter() - began:.0f} s")


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The figures as they are shown, with their 95 % intervals."""
    for name, (value, low, high) in document["figures"].items():
        yield f"{name:44} {value:.4f}  ({low:.4f} to {high:.4f})"
    yield f"{document['inside']} texts in scope, {document['outside']} out of scope"
    if "reject" in document:
        yield f"{document['base']}, turned away below typicality {document['reject']:g}"


def judge(
    inside: Nearest, wanted: NDArray[np.intp], outside: Nearest, reject: float
) -> dict[str, tuple[float, float, float]]:
    """Figures with their intervals: of texts with an adapter, and of texts without one."""
    from sklearn.metrics import roc_auc_score

    right = (inside.first == wanted).astype(float)
    kept, taken = inside.typicality >= reject, outside.typicality >= reject
    is_inside = np.repeat([1, 0], [len(inside.first), len(outside.first)])
    similarity = np.concatenate([inside.similarities[:, 0], outside.similarities[:, 0]])
    typicality = np.concatenate([inside.typicality, outside.typicality])

    def auroc(scores: Floats) -> Callable[[NDArray[np.intp]], float]:
        return lambda at: float(roc_auc_score(is_inside[at], scores[at]))

    ways: dict[str, tuple[int, Callable[[NDArray[np.intp]], float]]] = {
        "nearest adapter is the right one": (len(right), lambda at: right[at].mean()),
        "right, and not turned away": (len(right), lambda at: (right * kept)[at].mean()),
        "turned away in scope": (len(right), lambda at: 1 - kept[at].mean()),
        "turned away out of scope": (len(taken), lambda at: 1 - taken[at].mean()),
        "AUROC of turning away, by similarity": (len(is_inside), auroc(similarity)),
        "AUROC of turning away, by typicality": (len(is_inside), auroc(typicality)),
    }
    random = np.random.default_rng(0)
    found = {}
    for name, (count, figure) in ways.items():
        samples = [figure(random.integers(0, count, count)) for _ in range(RESAMPLES)]
        low, high = np.percentile(samples, [2.5, 97.5])
        found[name] = float(figure(np.arange(count))), float(low), float(high)
    return found


def time_crowd(count: int) -> None:
    """Prints what a choice among so many adapters costs, in milliseconds."""
    from adapter_platform.core.routing.index import Index
    from adapter_platform.core.routing.profile import TEXTS, Profile

    width, random = 384, np.random.default_rng(0)
    with TemporaryDirectory() as directory:
        paths = [Path(directory, f"{number}.npy") for number in range(count)]
        digests, labels = [], [number % 16 for number in range(TEXTS)]
        everyones = random.normal(size=width)
        for path in paths:
            own = everyones + random.normal(size=width) + random.normal(size=(TEXTS, width))
            profile = Profile.of(own.astype(np.float32), labels)
            digests.append(profile.digest())
            np.save(path, profile.features)
        began = perf_counter()
        kinds = np.array(labels, np.int32)
        index = Index(digests, lambda number: Profile(np.load(paths[number]), kinds))
        print(f"{count} adapters put together: {1000 * (perf_counter() - began):.0f} ms")
        for texts in (1, 1, 1, 32):
            asked = (everyones + random.normal(size=(texts, width))).astype(np.float32)
            began = perf_counter()
            index.nearest(asked)
            print(f"chosen for {texts} of new texts: {1000 * (perf_counter() - began):.1f} ms")


def examples(data: Path, name: str) -> dict[str, list[Example]]:
    """The examples of a set by split."""
    from adapter_platform.core.examples import Example

    return {
        split: [Example(row["text"], (row["label"],)) for row in rows]
        for split, rows in read(data, name).items()
    }


def reader(base_id: str) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """What the bare base makes of texts, as the platform reads them to route."""
    from adapter_platform.core.engine.choice import ColdStart, Engines
    from adapter_platform.core.routing.profile import POOLING, TOKENS
    from adapter_platform.core.tokens import TextEncoder
    from adapter_platform.plugins import open_platform

    platform = open_platform()
    base = platform.bases.resolve(base_id)
    encoder = TextEncoder(base)
    engines = Engines(base, platform.settings, platform.listener, ColdStart(0))

    def features(texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [one.ids for one in encoder.encode(texts, TOKENS)]
        chunks = [rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK)]
        return np.concatenate([engines.features(part, POOLING, "packed")[0] for part in chunks])

    return features


if __name__ == "__main__":
    typer.run(main)
