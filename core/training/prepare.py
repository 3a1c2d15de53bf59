"""What training needs before its first step: examples on their sides, token rows, features."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..bases import Base
from ..data.summary import conflict_notes
from ..engine.encoder import length_batches, pooled
from ..errors import RecipeError, TrainingError
from ..examples import SPLITS, Dataset, Example, load_examples, row_notes
from ..heads import Pooling, check_pooling
from ..labels import LabelScheme
from ..tokens import Encoded, TextEncoder, unreadable, written
from .augment import training_splits
from .frozen import Rows, feed
from .linear import targets
from .model import virtual_tokens
from .recipe import Recipe
from .requests import TrainingRequest
from .splits import Splits
from .workshop import Workshop

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORTEST = 4  # tokens; as the recipe's max_length has it


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is fixed before the first step.

    Attributes:
        rows: token ids of each text, by split.
        wanted: targets by split (`linear.targets`).
        base: the resolved base; `pooling` what the head will read.
        max_length: tokens that the adapter reads of a text, special tokens included.
        epochs, batch_size, steps: how long the training is.
        balanced: whether classes are weighed.
        tokens_per_character: the 99th percentile of the training texts that were read to their end;
            0 where none was.
        notes: sentences on the data that the report keeps.
    """

    dataset: Dataset
    splits: Splits
    base: Base
    pooling: Pooling
    rows: Mapping[str, Sequence[tuple[int, ...]]]
    wanted: Mapping[str, NDArray[np.int64]]
    max_length: int
    epochs: int
    batch_size: int
    steps: int
    balanced: bool
    tokens_per_character: float
    notes: tuple[str, ...]

    @property
    def scheme(self) -> LabelScheme:
        return self.dataset.scheme

    @property
    def seen(self) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """`rows` of the splits that choices may be made by."""
        return {split: self.rows[split] for split in ("train", "val")}

    def examples(self, split: str) -> Sequence[Example]:
        """The examples on one side."""
        return getattr(self.splits, split)  # type: ignore[no-any-return]  # one of SPLITS


def prepare(request: TrainingRequest, workshop: Workshop) -> Prepared:
    """Reads and splits the data, finds the base, and tokenises.

    Raises:
        DataError, SchemeError, BaseUnavailable: as their rooms say.
        TrainingError: a class of the scheme has no training example, or the loss does not fit it.
        RecipeError: a prompt leaves no room for a text.
    """
    dataset = load_examples(
        request.data,
        workshop.registry,
        columns=request.columns,
        scheme=request.scheme,
        kind=request.kind,
    )
    recipe = request.recipe
    _check_loss(recipe, dataset.scheme)
    splits = training_splits(dataset, recipe)
    base = workshop.bases.resolve(recipe.base or request.base_id)
    encoder = TextEncoder(base)
    max_length = _room(recipe, base, encoder)
    texts = {split: [example.text for example in getattr(splits, split)] for split in SPLITS}
    encoded = {split: encoder.encode(texts[split], max_length) for split in SPLITS}
    wanted: dict[str, NDArray[np.int64]] = {
        split: targets(getattr(splits, split), dataset.scheme) for split in SPLITS
    }
    counts = _class_counts(dataset.scheme, wanted["train"])
    epochs, batch_size, steps = _pace(recipe, len(texts["train"]), len(dataset.scheme.classes))
    return Prepared(
        dataset=dataset,
        splits=splits,
        base=base,
        pooling=check_pooling(base.pooling if recipe.pooling == "auto" else recipe.pooling),
        rows={split: [e.ids for e in encoded[split]] for split in SPLITS},
        wanted=wanted,
        max_length=max_length,
        epochs=epochs,
        batch_size=batch_size,
        steps=steps,
        balanced=_is_balanced(recipe, dataset.scheme, counts),
        tokens_per_character=_density(texts["train"], encoded["train"]),
        notes=(
            *row_notes(dataset),
            *conflict_notes(dataset.examples),
            *dataset.notes,
            *splits.notes,
            *_unreadable(texts["train"], encoded["train"], base),
        ),
    )


def reading(recipe: Recipe) -> tuple[Any, ...]:
    """What a recipe says about reading texts; alike in all recipes that one `Prepared` is for."""
    shares = recipe.seed, recipe.val_share, recipe.test_share
    texts = recipe.label_texts, recipe.typos, recipe.max_length, virtual_tokens(recipe)
    return (recipe.base, recipe.pooling, *shares, *texts)


def again(prepared: Prepared, recipe: Recipe) -> Prepared:
    """The same texts for another recipe that is alike in `reading`. Raises as `prepare` does."""
    scheme, wanted = prepared.scheme, prepared.wanted["train"]
    _check_loss(recipe, scheme)
    epochs, batch_size, steps = _pace(recipe, len(wanted), len(scheme.classes))
    return replace(
        prepared,
        epochs=epochs,
        batch_size=batch_size,
        steps=steps,
        balanced=_is_balanced(recipe, scheme, _class_counts(scheme, wanted)),
    )


def _pace(recipe: Recipe, texts: int, classes: int) -> tuple[int, int, int]:
    """Epochs, examples a step, and steps in all."""
    epochs, batch_size = recipe.epochs_for(texts, classes), recipe.batch_for(texts, classes)
    return epochs, batch_size, epochs * math.ceil(texts / batch_size)


def _check_loss(recipe: Recipe, scheme: LabelScheme) -> None:
    if recipe.loss == "contrastive" and scheme.kind == "multi":
        raise TrainingError(
            "the contrastive loss needs one label a text, and this scheme is multi-label",
            "use loss = 'auto' or 'cross_entropy'",
        )


def _room(recipe: Recipe, base: Base, encoder: TextEncoder) -> int:
    """Tokens of a text that there is room for beside a prompt method's virtual ones."""
    virtual = virtual_tokens(recipe)
    room = min(recipe.max_length, encoder.limit, base.max_positions - virtual)
    if room < SHORTEST:
        raise RecipeError(
            f"{virtual} virtual tokens leave no room for a text: the base {base.id!r} reads "
            f"{base.max_positions} tokens",
            "lower peft.num_virtual_tokens",
        )
    return room


def _density(texts: Sequence[str], encoded: Sequence[Encoded]) -> float:
    """Tokens a character, of the texts that were read to their end: of others both are unknown."""
    pairs = zip(texts, encoded, strict=True)
    whole = [e.inner / max(1, written(text)) for text, e in pairs if not e.truncated]
    return float(np.percentile(whole, 99)) if whole else 0.0


def _unreadable(texts: Sequence[str], encoded: Sequence[Encoded], base: Base) -> list[str]:
    """What the base cannot read of the training texts."""
    notices = [unreadable(*pair, base, 0.0) for pair in zip(texts, encoded, strict=True)]
    count = sum(1 for found in notices if found)
    if not count:
        return []
    return [
        f"the base {base.id!r} cannot read {count} of the {len(texts)} training texts, in scripts "
        "or words that it does not know; the default base reads about 100 languages"
    ]


def features(
    encoder: Any,
    rows: Rows,
    pooling: Pooling,
    pad_id: int,
    workshop: Workshop,
    tick: Callable[[int, int], None],
) -> NDArray[np.float32]:
    """Pooled states ``(texts, hidden)`` of rows, in their order."""
    device = workshop.device
    result: NDArray[np.float32] | None = None
    done = 0
    encoder.eval()
    with torch.inference_mode():
        for batch in length_batches([len(row) for row in rows], workshop.batch_tokens):
            inputs, mask = feed([rows[i] for i in batch], pad_id, device)
            states = pooled(encoder, inputs, mask, pooling).float().cpu().numpy()
            if result is None:
                result = np.empty((len(rows), states.shape[1]), dtype=np.float32)
            result[batch] = states
            done += len(batch)
            tick(done, len(rows))
    return result if result is not None else np.empty((0, 1), dtype=np.float32)


def seconds_a_text(encoder: Any, prepared: Prepared, workshop: Workshop, sample: int = 64) -> float:
    """Measured time of a frozen forward pass over typical training texts, the first one apart."""
    rows = prepared.rows["train"]
    picked = rows[:: max(1, len(rows) // sample)][:sample]
    for _ in range(2):
        start = time.perf_counter()
        features(encoder, picked, prepared.pooling, prepared.base.pad_id, workshop, lambda *_: None)
        seconds = time.perf_counter() - start
    return seconds / len(picked)


def _class_counts(scheme: LabelScheme, wanted: NDArray[np.int64]) -> dict[str, int]:
    if scheme.kind == "multi":
        counts = wanted.sum(axis=0)
    else:
        counts = np.bincount(wanted, minlength=len(scheme.classes))
    return dict(zip(scheme.classes, (int(n) for n in counts), strict=True))


def _is_balanced(recipe: Recipe, scheme: LabelScheme, counts: Mapping[str, int]) -> bool:
    if recipe.class_weights != "auto":
        return recipe.class_weights == "balanced"
    uneven = max(counts.values()) > 3 * min(counts.values())
    return uneven and scheme.kind != "multi"
