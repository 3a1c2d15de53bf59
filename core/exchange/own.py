"""Adapters of ours from another store, which answer here as they did there or do not come in."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine.published import FILES, read_config, read_head
from ..errors import AdapterCorrupt, BaseUnavailable, PlatformError, PluginError
from ..postprocess import build_chain
from ..scope import has_scope, read_scope
from ..seen import has_seen, read_seen
from ..store.manifest import WORSE, Manifest
from ..store.source import AdapterSource
from ..store.verify import damage, strangers
from ..token_bag import read_token_bag

if TYPE_CHECKING:
    from ..bases import Base
    from ..training.workshop import Workshop

log = logging.getLogger(__name__)


def import_own(
    directory: Path,
    name: str | None,
    base_id: str | None,
    workshop: Workshop,
    *,
    promote: bool,
    allow_worse: bool,
) -> Manifest:
    """Publishes a published adapter file by file as it is, once it is seen to run.

    Where its base is not here, only its files are judged, and a warning says so.
    """
    manifest = _read_whole(directory)
    base = _base(directory, manifest, base_id, workshop)
    if base_id is not None and base is not None:
        manifest = replace(manifest, base=replace(manifest.base, id=base.id))
    promote = manifest.is_promoted(promote, allow_worse)
    with workshop.store.stage(name or manifest.name) as staged:
        for file in manifest.files:
            (staged / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(directory / file, staged / file)
        # Whoever writes there may have done so since it was hashed.
        if damage(staged, manifest):
            raise AdapterCorrupt(f"the adapter in {directory} has changed while it was copied")
        with named_by(directory, manifest):
            _check(AdapterSource(staged, manifest, manifest.content_hash), base, workshop)
        _warn_of_steps(directory, manifest, workshop)
        renamed = replace(manifest, name=name or manifest.name)
        published = workshop.store.publish(staged, renamed, promote=promote)
    if published.worse_than_probe:
        now = "and is current" if promote else "and is not current"
        log.warning("%s is %s, %s", published.reference, WORSE, now)
    return published


@contextmanager
def named_by(directory: Path, manifest: Manifest) -> Iterator[None]:
    """An error inside names the directory that somebody gave, not the version to be."""
    try:
        yield
    except PlatformError as error:
        named = error.message.replace(manifest.reference, str(directory))
        raise type(error)(named, error.hint) from error


def _read_whole(directory: Path) -> Manifest:
    manifest = Manifest.read(directory)
    absent = [file for file in FILES if file not in manifest.files]
    if absent:
        raise AdapterCorrupt(f"the manifest in {directory} lists no {absent[0]}")
    found = damage(directory, manifest)
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise AdapterCorrupt(
            f"the adapter in {directory} is damaged: {found[0]}{more}", "export it again"
        )
    for sentence in strangers(directory, manifest):
        log.warning("%s: %s, and is left behind", directory, sentence)
    return manifest


def _base(
    directory: Path, manifest: Manifest, base_id: str | None, workshop: Workshop
) -> Base | None:
    """The base to run it on, or None where it is not here and nobody says where it lies."""
    try:
        with named_by(directory, manifest):
            base, warning = workshop.bases.for_adapter(manifest, base_id)
    except BaseUnavailable as error:
        if base_id is not None:
            raise
        log.warning("%s; so it has not been run here", error.message)
        return None
    if warning:
        log.warning("%s: %s", directory, warning)
    return base


def _check(source: AdapterSource, base: Base | None, workshop: Workshop) -> None:
    """Raises `AdapterCorrupt` or `AdapterUnsupported` for what no engine could answer with."""
    import numpy as np

    from ..engine.peft_groups import check_supported
    from .proof import engine_logits, sample_rows

    check_supported(source, read_config(source))
    read_head(source, source.manifest.base.hidden_size)
    if has_scope(source.manifest):
        read_scope(source)
    if source.manifest.token_bag:
        read_token_bag(source)
    if has_seen(source.manifest):
        read_seen(source)
    if base is None:
        return
    logits = engine_logits(base, source, sample_rows(base), workshop.device)
    if not np.isfinite(logits).all():
        raise AdapterCorrupt(f"{source.manifest.reference} gives logits that are no numbers")


def _warn_of_steps(directory: Path, manifest: Manifest, workshop: Workshop) -> None:
    try:
        with named_by(directory, manifest):
            build_chain(manifest, workshop.registry)
    except PluginError as error:
        hint = f" ({error.hint})" if error.hint else ""
        log.warning("%s; until then it does not answer%s", error.message, hint)
