"""Bases: from an id to a model directory whose fingerprint is known."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BaseMismatch, BaseUnavailable, unknown
from .store.manifest import BaseRecord, sha256

if TYPE_CHECKING:
    from .registry import BaseModel, Registry
    from .store.manifest import Manifest

log = logging.getLogger(__name__)

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
TOKENIZERS = ("tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model")
HUB_FILES = (
    *("config.json", "*.safetensors", "*.safetensors.index.json", *TOKENIZERS),
    *("tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt"),
)
# Written by whoever saved the file last; no answer depends on them.
INCIDENTAL = ("_name_or_path", "transformers_version", "torch_dtype", "dtype", "architectures")


@dataclass(frozen=True, slots=True)
class Base:
    """A base that lies on this machine.

    Attributes:
        id: registry name, Hub id, or the directory as it was given.
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
        cache: directory for built bases and remembered fingerprints.
    """

    def __init__(self, registry: Registry, cache: Path) -> None:
        self._registry = registry
        self._cache = cache

    def named(self) -> dict[str, BaseModel]:
        """The bases that plugins brought, by id."""
        return {name: brought.value for name, brought in self._registry.bases.items()}

    def resolve(self, base_id: str, *, rehash: bool = False) -> Base:
        """The base of this id, built or downloaded if need be.

        Args:
            rehash: hash every file again instead of trusting unchanged size, mtime and inode.

        Raises:
            BaseUnavailable: it is not here and cannot be brought, or is not a model directory, or
                its files, hashed again, are not those that it is pinned to.
        """
        spec = self.named().get(base_id)
        path = spec.fetch(self._cache) if spec else self._directory(base_id)
        if rehash and spec and spec.verify:
            spec.verify(path)
        config = read_config(path)
        pooling = spec.pooling if spec else default_pooling(path)
        try:
            return Base(
                id=base_id,
                path=path,
                fingerprint=self._fingerprint(path, config, rehash),
                scripts=spec.scripts if spec else (),
                pooling=pooling,
                hidden_size=int(config.get("hidden_size") or config["dim"]),
                layers=int(config.get("num_hidden_layers") or config["n_layers"]),
                architecture=str(config["model_type"]),
                max_positions=int(config.get("max_position_embeddings", 512)),
                pad_id=int(config.get("pad_token_id") or 0),
            )
        except KeyError as error:
            raise BaseUnavailable(
                f"{path / 'config.json'} has no {error.args[0]!r}: no encoder of the BERT family"
            ) from error

    def for_adapter(self, manifest: Manifest, location: str | None = None) -> tuple[Base, str]:
        """The base that an adapter runs on, and a warning sentence or "".

        Args:
            location: where the adapter's own base lies, if not where its id says.

        Raises:
            BaseUnavailable: it is not here.
            BaseMismatch: what is there is another model.
        """
        base = self.resolve(location or manifest.base.id)
        return base, check_base(manifest, base)

    def _directory(self, base_id: str) -> Path:
        if not base_id.strip():  # would be the working directory
            raise BaseUnavailable("a base needs a name", "platform bases list shows names")
        local = Path(base_id).expanduser()
        if local.is_dir():
            return local.absolute()
        if local.exists():
            raise BaseUnavailable(f"the base {base_id!r} is a file, not a model directory")
        if not HUB_ID.fullmatch(base_id):
            raise BaseUnavailable(
                f"the base directory {base_id!r} does not exist", "platform bases list shows names"
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
            return Path(snapshot_download(base_id, allow_patterns=list(HUB_FILES)))
        except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
            near = unknown("base", base_id, self.named(), BaseUnavailable)
            raise BaseUnavailable(
                f"the base {base_id!r} is no name, no directory, and cannot be had from the Hub",
                near.hint,
            ) from error

    def _fingerprint(self, path: Path, config: dict[str, Any], rehash: bool) -> str:
        files = _decisive_files(path)
        stamps = {f.name: _stamp(f) for f in files}
        key = hashlib.sha256(str(path).encode()).hexdigest()[:32]
        record = self._cache / "fingerprints" / f"{key}.json"
        known = {} if rehash else _read_record(record)
        hashes: dict[str, str] = {}
        for file in files:
            entry = known.get(file.name)
            fresh = isinstance(entry, dict) and entry.get("stamp") == stamps[file.name]
            hashes[file.name] = entry["sha256"] if entry and fresh else sha256(file)
        entries = {n: {"stamp": stamps[n], "sha256": hashes[n]} for n in hashes}
        if entries != known:
            _write_record(record, entries)
        kept = {key: value for key, value in config.items() if key not in INCIDENTAL}
        lines = [f"{name} {digest}" for name, digest in sorted(hashes.items())]
        lines.append(json.dumps(kept, sort_keys=True))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


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
        f"leave --base out, or give the directory of {wanted.id!r}",
    )


def read_config(path: Path) -> dict[str, Any]:
    """A model directory's `config.json`. Raises `BaseUnavailable`."""
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BaseUnavailable(f"{path} is not a model directory: it has no config.json") from error
    except (OSError, ValueError) as error:
        raise BaseUnavailable(f"{path / 'config.json'} cannot be read: {error}") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise BaseUnavailable(f"{path / 'config.json'} does not name a model type")
    return config


def default_pooling(path: Path) -> str:
    """``pooler`` where the checkpoint carries a trained one, else ``mean``."""
    header = safetensors_names(path / "model.safetensors")
    return "pooler" if any(name.endswith("pooler.dense.weight") for name in header) else "mean"


def safetensors_names(path: Path) -> tuple[str, ...]:
    """The tensors in a safetensors file, from its header alone; none if there is no such file."""
    if not path.is_file():
        return ()
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        try:
            return tuple(json.loads(file.read(min(size, 100_000_000))))
        except ValueError as error:
            raise BaseUnavailable(f"{path} is not a safetensors file") from error


def _decisive_files(path: Path) -> list[Path]:
    """The weights and the tokenizer that transformers would take."""
    weights = next((path / name for name in WEIGHTS if (path / name).is_file()), None)
    tokenizer = next((path / name for name in TOKENIZERS if (path / name).is_file()), None)
    if weights is None or tokenizer is None:
        missing = f"weights ({WEIGHTS[0]})" if weights is None else f"tokenizer ({TOKENIZERS[0]})"
        raise BaseUnavailable(f"{path} is not a complete model directory: it has no {missing}")
    shards = sorted(path.glob("model-*.safetensors")) if weights.suffix == ".json" else []
    return [weights, *shards, tokenizer]


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _read_record(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _write_record(path: Path, entries: dict[str, Any]) -> None:
    """Remembers hashes; a cache that cannot be written only costs hashing again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump(entries, file)
        Path(file.name).replace(path)
    except OSError as error:
        log.info("fingerprints are not remembered in %s: %s", path.parent, error)
