"""``python -m benchmarks.quality.label_errors DATA``: how many wrong labels are found, and how many
of those found are wrong, where a share of a clinc150 domain's labels has been put wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..machine import undisturbed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapter_platform.core.care.label_errors import LabelError
    from adapter_platform.core.examples import Example

DOMAINS = ("banking", "travel", "work")


def main(
    data: Annotated[Path, typer.Argument(help="The folder that holds clinc150/DOMAIN.jsonl.")],
    domain: Annotated[list[str] | None, typer.Option(help="Again for more.")] = None,
    base: Annotated[str | None, typer.Option(help="The base that judges.")] = None,
    share: Annotated[float, typer.Option(help="Of labels that are put wrong.")] = 0.05,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of which.")] = 5,
) -> None:
    """Put labels wrong, look for them, and print the mean over the draws."""
    undisturbed()
    import numpy as np

    from adapter_platform.core.care.folds import deal
    from adapter_platform.core.care.label_errors import contradicted
    from adapter_platform.core.examples import load_examples
    from adapter_platform.plugins import open_platform

    from .frozen import frozen

    print("domain                texts  wrong  found  precision  recall  of the first half")
    with open_platform() as platform:
        for name in domain or DOMAINS:
            uri = str(data / "clinc150" / f"{name}.jsonl")
            dataset = load_examples({"train": uri}, platform.registry)
            examples = dataset.examples
            features = frozen(platform, [e.text for e in examples], base)
            folds = deal(examples)
            rows = []
            for seed in range(seeds):
                spoiled, wrong = spoil(examples, dataset.scheme.classes, share, seed)
                found, _ = contradicted(spoiled, dataset.scheme, features, folds, lambda *_: None)
                rows.append([len(wrong), *figures(found, wrong)])
            means, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
            print(
                f"{name:20} {len(examples):6,} {means[0]:6.0f} {means[1]:6.1f} "
                + "  ".join(
                    f"{m:6.3f} ±{s:.3f}" for m, s in zip(means[2:], spread[2:], strict=True)
                )
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


def figures(found: Sequence[LabelError], wrong: set[str]) -> tuple[Any, ...]:
    """How many were found, precision, recall, and the precision of the surer half."""
    hits = [error.where in wrong for error in found]
    half = hits[: (len(hits) + 1) // 2]
    return (
        len(hits),
        sum(hits) / max(1, len(hits)),
        sum(hits) / len(wrong),
        sum(half) / max(1, len(half)),
    )


if __name__ == "__main__":
    typer.run(main)
