"""Published LoRA adapters of a BERT encoder, read for the packed engine; and which it cannot run.

``y = W x + b + scaling * B A x``, with ``scaling = alpha / r``, or ``alpha / sqrt(r)`` for rsLoRA
(Hu et al. 2021, section 4.1; Kalajdzievski 2023, section 3.2).
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..bases import Base
from ..errors import AdapterCorrupt, AdapterUnsupported
from ..heads import Head, Pooling, no_pooler
from ..store.source import AdapterSource
from ..store.verify import verify_files
from .bert import EMBEDDINGS, POOLER, SITES, Bert, read_bert, refuses_base
from .forks import renew_in_child
from .published import (
    CONFIG,
    HARMLESS_STARTS,
    TASKS,
    TENSORS,
    check_files,
    read_config,
    read_head,
)
from .tensors import map_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

PREFIX = "base_model.model."
RANK, ALPHA = 8, 8  # PEFT's, where a configuration does not say

# Settings that this module reads, and settings that no answer depends on.
READ = frozenset(
    {
        *("peft_type", "task_type", "r", "lora_alpha", "use_rslora", "rank_pattern"),
        *("alpha_pattern", "target_modules", "exclude_modules", "layers_to_transform"),
        *("layers_pattern", "init_lora_weights", "bias"),
    }
)
IDLE = frozenset(
    {
        *("auto_mapping", "base_model_name_or_path", "revision", "peft_version", "inference_mode"),
        *("lora_dropout", "megatron_core", "qalora_group_size", "runtime_config"),
        "ensure_weight_tying",
    }
)


@dataclass(frozen=True, slots=True)
class Patch:
    """What an adapter adds to the linear layers of one site.

    Attributes:
        targets: which of the site's layers, by their places in it.
        down: ``(ranks, in)``, the targets' A one under another.
        ups: ``(out, rank)`` for each target, its B with the scaling folded in.
    """

    targets: tuple[int, ...]
    down: FloatArray
    ups: tuple[FloatArray, ...]

    @property
    def nbytes(self) -> int:
        return self.down.nbytes + sum(up.nbytes for up in self.ups)


@dataclass(frozen=True, slots=True)
class Lora:
    """An adapter's tensors and its head.

    Attributes:
        layers: for each layer of the encoder one patch for each of `SITES`, or None.
        pooler: None also where the head does not pool with it.
    """

    layers: tuple[tuple[Patch | None, ...], ...]
    pooler: Patch | None
    head: Head

    @property
    def nbytes(self) -> int:
        patches = [patch for layer in (*self.layers, (self.pooler,)) for patch in layer if patch]
        head = self.head.weight.nbytes + self.head.bias.nbytes
        return head + sum(patch.nbytes for patch in patches)


class LoraReader:
    """A base's weights, mapped when they are first wanted, and the adapters that run on them.

    Safe from any thread, and after a fork; the engines over a base share one.
    """

    def __init__(self, base: Base) -> None:
        self.base = base
        self._bert: Bert | None = None
        self._renew()
        renew_in_child(self, LoraReader._renew)

    @property
    def bert(self) -> Bert:
        """The weights. Raises as `read_bert`."""
        with self._lock:
            if self._bert is None:
                self._bert = read_bert(self.base)
            return self._bert

    def refuses(self, source: AdapterSource) -> str | None:
        """Why an adapter cannot be run exactly, as a sentence; None if it can.

        Raises:
            AdapterNotFound: it has been removed since it was resolved.
            AdapterCorrupt: its configuration is not what its manifest says, so nobody knows.
        """
        refusal = refuses_base(self.base)
        if refusal is None:
            verify_files(source, (CONFIG,))
            refusal = refuses(source, read_config(source), self.bert.has_pooler)
        return refusal

    def read(self, source: AdapterSource) -> Lora:
        """Reads and checks an adapter. Raises as `read_lora`, for one that is refused too."""
        refusal = refuses_base(self.base)
        if refusal:
            raise AdapterUnsupported(refusal, "use --engine auto or --engine peft")
        return read_lora(source, self.bert)

    def bare(self, pooling: Pooling) -> Lora:
        """The base alone. Raises as `unadapted`, and for a base that is refused."""
        refusal = refuses_base(self.base)
        if refusal:
            raise AdapterUnsupported(refusal, "use --engine auto or --engine peft")
        return unadapted(self.bert, pooling)

    def _renew(self) -> None:
        self._lock = threading.Lock()


def unadapted(bert: Bert, pooling: Pooling) -> Lora:
    """The base as an adapter that changes nothing; its head, the identity, gives pooled states.

    Raises:
        RecipeError: the base has not the pooler that the pooling is by.
    """
    if pooling == "pooler" and not bert.has_pooler:
        raise no_pooler()
    identity = np.eye(bert.hidden, dtype=np.float32)
    head = Head(pooling, identity, np.zeros(bert.hidden, np.float32))
    return Lora(((None,) * len(SITES),) * bert.layers, None, head)


def refuses(source: AdapterSource, config: Mapping[str, Any], has_pooler: bool) -> str | None:
    """Why an adapter cannot be run exactly here, as a sentence; None if it can.

    This is the one place that knows what the packed engine does not do.

    Args:
        config: the adapter's PEFT configuration.

    Raises:
        AdapterCorrupt: it does not say which modules are meant.
    """
    who = source.manifest.reference
    if config["peft_type"] != "LORA":
        return f"{who} is {config['peft_type']}, and the packed engine runs LoRA"
    if config.get("task_type") not in TASKS or config.get("modules_to_save"):
        return f"{who} holds a head inside its PEFT adapter"
    if config.get("init_lora_weights") not in HARMLESS_STARTS:
        return (
            f"{who} begins from {config['init_lora_weights']!r}, so it changes the base's weights"
        )
    if config.get("bias", "none") != "none":
        return f"{who} brings biases of its own (bias={config['bias']!r})"
    strange = sorted(k for k, value in config.items() if value and k not in READ | IDLE)
    if strange:
        return f"{who} has the setting {strange[0]!r}, and the packed engine runs plain LoRA"
    try:
        on_embeddings = any(targets(config, EMBEDDINGS))
    except (re.error, TypeError) as error:
        raise AdapterCorrupt(f"{CONFIG} of {who} names its modules in no way: {error}") from error
    if on_embeddings:
        return f"{who} has LoRA on embeddings"
    if source.manifest.pooling == "pooler" and not has_pooler:
        return f"{who} pools with the base's pooler, and its base has none"
    return None


def read_lora(source: AdapterSource, bert: Bert) -> Lora:
    """Reads and checks an adapter that `refuses` does not refuse.

    Raises:
        AdapterNotFound: it has been removed since it was resolved.
        AdapterCorrupt: its files are not what its manifest says, or not those of its configuration.
        AdapterUnsupported: it does not fit the base.
    """
    verify_files(source)
    check_files(source)
    config = read_config(source)
    refusal = refuses(source, config, bert.has_pooler)
    if refusal:
        raise AdapterUnsupported(refusal, "use --engine auto or --engine peft")
    head = read_head(source, bert.hidden)
    tensors = _read_tensors(source)
    modules = bert.modules()
    pairs = {
        name: _pair(source, config, name, modules[name], tensors)
        for name in targets(config, modules)
    }
    if not pairs:
        raise AdapterUnsupported(
            f"the packed engine cannot load {source.manifest.reference} on this base: "
            "no layer is called as its target_modules say"
        )
    if tensors:
        raise AdapterCorrupt(
            f"{source.manifest.reference} holds the tensor {min(tensors)!r}, which its "
            "model has not"
        )
    return Lora(
        layers=tuple(
            tuple(
                _patch(pairs, [f"encoder.layer.{layer}.{name}" for name in site]) for site in SITES
            )
            for layer in range(bert.layers)
        ),
        pooler=_patch(pairs, [POOLER]) if head.pooling == "pooler" else None,
        head=head,
    )


def targets(config: Mapping[str, Any], modules: Iterable[str]) -> list[str]:
    """The modules that a LoRA configuration means, as PEFT reads it (`tuners_utils.py`)."""
    wanted, layers = config.get("target_modules") or [], config.get("layers_to_transform")
    if layers is None or layers == []:
        return [name for name in modules if _named(wanted, name) and not _excluded(config, name)]
    only = {layers} if isinstance(layers, int) else set(layers)
    return [
        name
        for name in modules
        if _named(wanted, name)
        and not _excluded(config, name)
        and (isinstance(wanted, str) or name in wanted or _layer(config, name) in only)
    ]


def _excluded(config: Mapping[str, Any], name: str) -> bool:
    return _named(config.get("exclude_modules") or [], name)


def _named(wanted: str | list[str], name: str) -> bool:
    """By a regular expression for the whole name, or by names or their last parts."""
    if isinstance(wanted, str):
        if wanted.lower() == "all-linear":
            return name not in EMBEDDINGS
        return re.fullmatch(wanted, name) is not None
    return any(name == part or name.endswith(f".{part}") for part in wanted)


def _layer(config: Mapping[str, Any], name: str) -> int | None:
    """The layer that a module lies in, counted in the list of modules that the pattern names."""
    patterns = config.get("layers_pattern") or []
    if not patterns:
        found = re.match(r".*?\.[^.]*\.(\d+)\.", name)
        return int(found[1]) if found else None
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        found = re.match(rf"(?:^|.*?\.){pattern}\.(\d+)\.", name)
        if found:
            return int(found[1])
    return None


def by_pattern(patterns: Mapping[str, Any] | None, name: str, default: Any) -> Any:
    """The value of the first pattern that matches the end of a module's name."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", name):
            return value
    return default


def _pair(
    source: AdapterSource,
    config: Mapping[str, Any],
    name: str,
    shape: tuple[int, int],
    tensors: dict[str, FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """A ``(rank, in)`` and the scaled B ``(out, rank)`` of a module, taken out of `tensors`."""
    who = source.manifest.reference
    keys = [f"{PREFIX}{name}.lora_{half}.weight" for half in "AB"]
    for key in keys:
        if key not in tensors:
            raise AdapterCorrupt(f"{who} lacks the tensor {key!r}, which its model needs")
    down, up = (tensors.pop(key) for key in keys)
    rank = by_pattern(config.get("rank_pattern"), name, config.get("r", RANK))
    if (down.shape, up.shape) != ((rank, shape[0]), (shape[1], rank)):
        raise AdapterUnsupported(
            f"the packed engine cannot load {who} on this base: {name} takes A and B of "
            f"{(rank, shape[0])} and {(shape[1], rank)}, not {down.shape} and {up.shape}"
        )
    alpha = by_pattern(config.get("alpha_pattern"), name, config.get("lora_alpha", ALPHA))
    scaling = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return down, up * np.float32(scaling)


def _patch(pairs: Mapping[str, tuple[FloatArray, FloatArray]], names: list[str]) -> Patch | None:
    found = [(target, *pairs[name]) for target, name in enumerate(names) if name in pairs]
    if not found:
        return None
    places, downs, ups = zip(*found, strict=True)
    return Patch(places, np.concatenate(downs), ups)


def _read_tensors(source: AdapterSource) -> dict[str, FloatArray]:
    try:
        mapped = map_tensors(source.path / TENSORS)
    except (OSError, ValueError) as error:
        raise AdapterCorrupt(
            f"{TENSORS} of {source.manifest.reference} cannot be read: {error}"
        ) from error
    return {name: np.asarray(tensor, np.float32) for name, tensor in mapped.items()}
