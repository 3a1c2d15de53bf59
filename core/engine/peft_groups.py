"""Which adapters may share one `PeftModel`, which PEFT runs only at the base's cost, and the models
themselves: each over its own modules, whose tensors are the base's own.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Literal

import peft
import torch
from peft import PeftModel, get_peft_model_state_dict
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import AdapterCorrupt, AdapterUnsupported
from ..store.source import AdapterSource
from .encoder import building
from .published import HARMLESS_STARTS, TASKS, TENSORS

PROMPTS = frozenset({"PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING"})
# Methods that keep all their state by adapter and read the base without writing to it. A test holds
# each of them to that, with neighbours of other settings.
SHARING = PROMPTS | {
    *("LORA", "ADALORA", "IA3", "LOHA", "LOKR", "OFT", "BOFT", "HRA", "HIRA", "C3A", "DELORA"),
    *("FOURIERFT", "MISS", "LN_TUNING"),
}
# These read the base without writing to it, but keep projections or vectors that all adapters of a
# model would have to agree on.
ALONE = frozenset({"VERA", "VBLORA", "RANDLORA"})
# These want something at each call that a text alone does not bring.
IMPOSSIBLE = {
    "POLY": "a task id with each text",
    "MULTITASK_PROMPT_TUNING": "a task id with each text",
    "XLORA": "other adapters to mix",
    "CPT": "a generating model",
    "ADAPTION_PROMPT": "a generating model",
    "CARTRIDGE": "a generating model",
    "SHADOW": "a generating model",
}
# LoRA settings that change the modules around the adapter, by the value that leaves them alone.
RESHAPING = (
    *("layer_replication", "trainable_token_indices", "target_parameters", "arrow_config"),
    *("megatron_config", "use_bdlora", "monteclora_config", "kasa_config", "velora_config"),
)

Copies = Literal["none", "biases", "all"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an adapter is put.

    Attributes:
        family: adapters of a family compete for the same places.
        group: adapters of a group share one `PeftModel`.
        copies: which of the base's tensors the group has copies of, because its adapter brings
            others in their place (`biases`), or because nobody has shown that its method leaves
            them alone (`all`).
    """

    family: str
    group: str
    copies: Copies = "none"


def check_supported(source: AdapterSource, config: dict[str, Any]) -> None:
    """Whether PEFT can run this adapter of an encoder and leave the base as it is.

    Raises:
        AdapterUnsupported: it cannot; the sentence says why.
    """
    who, method = source.manifest.reference, str(config["peft_type"])
    newer = "upgrade peft, or train the adapter again"
    if method not in PEFT_TYPE_TO_CONFIG_MAPPING:
        raise AdapterUnsupported(f"{who}: PEFT {peft.__version__} has no method {method!r}", newer)
    known = {f.name for f in fields(PEFT_TYPE_TO_CONFIG_MAPPING[method])}
    strange = sorted(set(config) - known)
    if strange:
        raise AdapterUnsupported(
            f"{who} has the setting {strange[0]!r}, which PEFT {peft.__version__} does not know "
            f"for {method}",
            newer,
        )
    if config.get("task_type") not in TASKS or config.get("modules_to_save"):
        raise AdapterUnsupported(
            f"{who} holds a head inside its PEFT adapter, where heads of other sizes break it",
            "platform adapters import takes such an adapter and puts the head beside it",
        )
    if method in IMPOSSIBLE:
        raise AdapterUnsupported(f"{who}: {method} needs {IMPOSSIBLE[method]}")
    if config.get("alora_invocation_tokens"):
        raise AdapterUnsupported(f"{who}: activated LoRA needs a generating model")
    if method in PROMPTS and config.get("task_type") is None:
        raise AdapterUnsupported(
            f"{who} has no task type, and PEFT would leave its prompt out",
            "save it with task_type='FEATURE_EXTRACTION'",
        )
    start = config.get("init_lora_weights")
    if start not in HARMLESS_STARTS:
        raise AdapterUnsupported(
            f"{who} begins from {start!r}, so that loading it would change the base's weights for "
            "every adapter",
            "publish it as the plain LoRA that equals it: "
            "save_pretrained(..., path_initial_model_for_weight_conversion=...)",
        )


def place(source: AdapterSource, config: dict[str, Any]) -> Place:
    """Where an adapter with this configuration is put."""
    method = str(config["peft_type"])
    if method not in SHARING | ALONE or any(config.get(name) for name in RESHAPING):
        return Place("copied", f"copied {source.content_hash}", "all")
    biases = config.get("bias", "none") != "none"
    if method in ALONE or biases:
        copies: Copies = "biases" if biases else "none"
        return Place("alone", f"alone {source.content_hash}", copies)
    return Place(method, method)


def skeleton(encoder: torch.nn.Module, copies: Copies = "none") -> torch.nn.Module:
    """The encoder's modules anew, over the same tensors but for those to be copied.

    The parameters are new objects on the same storage, so that one whose data is replaced, or whose
    `requires_grad` is set, changes here alone.
    """
    memo: dict[int, Any] = {}
    if copies != "all":
        memo = {id(buffer): buffer for buffer in encoder.buffers()}
        for name, parameter in encoder.named_parameters():
            if copies == "none" or not name.endswith("bias"):
                memo[id(parameter)] = torch.nn.Parameter(parameter.detach(), requires_grad=False)
    return copy.deepcopy(encoder, memo)


def peft_name(content_hash: str) -> str:
    """The adapter's name inside PEFT: in no tuner's prefix, in no module's name, without a dot."""
    return f"v{content_hash}"


class Group:
    """One `PeftModel` and the adapters in it. Used by one thread only."""

    def __init__(self, key: str, encoder: torch.nn.Module, copies: Copies = "none") -> None:
        self.key = key
        self.members: set[str] = set()
        self.active: str | None = None
        self._modules = skeleton(encoder, copies)
        self._device = str(next(encoder.parameters()).device)
        self._model: Any = None  # peft is untyped

    def add(self, source: AdapterSource) -> None:
        """Loads an adapter. After an error the group is of no use: PEFT may have left half of it.

        Raises:
            AdapterUnsupported: PEFT cannot put it on this base.
            AdapterCorrupt: its tensors are not those that the model has for it.
            OutOfMemoryError: torch's own, of the device.
        """
        name, who = peft_name(source.content_hash), source.manifest.reference
        # PEFT's `low_cpu_mem_usage` would load DoRA sooner, but meanwhile it changes `nn.Module` in
        # the whole process: what another thread builds then has no weights.
        options = {"adapter_name": name, "torch_device": self._device}
        try:
            with building(), _no_false_alarms(source):
                if self._model is None:
                    self._model = PeftModel.from_pretrained(
                        self._modules, str(source.path), **options
                    )
                else:
                    self._model.load_adapter(str(source.path), **options)
        except torch.OutOfMemoryError:
            raise
        # PEFT's tuners raise errors of any kind for a configuration that does not fit the model.
        except Exception as error:
            raise AdapterUnsupported(
                f"PEFT cannot load {who} on this base: {_first_line(error)}"
            ) from error
        self._model.eval()
        self.active = None
        with _no_false_alarms(source):
            _check_landed(self._model, name, source)
        self.members.add(source.content_hash)

    def activate(self, content_hash: str) -> Any:
        """The model with this adapter switched on and no other."""
        if self.active != content_hash:
            self._model.set_adapter(peft_name(content_hash), inference_mode=True)
            self.active = content_hash
        return self._model

    def drop(self, content_hash: str) -> None:
        """Deletes an adapter of several; a group of one is dropped whole by its owner."""
        self.members.discard(content_hash)
        if self._model.active_adapter == peft_name(content_hash):
            self.activate(next(iter(self.members)))
        self._model.delete_adapter(peft_name(content_hash))

    def parameters(self) -> dict[str, torch.Tensor]:
        """The tensors that the group's model runs on, by name in the model."""
        return dict((self._model or self._modules).named_parameters())


@contextmanager
def _no_false_alarms(source: AdapterSource) -> Iterator[None]:
    """PEFT misses AdaLoRA's ranks, which it then does give to their sites, and suspects a site that
    was left none.
    """
    with warnings.catch_warnings():
        if source.manifest.peft_method == "ADALORA":
            warnings.filterwarnings("ignore", "The following rank_pattern keys")
            warnings.filterwarnings("ignore", ".* have invalid shape")
        yield


def _check_landed(model: Any, name: str, source: AdapterSource) -> None:
    """Every published tensor is in the model bit for bit, and the model has no other for it."""
    who = source.manifest.reference
    try:
        published = load_file(source.path / TENSORS)
    except (OSError, SafetensorError) as error:
        raise AdapterCorrupt(f"{TENSORS} of {who} cannot be read: {error}") from error
    held = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    unexpected, missing = sorted(set(published) - set(held)), sorted(set(held) - set(published))
    if unexpected:
        raise AdapterCorrupt(f"{who} holds the tensor {unexpected[0]!r}, which its model has not")
    if missing:
        raise AdapterCorrupt(f"{who} lacks the tensor {missing[0]!r}, which its model needs")
    for key, tensor in published.items():
        landed = held[key]
        if landed.is_meta or not torch.equal(landed.cpu(), tensor.to(landed.dtype)):
            raise AdapterCorrupt(f"PEFT did not load the tensor {key!r} of {who} as it is")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
