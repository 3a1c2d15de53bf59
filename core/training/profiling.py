"""Routing profiles: a training's own, and that of an adapter which was published without one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..engine.encoder import load_encoder
from ..hashes import sha256
from ..routing.profile import FILE, POOLING, TOKENS, Profile, cut_rows, sample
from ..store.verify import verify_files
from ..tokens import TextEncoder
from .prepare import Prepared, features
from .workshop import Progress, Workshop

if TYPE_CHECKING:
    from ..bases import Base
    from ..examples import Example
    from ..store.manifest import Manifest
    from ..store.source import AdapterSource

NOTE = "reading with the frozen base (routing)"


def training_profile(
    encoder: Any, prepared: Prepared, workshop: Workshop, progress: Progress
) -> Profile:
    """The profile of the training texts, without those that the recipe has added to the data's.

    Args:
        encoder: the bare base.
    """
    given = {(example.where, example.text) for example in prepared.dataset.examples}
    train = prepared.examples("train")
    own = [i for i, example in enumerate(train) if (example.where, example.text) in given]
    picked = [own[i] for i in sample([train[i] for i in own])]
    rows = cut_rows([prepared.rows["train"][i] for i in picked])
    labels = [train[i].labels for i in picked]
    return _profile(encoder, rows, labels, prepared.base, workshop, progress)


def add_profile(
    source: AdapterSource,
    examples: Sequence[Example],
    location: str | None,
    workshop: Workshop,
    progress: Progress,
) -> Manifest:
    """Publishes an adapter's next version, which differs by its profile alone.

    It becomes current where the version that it is made from is. One that has this very profile
    already stays as it is.

    Args:
        examples: texts of the adapter's kind.
        location: where the adapter's own base lies, if not where its id says.

    Raises:
        AdapterCorrupt: the version is damaged.
        PlatformError: its base is not here, or the store cannot be written.
    """
    manifest, store = source.manifest, workshop.store
    with store.stage(manifest.name) as staged:
        verify_files(source)
        base, _ = workshop.bases.for_adapter(manifest, location)
        picked = [examples[i] for i in sample(examples)]
        texts, labels = [e.text for e in picked], [e.labels for e in picked]
        encoded = TextEncoder(base).encode(texts, min(TOKENS, manifest.max_length))
        rows = [one.ids for one in encoded]
        encoder = load_encoder(base, workshop.device)
        _profile(encoder, rows, labels, base, workshop, progress).save(staged)
        if manifest.files.get(FILE) == sha256(staged / FILE):
            return manifest
        for file in manifest.files:
            if file != FILE:
                (staged / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source.path / file, staged / file)
        promote = store.is_current(manifest.name, manifest.version)
        published = store.publish(staged, replace(manifest, created=""), promote=promote)
    workshop.listener.after_adapter_published(published)
    return published


def _profile(
    encoder: Any,
    rows: Sequence[tuple[int, ...]],
    labels: Sequence[tuple[str, ...]],
    base: Base,
    workshop: Workshop,
    progress: Progress,
) -> Profile:
    def tick(done: int, total: int) -> None:
        progress.advance(done, total, NOTE)

    return Profile.of(features(encoder, rows, POOLING, base.pad_id, workshop, tick), labels)
