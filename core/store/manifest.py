"""`manifest.json`: what an adapter directory says of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..errors import AdapterCorrupt, PlatformError
from ..hashes import sha256
from ..labels import LabelScheme

FILE = "manifest.json"
FORMAT = 1
WORSE = "worse than logistic regression on the frozen base (the probe)"
LONG_TEXT = ("truncate", "windows")

# What a file may have got wrong and a listing would stumble over.
TYPES: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "peft_method": (str,),
    "pooling": (str,),
    "max_length": (int,),
    "long_text": (str,),
    "stride": (int,),
    "token_bag": (int,),
    "version": (int,),
    "parent": (int, type(None)),
    "description": (str,),
    "metrics": (dict,),
    "files": (dict,),
    "libraries": (dict,),
    "created": (str,),
    "tokens_per_character": (int, float),
    "trainable_parameters": (int,),
}


@dataclass(frozen=True, slots=True)
class BaseRecord:
    """What an adapter's manifest keeps of the base that it was trained on.

    Attributes:
        id: registry name, Hub id or directory, as the recipe named it.
        fingerprint: as `core.bases.Base` has it.
        hidden_size, layers: the shape that an adapter must find again.
        architecture: model type in the base's `config.json`, ``bert``.
    """

    id: str
    fingerprint: str
    hidden_size: int
    layers: int
    architecture: str = "bert"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A post-processing step, with the plugin and version that brought it at training."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    plugin: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns logits into probabilities worth the name.

    Attributes:
        temperature: logits are divided by it.
        thresholds: multi-label: the least probability at which a label applies.
    """

    temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One version of one adapter. Immutable; `read` and `write` are the only ways to disk.

    Attributes:
        version: 1, 2, ...; 0 until the store publishes it.
        parent: the version that was current before, or None.
        peft_method: PEFT's name, ``LORA``.
        pooling: ``mean``, ``cls`` or ``pooler``.
        max_length: tokens that the adapter reads at once, special tokens included.
        long_text: what becomes of a longer text: ``truncate``, or ``windows``, whose logits are
            averaged by their tokens (`core.answers.mean_answer`).
        stride: tokens that neighbouring windows share.
        token_bag: how many tokens count by themselves (`core.token_bag`); 0: it has no such file.
        metrics: figures by name (``test.accuracy``, ``test.probe.accuracy``), fractions of 1.
        worse_than_probe: True where the frozen-base baseline does better on validation.
        data_fingerprint: SHA-256 over the training examples.
        tokens_per_character: the training texts' 99th percentile, to notice unreadable text.
        libraries: versions of torch, transformers, peft ... at training.
        created: UTC, ISO 8601.
        files: SHA-256 by relative path of every other file in the directory.
    """

    name: str
    base: BaseRecord
    scheme: LabelScheme
    peft_method: str
    pooling: str
    max_length: int
    long_text: str = "truncate"
    stride: int = 0
    version: int = 0
    parent: int | None = None
    description: str = ""
    postprocess: tuple[StepRecord, ...] = ()
    calibration: Calibration = Calibration()
    token_bag: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    worse_than_probe: bool = False
    data_fingerprint: str = ""
    tokens_per_character: float = 0.0
    trainable_parameters: int = 0
    platform_version: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    def is_promoted(self, promote: bool, allow_worse: bool) -> bool:
        """Whether publishing may make it current: one that the probe beats is not, unasked."""
        return promote and (allow_worse or not self.worse_than_probe)

    @property
    def window_stride(self) -> int | None:
        """`stride` where long texts are read in windows."""
        return self.stride if self.long_text == "windows" else None

    @property
    def reads(self) -> str:
        """How much of a text the adapter reads, for people."""
        length = f"{self.max_length} tokens"
        if self.window_stride is None:
            return length
        return f"all of a text, in windows of {length} that share {self.stride}"

    @property
    def content_hash(self) -> str:
        """SHA-256 of what determines the answers and their record; every cache key carries it."""
        # Compact: json's fast encoder cannot indent, and a listing hashes every manifest.
        compact = json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(compact.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        data: dict[str, Any] = {"format": FORMAT}
        for f in fields(self):
            data[f.name] = _plain(getattr(self, f.name))
        return data

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_dict(cls, data: Any, where: str) -> Manifest:
        """Reads `to_dict`'s form.

        Raises:
            AdapterCorrupt: the data is not a manifest, or one of a newer format.
        """
        if not isinstance(data, dict):
            raise AdapterCorrupt(f"{where} is not a manifest")
        if data.get("format") != FORMAT:
            raise AdapterCorrupt(
                f"{where} has manifest format {data.get('format')!r}; this version reads {FORMAT}",
                "upgrade adapter-platform, or publish the adapter again",
            )
        values = {key: value for key, value in data.items() if key != "format"}
        try:
            values["base"] = BaseRecord(**values["base"])
            values["scheme"] = LabelScheme.from_dict(values["scheme"], where)
            values["calibration"] = Calibration(**values.get("calibration", {}))
            values["postprocess"] = tuple(StepRecord(**s) for s in values.get("postprocess", ()))
            manifest = cls(**values)
        except KeyError as error:
            raise AdapterCorrupt(f"{where} is not a manifest: it has no {error}") from error
        except (TypeError, ValueError, PlatformError) as error:
            raise AdapterCorrupt(f"{where} is not a manifest: {error}") from error
        wrong = next((key for key, types in TYPES.items() if not _is(manifest, key, types)), None)
        if wrong is None:
            wrong = manifest._wrong_figure()
        if wrong is not None:
            raise AdapterCorrupt(f"{where} is not a manifest: {wrong!r} is of the wrong type")
        if manifest.long_text not in LONG_TEXT:
            raise AdapterCorrupt(
                f"{where} reads long texts by {manifest.long_text!r}, which is not known here",
                "upgrade adapter-platform",
            )
        return manifest

    def _wrong_figure(self) -> str | None:
        """Where a figure is none, or one that cannot be."""

        def number(value: Any) -> bool:
            return isinstance(value, int | float) and not isinstance(value, bool)

        temperature, thresholds = self.calibration.temperature, self.calibration.thresholds
        if not number(temperature) or temperature <= 0:
            return "temperature"
        if not isinstance(thresholds, dict) or not all(map(number, thresholds.values())):
            return "thresholds"
        if not all(map(number, self.metrics.values())):
            return "metrics"
        return next((key for key in ("stride", "token_bag") if getattr(self, key) < 0), None)

    @classmethod
    def read(cls, directory: Path) -> Manifest:
        """Reads ``directory/manifest.json``. Raises `AdapterCorrupt`."""
        path = directory / FILE
        try:
            text = path.read_text(encoding="utf-8")
            data = json.loads(text)
        except FileNotFoundError as error:
            raise AdapterCorrupt(f"{directory} has no {FILE}") from error
        except (OSError, ValueError, RecursionError) as error:
            raise AdapterCorrupt(f"{path} cannot be read: {error}") from error
        return cls.from_dict(data, str(path))

    def write(self, directory: Path) -> Manifest:
        """Hashes the other files of `directory` and writes the manifest beside them; returns it."""
        hashes = {
            path.relative_to(directory).as_posix(): sha256(path)
            for path in sorted(directory.rglob("*"))
            if path.is_file() and path.relative_to(directory).as_posix() != FILE
        }
        complete = replace(self, files=hashes)
        (directory / FILE).write_text(complete.to_json(), encoding="utf-8")
        return complete


def _is(manifest: Manifest, key: str, types: tuple[type, ...]) -> bool:
    return isinstance(getattr(manifest, key), types)


def _plain(value: Any) -> Any:
    """Dataclasses and mappings as JSON's own types."""
    if isinstance(value, LabelScheme):
        return value.to_dict()
    if isinstance(value, StepRecord | BaseRecord | Calibration):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
