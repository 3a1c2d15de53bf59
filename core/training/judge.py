"""How good an adapter is: the labelled texts to judge it by, and how it does on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import DataError, UsageError, unknown
from ..examples import SPLITS, load_examples
from ..registry import Domain
from . import report as reports
from .evaluate import evaluate
from .recipe import FILE as RECIPE
from .recipe import Recipe, make_recipe, read_recipe
from .requests import by_split
from .splits import make_splits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..examples import Example
    from ..registry import Registry
    from ..store.source import AdapterSource
    from .requests import Data

    Ask = Callable[[AdapterSource, Sequence[str]], NDArray[np.float32]]
    """An adapter's logits ``(texts, classes)``, before calibration."""


@dataclass(frozen=True, slots=True)
class Judging:
    """Labelled texts to judge an adapter by.

    Attributes:
        split: which part of the data they are; None: all of it.
        data_fingerprint: of all the data that they were taken from, as manifests keep it.
    """

    examples: Sequence[Example]
    split: str | None
    data_fingerprint: str

    @property
    def texts(self) -> list[str]:
        return [example.text for example in self.examples]


def judge(
    source: AdapterSource,
    registry: Registry,
    ask: Ask,
    *,
    data: Data | None = None,
    columns: Mapping[str, str] | None = None,
    split: str = "test",
) -> dict[str, Any]:
    """What `evaluate` says of an adapter's answers to the texts that judge it (`texts_to_judge`).

    ``split`` is the part of the data that the texts are, or None for all of it. On validation and
    test texts of the very data that the adapter was made from, ``baselines`` from its report too.

    Raises:
        as `texts_to_judge`.
    """
    judging = texts_to_judge(source, registry, data=data, columns=columns, split=split)
    logits = ask(source, judging.texts)
    manifest = source.manifest
    probabilities = manifest.scheme.probabilities(logits, manifest.calibration.temperature)
    found: dict[str, Any] = {
        **evaluate(
            probabilities, judging.examples, manifest.scheme, manifest.calibration.thresholds
        )
    }
    # Baselines of other texts would compare what cannot be compared.
    same = judging.data_fingerprint == manifest.data_fingerprint
    report = reports.read(source.path) if same and judging.split in ("val", "test") else None
    if report:
        found["baselines"] = report["baselines"]
    return {"adapter": manifest.reference, "split": judging.split, **found}


def texts_to_judge(
    source: AdapterSource,
    registry: Registry,
    *,
    data: Data | None = None,
    columns: Mapping[str, str] | None = None,
    split: str = "test",
) -> Judging:
    """The examples of one split, as the adapter's training saw them.

    The data that the adapter was made from is split as its training did, wherever it lies now, so
    that no text of training is judged unasked. Other data without splits is judged whole.

    Raises:
        DataError: there is no data, or the split has no texts.
        UsageError: there is no such split.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS, UsageError)
    manifest = source.manifest
    brought = registry.domains.get(manifest.name)
    if data is None and brought is None:
        raise DataError(
            f"there is no data to judge {manifest.reference} by: it is of no installed domain",
            "give --data FILE",
        )
    domain = brought.value if brought else Domain(manifest.name, data={})
    dataset = load_examples(
        by_split(domain.data if data is None else data),
        registry,
        columns={**domain.columns, **(columns or {})},
        scheme=manifest.scheme,
    )
    fingerprint = dataset.fingerprint()
    examples: Sequence[Example] = dataset.examples
    if data is None or fingerprint == manifest.data_fingerprint:
        recipe = stored_recipe(source)
        splits = make_splits(
            examples,
            dataset.scheme,
            seed=recipe.seed,
            val_share=recipe.val_share,
            test_share=recipe.test_share,
        )
        examples = (*splits.train, *splits.val, *splits.test)
    elif not any(example.split for example in examples):
        return Judging(examples, None, fingerprint)
    chosen = [example for example in examples if example.split == split]
    if not chosen:
        found = {example.split for example in examples}
        others = [name for name in SPLITS if name in found]
        raise DataError(
            f"there are no texts in the split {split!r}", f"use --split {' or '.join(others)}"
        )
    return Judging(chosen, split, fingerprint)


def stored_recipe(source: AdapterSource) -> Recipe:
    """The recipe that an adapter was trained by; the default where it brings none."""
    path = source.path / RECIPE
    return make_recipe(read_recipe(path)) if path.is_file() else make_recipe()
