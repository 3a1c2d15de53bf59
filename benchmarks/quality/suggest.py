"""``python -m benchmarks.quality.suggest DATA``: what texts that `platform data suggest` picks are
worth beside as many drawn at random, on clinc150 domains.

A probe (logistic regression on the frozen base's features) learns from a few texts a class, the
texts that are added to them, or none at all in the cold start; the test accuracy is its own.
Figures are means over draws of the texts that are drawn at random, with standard errors over these
draws; a gain's is of the differences draw by draw. The test texts are the same in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..machine import facts, undisturbed
from .document import JsonFile, present
from .draws import over_draws, told
from .frozen import Domains, Folder, frozen_domains

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from adapter_platform.core.labels import LabelScheme
    from adapter_platform.core.training.linear import LinearFit

    Floats = NDArray[np.floating[Any]]
    Integers = NDArray[np.int64]
    Sides = Mapping[str, tuple[Floats, Integers]]  # features and class indices by split

WAYS = ("begin", "random", "suggested", "cold_random", "cold_typical")  # of choosing texts
GAINS = {"gain": ("random", "suggested"), "cold_gain": ("cold_random", "cold_typical")}
COLUMNS = {  # as they are shown
    "begin": "begin",
    "random": "random",
    "suggested": "suggested",
    "gain": "gain",
    "cold_random": "cold random",
    "cold_typical": "cold typical",
    "cold_gain": "gain",
}


def main(
    data: Folder,
    domain: Domains = None,
    base: Annotated[str | None, typer.Option(help="The base.")] = None,
    each: Annotated[int, typer.Option(min=1, help="Labelled texts of a class, to begin with.")] = 3,
    added: Annotated[int, typer.Option(min=1, help="Texts that are added.")] = 45,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of the first texts.")] = 5,
    json_file: JsonFile = None,
) -> None:
    """Add texts by suggestion and at random, and print the probe's test accuracy."""
    undisturbed()
    import numpy as np
    import torch

    from adapter_platform.core.examples import SPLITS
    from adapter_platform.core.training.linear import targets
    from adapter_platform.plugins import open_platform

    measured = []
    with open_platform() as platform:
        for name, dataset, features in frozen_domains(platform, data, domain, "all", base):
            wanted = targets(dataset.examples, dataset.scheme)
            split = np.array([example.split for example in dataset.examples])
            sides: Sides = {s: (features[split == s], wanted[split == s]) for s in SPLITS}
            draws = [one(dataset.scheme, sides, each, added, seed) for seed in range(seeds)]
            measured.append({"domain": name, **summary(draws)})
        document = {
            "base": base or platform.settings.base,
            "each": each,
            "added": added,
            "seeds": seeds,
            "domains": measured,
            "machine": facts(torch.get_num_threads()),
        }
    present(document, lines, json_file)


def summary(draws: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The draws of a domain, and of accuracies and gains the mean and its standard error."""
    found = {way: over_draws([draw[way] for draw in draws]) for way in WAYS}
    for gain, (without, given) in GAINS.items():
        found[gain] = over_draws([draw[given] - draw[without] for draw in draws])
    return {"draws": draws, "figures": found}


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The figures as they are shown, points of a hundred; gains with their standard errors."""
    widths = {
        name: 2 + max(len(title), len("+12.3 ± 4.5") if name in GAINS else 0)
        for name, title in COLUMNS.items()
    }
    yield f"{'domain':18}" + "".join(f"{COLUMNS[name]:>{widths[name]}}" for name in COLUMNS)
    for line in document["domains"]:
        shown = f"{line['domain']:18}"
        for name in COLUMNS:
            value, error = line["figures"][name]
            cell = told((value, error), "+.1f", 100) if name in GAINS else f"{100 * value:.1f}"
            shown += f"{cell:>{widths[name]}}"
        yield shown
    yield (
        f"{document['each']} texts a label to begin with, {document['added']} added, "
        f"draws: {document['seeds']}, on {document['base']}"
    )


def one(
    scheme: LabelScheme,
    sides: Sides,
    each: int,
    added: int,
    seed: int,
) -> dict[str, float]:
    """Accuracies of a draw in `WAYS`: to begin with, with texts added, and with these alone."""
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
    return dict(zip(WAYS, accuracies, strict=True))


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
