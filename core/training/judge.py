"""How good an adapter is: the labelled texts to judge it by, and how it does on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, PlatformError, UsageError, unknown
from ..examples import SPLITS, load_examples, row_notes
from ..registry import Domain
from ..seen import TENSORS as SEEN
from ..seen import Seen, has_seen, read_seen
from . import report as reports
from .after_steps import acting_steps, after_steps
from .evaluate import evaluate
from .recipe import FILE as RECIPE
from .recipe import Recipe, make_recipe, read_recipe
from .requests import by_split
from .splits import recipe_splits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..answers import Said
    from ..examples import Example
    from ..registry import Registry
    from ..store.source import AdapterSource
    from .requests import Data

    Ask = Callable[[AdapterSource, Sequence[str]], NDArray[np.float32]]
    """An adapter's logits ``(texts, classes)``, before calibration."""
    Hear = Callable[[AdapterSource, Sequence[str]], Sequence[Said]]
    """What an adapter says of texts, before and after its steps."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """What labelled texts are for, as errors say it.

    Attributes:
        words: with the adapter's name to go into them.
        instead: what to do where the split that is wanted has no texts, with those that have some.
    """

    words: str
    instead: str


JUDGING = Purpose("judge {} by", "use --split {}")
PROFILING = Purpose("make the profile of {} from", "give the file as --data train=FILE")


@dataclass(frozen=True, slots=True)
class Judging:
    """Labelled texts to judge an adapter by.

    Attributes:
        split: which part of the data they are; None: all of it.
        data_fingerprint: of all the data that they were taken from, as manifests keep it.
        seen: how many were left out because an adapter that is judged has seen them.
        unknown: the adapters of which nobody knows what they have seen, as ``name@version``.
        notes: sentences on rows of the data that cannot be used.
    """

    examples: Sequence[Example]
    split: str | None
    data_fingerprint: str
    seen: int = 0
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def texts(self) -> list[str]:
        return [example.text for example in self.examples]


def judge(
    source: AdapterSource,
    registry: Registry,
    ask: Ask,
    hear: Hear,
    *,
    data: Data | None = None,
    columns: Mapping[str, str] | None = None,
    split: str = "test",
) -> dict[str, Any]:
    """What `evaluate` says of an adapter's answers to the texts that judge it (`texts_to_judge`),
    before any step, and ``split``, ``seen``, ``unknown`` and ``notes`` of `Judging`.

    Of steps that may withhold or change answers ``after_steps`` says what they do to them. On
    validation and test texts of the very data that the adapter was made from, where none of them
    was left out, ``baselines`` from its report too.

    Raises:
        as `texts_to_judge`.
    """
    judging = texts_to_judge(source, registry, data=data, columns=columns, split=split)
    manifest, notes = source.manifest, list(judging.notes)
    said: Sequence[Said] = ()
    if acting_steps(manifest):
        try:
            said = hear(source, judging.texts)
        except PlatformError as error:  # without its steps the adapter can still be judged
            notes.append(f"what its own steps answer is not judged: {error.message}")
    logits = np.stack([one.logits for one in said]) if said else ask(source, judging.texts)
    probabilities = manifest.scheme.probabilities(logits, manifest.calibration.temperature)
    found: dict[str, Any] = {
        **evaluate(
            probabilities, judging.examples, manifest.scheme, manifest.calibration.thresholds
        )
    }
    if said:
        found["after_steps"] = after_steps(said, judging.examples, manifest)
    # Baselines of other texts would compare what cannot be compared.
    same = judging.data_fingerprint == manifest.data_fingerprint and not judging.seen
    report = reports.read(source.path) if same and judging.split in ("val", "test") else None
    if report:
        found["baselines"] = report["baselines"]
    return {
        "adapter": manifest.reference,
        "split": judging.split,
        "seen": judging.seen,
        "unknown": list(judging.unknown),
        "notes": notes,
        **found,
    }


def texts_to_judge(
    source: AdapterSource,
    registry: Registry,
    *,
    beside: Sequence[AdapterSource] = (),
    data: Data | None = None,
    columns: Mapping[str, str] | None = None,
    split: str = "test",
) -> Judging:
    """The texts of `split_texts` that are new to the adapter, whatever the data has become.

    Left out is what the adapter itself keeps of its training (`core.seen`): training texts, and
    validation texts unless those are asked for. Who asks for training texts gets them, but not to
    judge several adapters. Adapters without that file are known by the data that they were made
    from, where it is these very data or their domain's; `Judging.unknown` names the others.

    Args:
        beside: other adapters that the texts shall be new to as well.

    Raises:
        as `split_texts`.
        AdapterCorrupt: what an adapter has seen cannot be read.
        DataError: the adapters have seen all of the texts.
    """
    judging = split_texts(source, registry, data=data, columns=columns, split=split)
    if split == "train" and not beside:
        return judging
    if data is None:
        domain = registry.domains[source.manifest.name].value
        data, columns = domain.data, {**domain.columns, **(columns or {})}
    splits = ("train",) if judging.split in SEEN else SEEN
    sources = (source, *beside)
    old, strangers = np.zeros(len(judging.examples), bool), []
    for one in sources:
        seen = _seen(one, registry, data, columns)
        if seen is None:
            strangers.append(one.manifest.reference)
        else:
            old |= seen.among(judging.texts, splits)
    if old.all():
        who = " or ".join(one.manifest.reference for one in sources)
        raise DataError(
            f"there is nothing to judge by: {who} was trained on all of the {len(old)} texts, or "
            "chosen by them",
            "give --data with other texts",
        )
    new = [example for example, is_old in zip(judging.examples, old, strict=True) if not is_old]
    return replace(judging, examples=new, seen=int(old.sum()), unknown=tuple(strangers))


def _seen(
    source: AdapterSource, registry: Registry, data: Data, columns: Mapping[str, str] | None
) -> Seen | None:
    """What an adapter has seen: as it says itself, or else as the data tell that it was made from,
    if they are `data` or those of its domain.
    """
    if has_seen(source.manifest):
        return read_seen(source)
    places: list[tuple[Data | None, Mapping[str, str] | None]] = [(data, columns)]
    if source.manifest.name in registry.domains:
        places.append((None, None))
    for where, named in places:
        try:
            fingerprint, examples, _ = _load(source, registry, where, named)
        except PlatformError:  # those data are not to be had, or not for these labels
            continue
        if fingerprint == source.manifest.data_fingerprint:
            texts = {part: [e.text for e in examples if e.split == part] for part in SEEN}
            return Seen.of(texts["train"], texts["val"])
    return None


def split_texts(
    source: AdapterSource,
    registry: Registry,
    *,
    data: Data | None = None,
    columns: Mapping[str, str] | None = None,
    split: str = "test",
    purpose: Purpose = JUDGING,
) -> Judging:
    """The examples of one split, whether the adapter has seen them or not.

    The data that the adapter was made from is split as its training did, wherever it lies now, and
    so are those of its domain. Other data without splits is taken whole.

    Args:
        purpose: what the texts are for; errors say so.

    Raises:
        DataError: there is no data, or the split has no texts.
        UsageError: there is no such split.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS, UsageError)
    fingerprint, examples, notes = _load(source, registry, data, columns, purpose)
    if not any(example.split for example in examples):
        return Judging(examples, None, fingerprint, notes=notes)
    chosen = [example for example in examples if example.split == split]
    if not chosen:
        found = {example.split for example in examples}
        others = [name for name in SPLITS if name in found]
        raise DataError(
            f"there are no texts in the split {split!r}",
            purpose.instead.format(" or ".join(others)),
        )
    return Judging(chosen, split, fingerprint, notes=notes)


def _load(
    source: AdapterSource,
    registry: Registry,
    data: Data | None,
    columns: Mapping[str, str] | None,
    purpose: Purpose = JUDGING,
) -> tuple[str, Sequence[Example], tuple[str, ...]]:
    """The data's fingerprint, its examples, split where they are the adapter's own (`split_texts`),
    and notes on its rows.

    Raises `DataError` where there are none.
    """
    manifest = source.manifest
    brought = registry.domains.get(manifest.name)
    if data is None and brought is None:
        raise DataError(
            f"there is no data to {purpose.words.format(manifest.reference)}: "
            "it is of no installed domain",
            "give --data FILE",
        )
    domain = brought.value if brought else Domain(manifest.name, data={})
    dataset = load_examples(
        by_split(domain.data if data is None else data),
        registry,
        columns={**domain.columns, **(columns or {})},
        scheme=manifest.scheme,
    )
    fingerprint, notes = dataset.fingerprint(), tuple(row_notes(dataset))
    if data is not None and fingerprint != manifest.data_fingerprint:
        return fingerprint, dataset.examples, notes
    splits = recipe_splits(dataset, stored_recipe(source))
    return fingerprint, (*splits.train, *splits.val, *splits.test), notes


def stored_recipe(source: AdapterSource) -> Recipe:
    """The recipe that an adapter was trained by; the default where it brings none."""
    path = source.path / RECIPE
    return make_recipe(read_recipe(path)) if path.is_file() else make_recipe()
