"""``python -m benchmarks.quality.suggest DATA``: what texts that `platform data suggest` picks are
worth beside as many drawn at random, on clinc150 domains.

A probe (logistic regression on the frozen base's features) learns from a few texts a class, the
texts that are added to them, or none at all in the cold start; the test accuracy is its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..machine import undisturbed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from adapter_platform.core.labels import LabelScheme
    from adapter_platform.core.training.linear import LinearFit

    Floats = NDArray[np.floating[Any]]
    Integers = NDArray[np.int64]
    Sides = Mapping[str, tuple[Floats, Integers]]  # features and class indices by split

DOMAINS = ("banking", "travel", "work")


def main(
    data: Annotated[Path, typer.Argument(help="The folder that holds clinc150/DOMAIN.jsonl.")],
    domain: Annotated[list[str] | None, typer.Option(help="Again for more.")] = None,
    base: Annotated[str | None, typer.Option(help="The base.")] = None,
    each: Annotated[int, typer.Option(min=1, help="Labelled texts of a class, to begin with.")] = 3,
    added: Annotated[int, typer.Option(min=1, help="Texts that are added.")] = 45,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of the first texts.")] = 5,
) -> None:
    """Add texts by suggestion and at random, and print the probe's test accuracy."""
    undisturbed()
    import numpy as np

    from adapter_platform.core.examples import SPLITS, load_examples
    from adapter_platform.core.training.linear import targets
    from adapter_platform.plugins import open_platform

    from .frozen import frozen

    columns = (
        "domain",
        "begin",
        "random",
        "suggested",
        "gain",
        "cold random",
        "cold typical",
        "gain",
    )
    print("".join(f"{column:>16}" for column in columns))
    with open_platform() as platform:
        for name in domain or DOMAINS:
            uri = str(data / "clinc150" / f"{name}.jsonl")
            dataset = load_examples({"all": uri}, platform.registry)
            features = frozen(platform, [e.text for e in dataset.examples], base)
            wanted = targets(dataset.examples, dataset.scheme)
            split = np.array([example.split for example in dataset.examples])
            sides: Sides = {
                name: (features[split == name], wanted[split == name]) for name in SPLITS
            }
            rows = np.array([one(dataset.scheme, sides, each, added, s) for s in range(seeds)])
            means = 100 * rows.mean(axis=0)
            gains = [100 * (rows[:, b] - rows[:, a]) for a, b in ((1, 2), (3, 4))]
            told = [f"{g.mean():+.1f} ±{g.std(ddof=1) / len(g) ** 0.5:.1f}" for g in gains]
            cells = [f"{m:.1f}" for m in means]
            line = (name, *cells[:3], told[0], *cells[3:], told[1])
            print("".join(f"{cell:>16}" for cell in line))


def one(
    scheme: LabelScheme,
    sides: Sides,
    each: int,
    added: int,
    seed: int,
) -> tuple[float, ...]:
    """Accuracies: to begin with, with texts at random, with those suggested; cold, the same two."""
    import numpy as np

    from adapter_platform.core.care.choosing import typical, uncertain_and_diverse, uncertainty
    from adapter_platform.core.care.suggest import CANDIDATES

    features, wanted = sides["train"]
    draw = np.random.default_rng(seed)
    first = np.concatenate(
        [
            draw.choice(np.flatnonzero(wanted == k), each, replace=False)
            for k in range(len(scheme.classes))
        ]
    )
    pool = np.setdiff1d(np.arange(len(wanted)), first)
    head, begin = probe(scheme, sides, first)
    unsure = uncertainty(scheme, scheme.probabilities(head.logits(features[pool])))
    candidates = np.argsort(-unsure, kind="stable")[: CANDIDATES * added]
    picks = uncertain_and_diverse(features[pool[candidates]], unsure[candidates], added)
    suggested = pool[candidates[[index for index, _ in picks]]]
    at_random = draw.choice(pool, added, replace=False)
    everything = np.arange(len(wanted))
    shown = draw.permutation(everything)[: len(everything) * 9 // 10]  # else each seed is the same
    cold = [index for index, _ in typical(features[shown], added, features[:0])]
    accuracies = [begin]
    for chosen in (
        np.concatenate([first, at_random]),
        np.concatenate([first, suggested]),
        draw.choice(shown, added, replace=False),
        shown[cold],
    ):
        accuracies.append(probe(scheme, sides, chosen)[1])
    return tuple(accuracies)


def probe(scheme: LabelScheme, sides: Sides, chosen: Integers) -> tuple[LinearFit, float]:
    """Logistic regression on the chosen texts, and its test accuracy.

    The domain's own validation texts choose the strength, so that it is the same question for all.
    A class that none of the texts has cannot be answered.
    """
    import numpy as np

    from adapter_platform.core.labels import LabelScheme
    from adapter_platform.core.training.linear import fit_head

    features, labels = sides["train"]
    present, wanted = np.unique(labels[chosen], return_inverse=True)
    counts = np.bincount(wanted)
    seen = LabelScheme.of("single", [scheme.classes[k] for k in present])
    known = np.isin(sides["val"][1], present)
    val = sides["val"][0][known], np.searchsorted(present, sides["val"][1][known])
    balanced = bool(counts.max() > 3 * counts.min())  # as training does
    head = fit_head(seen, (features[chosen], wanted), val, balanced=balanced)
    given = present[head.logits(sides["test"][0]).argmax(axis=1)]
    return head, float((given == sides["test"][1]).mean())


if __name__ == "__main__":
    typer.run(main)
