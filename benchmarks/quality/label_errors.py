"""``python -m benchmarks.quality.label_errors DATA``: how many wrong labels are found, and how many
of those found are wrong, where a share of a clinc150 domain's labels has been put wrong.

Figures are means over draws of which labels are wrong, with standard errors over these draws; in
each of them all texts of the domain are judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..machine import facts, undisturbed
from .document import JsonFile, present
from .draws import over_draws, told
from .frozen import Domains, Folder, frozen_domains

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapter_platform.core.care.label_errors import LabelError
    from adapter_platform.core.examples import Example

COLUMNS = {  # as they are shown
    "found": "found",
    "precision": "precision",
    "recall": "recall",
    "surer_half": "surer half",
}


def main(
    data: Folder,
    domain: Domains = None,
    base: Annotated[str | None, typer.Option(help="The base that judges.")] = None,
    share: Annotated[float, typer.Option(help="Of labels that are put wrong.")] = 0.05,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of which.")] = 5,
    json_file: JsonFile = None,
) -> None:
    """Put labels wrong, look for them, and print the mean over the draws."""
    undisturbed()
    import torch

    from adapter_platform.core.care.folds import deal
    from adapter_platform.core.care.label_errors import contradicted
    from adapter_platform.plugins import open_platform

    measured = []
    with open_platform() as platform:
        for name, dataset, features in frozen_domains(platform, data, domain, "train", base):
            examples = dataset.examples
            draws = []
            for seed in range(seeds):
                spoiled, wrong = spoil(examples, dataset.scheme.classes, share, seed)
                folds = deal(spoiled)
                found, _ = contradicted(spoiled, dataset.scheme, features, folds, lambda *_: None)
                draws.append({"wrong": len(wrong), **figures(found, wrong)})
            measured.append({"domain": name, "texts": len(examples), **summary(draws)})
        document = {
            "base": base or platform.settings.base,
            "share": share,
            "seeds": seeds,
            "domains": measured,
            "machine": facts(torch.get_num_threads()),
        }
    present(document, lines, json_file)


def summary(draws: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The draws of a domain, and of each figure the mean and its standard error."""
    return {
        "draws": draws,
        "figures": {name: over_draws([draw[name] for draw in draws]) for name in draws[0]},
    }


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The figures as they are shown, means over the draws with their standard errors."""
    yield f"{'domain':18}{'texts':>7}{'wrong':>7}" + "".join(
        f"{title:>16}" for title in COLUMNS.values()
    )
    for line in document["domains"]:
        found = line["figures"]
        yield f"{line['domain']:18}{line['texts']:7,}{found['wrong'][0]:7.0f}" + "".join(
            f"{told(found[name], '.1f' if name == 'found' else '.3f'):>16}" for name in COLUMNS
        )
    yield (
        f"{100 * document['share']:g} % of the labels wrong, draws: {document['seeds']}, "
        f"on {document['base']}"
    )


def spoil(
    examples: Sequence[Example], classes: Sequence[str], share: float, seed: int
) -> tuple[list[Example], set[str]]:
    """The examples with a share of their labels replaced by others, and where those stand."""
    import numpy as np

    draw = np.random.default_rng(seed)
    spoiled, wrong = list(examples), set()
    for i in draw.choice(len(spoiled), round(share * len(spoiled)), replace=False).tolist():
        others = [name for name in classes if name not in spoiled[i].labels]
        label = others[int(draw.integers(len(others)))]
        spoiled[i] = replace(spoiled[i], labels=(label,))
        wrong.add(spoiled[i].where)
    return spoiled, wrong


def figures(found: Sequence[LabelError], wrong: set[str]) -> dict[str, float]:
    """How many were found, precision, recall, and the precision of the surer half."""
    hits = [error.where in wrong for error in found]
    half = hits[: (len(hits) + 1) // 2]
    return {
        "found": len(hits),
        "precision": sum(hits) / max(1, len(hits)),
        "recall": sum(hits) / len(wrong),
        "surer_half": sum(half) / max(1, len(half)),
    }


if __name__ == "__main__":
    typer.run(main)
