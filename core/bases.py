"""Bases: from an id to a model directory whose fingerprint is known."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BaseMismatch, BaseUnavailable, unknown
from .hashes import remembered_hashes
from .model_directory import (
    CONFIG,
    FETCHED,
    INDEX,
    WEIGHTS,
    decisive_files,
    default_pooling,
    read_config,
    tokenizer_settings,
)
from .store.manifest import BaseRecord, Manifest

if TYPE_CHECKING:
    from .registry import BaseModel, Registry

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
# Written by whoever saved the file last; no answer depends on them.
INCIDENTAL = ("_name_or_path", "transformers_version", "torch_dtype", "dtype", "architectures")
ELSEWHERE = (
    "if it lies elsewhere, say where: --base DIRECTORY; for good, export the adapter and import it "
    "again with --base DIRECTORY"
)


@dataclass(frozen=True, slots=True)
class Base:
    """A base that lies on this machine.

    Attributes:
        id: registry name, Hub id, or a directory's absolute path.
        path: a Hugging Face model directory.
        fingerprint: SHA-256 over weights, tokenizer and configuration.
        scripts: Unicode scripts that it reads; empty: not declared.
        pooling: what ``auto`` means for heads on it.
        architecture: model type in `config.json`, ``bert``.
    """

    id: str
    path: Path
    fingerprint: str
    scripts: tuple[str, ...]
    pooling: str
    hidden_size: int
    layers: int
    architecture: str
    max_positions: int
    pad_id: int

    def record(self) -> BaseRecord:
        """What a manifest keeps of it."""
        return BaseRecord(
            self.id, self.fingerprint, self.hidden_size, self.layers, self.architecture
        )


class Bases:
    """Finds bases: names that plugins brought, local directories, and Hub ids.

    Args:
        registry: brings the named bases.
        cache: directory for built bases, remembered fingerprints and plain tokenizers.
    """

    def __init__(self, registry: Registry, cache: Path) -> None:
        self._registry = registry
        self.cache = cache

    def named(self) -> dict[str, BaseModel]:
        """The bases that plugins brought, by id."""
        return {name: brought.value for name, brought in self._registry.bases.items()}

    def resolve(self, given: str, *, rehash: bool = False) -> Base:
        """The base that somebody names, built or downloaded if need be.

        A name that a plugin brought comes first (``./minilm`` is a directory all the same), then an
        existing directory, from here or absolute; anything else that looks like one is a Hub id.

        Args:
            rehash: hash every file again instead of trusting unchanged size, mtime and inode.

        Raises:
            BaseUnavailable: it is not here and cannot be brought, or is not a model directory, or
                its files, hashed again, are not those that it is pinned to.
        """
        return self._base(self._identify(given), rehash)

    def for_adapter(self, manifest: Manifest, location: str | None = None) -> tuple[Base, str]:
        """The base that an adapter runs on, and a warning sentence or "".

        Args:
            location: where the adapter's own base lies, if not where its id says.

        Raises:
            BaseUnavailable: it is not here.
            BaseMismatch: what is there is another model.
        """
        base = self.resolve(location) if location is not None else self._recorded(manifest)
        return base, check_base(manifest, base)

    def _identify(self, given: str) -> str:
        """The id that means the same in every working directory."""
        if not given.strip():  # would be the working directory
            raise BaseUnavailable("a base needs a name", "platform bases list shows names")
        if given in self._registry.bases:
            return given
        local = os.path.expanduser(given)  # noqa: PTH111 - pathlib's raises for ~nobody
        if os.path.isdir(local):  # noqa: PTH112 - pathlib's raises for what is too long for a path
            return str(Path(local).resolve())
        if os.path.exists(local):  # noqa: PTH110 - so does this one of pathlib's
            raise BaseUnavailable(f"the base {given!r} is a file, not a model directory")
        return given

    def _recorded(self, manifest: Manifest) -> Base:
        """As a manifest names it: nothing in the working directory is meant by it."""
        record = manifest.base
        try:
            return self._base(record.id)
        except BaseUnavailable as error:
            raise BaseUnavailable(
                f"{manifest.reference} needs the base {record.id!r} ({record.fingerprint[:12]}): "
                f"{error.message}",
                error.hint if record.id in self._registry.bases else ELSEWHERE,
            ) from error

    def _base(self, base_id: str, rehash: bool = False) -> Base:
        spec = self.named().get(base_id)
        path = spec.fetch(self.cache) if spec else self._directory(base_id)
        config = read_config(path)
        number = partial(_number, config, path / CONFIG)
        unpadded = config.get("pad_token_id") is None
        base = Base(
            id=base_id,
            path=path,
            fingerprint=self._fingerprint(path, config, rehash),
            scripts=spec.scripts if spec else (),
            pooling=spec.pooling if spec else default_pooling(path),
            hidden_size=number("hidden_size", "dim"),
            layers=number("num_hidden_layers", "n_layers"),
            architecture=str(config["model_type"]),
            max_positions=number("max_position_embeddings", default=512),
            pad_id=0 if unpadded else number("pad_token_id", least=0),
        )
        if rehash and spec and spec.verify:  # after the damage, if any, is in the fingerprint
            spec.verify(path)
        return base

    def _directory(self, base_id: str) -> Path:
        path = Path(base_id)
        if path.is_absolute() and os.path.isdir(path):  # noqa: PTH112 - as in _identify
            return path
        if not HUB_ID.fullmatch(base_id):
            raise BaseUnavailable(
                f"the base directory {base_id!r} does not exist",
                "where it has moved, give its directory now; platform bases list shows names",
            )
        return self._from_hub(base_id)

    def _from_hub(self, base_id: str) -> Path:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )

        try:
            path = Path(snapshot_download(base_id, allow_patterns=list(FETCHED)))
        except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
            near = unknown("base", base_id, self.named(), BaseUnavailable)
            raise BaseUnavailable(
                f"the base {base_id!r} is no name, no directory, and cannot be had from the Hub",
                near.hint,
            ) from error
        if not any((path / name).is_file() for name in (WEIGHTS, INDEX)):
            raise BaseUnavailable(
                f"the base {base_id!r} has come from the Hub without safetensors weights, and only "
                "those are read",
                f"if it has others: hf download {base_id} --local-dir DIR, then platform bases "
                "fetch DIR says how to convert them",
            )
        return path

    def _fingerprint(self, path: Path, config: dict[str, Any], rehash: bool) -> str:
        hashes = remembered_hashes(path, decisive_files(path), self.cache, rehash=rehash)
        kept = {key: value for key, value in config.items() if key not in INCIDENTAL}
        lines = [f"{name} {digest}" for name, digest in sorted(hashes.items())]
        lines.append(json.dumps(kept, sort_keys=True))
        settings = tokenizer_settings(path)
        if settings:
            lines.append(json.dumps(settings, sort_keys=True))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _number(
    config: Mapping[str, Any], path: Path, *names: str, default: int | None = None, least: int = 1
) -> int:
    """The whole number that a configuration has under the first of the names that is there."""
    name = next((name for name in names if name in config), names[0])
    value = config.get(name, default)
    if value is None and name not in config:
        raise BaseUnavailable(f"{path} has no {name!r}: no encoder of the BERT family")
    if type(value) is not int or value < least:
        raise BaseUnavailable(
            f"{path} has {value!r} for {name!r}, where a whole number from {least} on belongs"
        )
    return value


def check_base(manifest: Manifest, base: Base) -> str:
    """A warning sentence where the adapter's base has changed since training, else "".

    Raises:
        BaseMismatch: it is another model than the adapter was trained on.
    """
    wanted = manifest.base
    if base.fingerprint == wanted.fingerprint:
        return ""
    shape = (base.hidden_size, base.layers, base.architecture)
    same_shape = shape == (wanted.hidden_size, wanted.layers, wanted.architecture)
    if same_shape and base.id == wanted.id:
        return (
            f"the base {base.id!r} has changed since {manifest.reference} was trained; "
            "its answers may be off"
        )
    raise BaseMismatch(
        f"{manifest.reference} was trained on the base {wanted.id!r} "
        f"({wanted.fingerprint[:12]}), and {base.id!r} ({base.fingerprint[:12]}) is another",
        ELSEWHERE
        if base.id == wanted.id
        else f"leave --base out, or give the directory of {wanted.id!r}",
    )
