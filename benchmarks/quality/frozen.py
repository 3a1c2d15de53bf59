"""What figures of data care are taken on: clinc150 domains, as a frozen base reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from adapter_platform.core.examples import Dataset
    from adapter_platform.core.platform import Platform

    Floats = NDArray[np.floating[Any]]

DOMAINS = ("banking", "travel", "work")

Folder = Annotated[Path, typer.Argument(help="The folder that holds clinc150/DOMAIN.jsonl.")]
Domains = Annotated[list[str] | None, typer.Option(help="Again for more.")]


def frozen_domains(
    platform: Platform, data: Path, domains: Sequence[str] | None, split: str, base: str | None
) -> Iterator[tuple[str, Dataset, Floats]]:
    """Each domain's name, its texts, and their features ``(texts, hidden)``.

    Args:
        domains: None: `DOMAINS`.
        split: what the texts are taken for; ``all``: as their file says.
        base: None: the settings'.
    """
    from adapter_platform.core.examples import load_examples

    for name in domains or DOMAINS:
        uri = str(data / "clinc150" / f"{name}.jsonl")
        dataset = load_examples({split: uri}, platform.registry)
        yield name, dataset, _frozen(platform, [e.text for e in dataset.examples], base)


def _frozen(platform: Platform, texts: Sequence[str], base: str | None) -> Floats:
    from adapter_platform.core.care.frozen import frozen_features
    from adapter_platform.core.tokens import TextEncoder
    from adapter_platform.core.training.recipe import make_recipe
    from adapter_platform.core.training.workshop import Quiet, open_workshop

    resolved = platform.bases.resolve(base or platform.settings.base)
    workshop = open_workshop(
        platform.settings, platform.store, platform.bases, platform.registry, platform.listener
    )
    rows = TextEncoder(resolved).encode(texts, make_recipe().max_length)
    return frozen_features([row.ids for row in rows], resolved, workshop, Quiet())
