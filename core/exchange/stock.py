"""What a stock PEFT sequence classifier is on disk, and the names that differ from an encoder's.

PEFT saves such a classifier with the head inside (`modules_to_save`) and every module of the
encoder below ``bert.``; an adapter of ours is of the encoder alone, with the head beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine.published import HARMLESS_STARTS
from ..errors import AdapterCorrupt, AdapterUnsupported, PlatformError

if TYPE_CHECKING:
    import torch

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_TENSORS = "adapter_model.safetensors"
TRAINING_CONFIG = "training_config.json"  # the seed's settings there, our recipe here
KEPT_CONFIG = "imported_training_config.json"  # the former, beside the latter
ARCHITECTURE = "bert"
ENCODER = "bert."  # where BertForSequenceClassification keeps its encoder
ROOT = "base_model.model."  # where PEFT's tuners keep the model that they wrap
HEAD_MODULES = frozenset({"classifier", "score"})  # PEFT's own modules_to_save for this task
HEAD_TENSOR = re.compile(
    r"base_model\.(?:model\.)?classifier\.(?:(?:modules_to_save|original_module)\.)?(weight|bias)"
)
OTHER_HEADS = ("classifier.dense.", "classifier.out_proj.", "pre_classifier.", "score.")
# The modules of transformers' BertModel that can carry an adapter, ahead of the tuner's own name.
MODULE = re.compile(
    r"(embeddings\.\w+|pooler\.dense|encoder\.layer\.\d+\."
    r"(?:attention\.(?:self|output)\.\w+|intermediate\.dense|output\.\w+))(?=\.)"
)
PATTERNS = ("rank_pattern", "alpha_pattern")
SELECTORS = ("target_modules", "exclude_modules", "feedforward_modules", "layers_pattern")


@dataclass(frozen=True, slots=True)
class StockFolder:
    """A stock classifier as read.

    Attributes:
        config: `adapter_config.json`.
        adapter: tensors by name in the encoder's own terms.
        weight: the head's ``(classes, hidden)``.
        bias: the head's ``(classes,)``.
    """

    path: Path
    config: Mapping[str, Any]
    adapter: Mapping[str, torch.Tensor]
    weight: torch.Tensor
    bias: torch.Tensor

    @property
    def encoder_config(self) -> dict[str, Any]:
        """The PEFT configuration that puts the adapter on the plain encoder.

        How the adapter began says nothing about what it is, so that is left out.
        """
        config = {**retarget(self.config, list(self.adapter), ENCODER, "")}
        config |= {"task_type": "FEATURE_EXTRACTION", "modules_to_save": None}
        config |= {"auto_mapping": None, "inference_mode": True}
        if "init_lora_weights" in config:
            config["init_lora_weights"] = True
        return config


def read_json(path: Path) -> Any:
    """A JSON file's value, or None where there is none. Raises `AdapterCorrupt`."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise AdapterCorrupt(f"{path} cannot be read: {error}") from error


def read_stock(directory: Path) -> StockFolder:
    """Reads a folder that `save_pretrained` of a stock PEFT classifier has written.

    Raises:
        AdapterCorrupt: a file is missing or cannot be read.
        AdapterUnsupported: it is something else, or cannot be said exactly in our form.
    """
    config = read_json(directory / ADAPTER_CONFIG)
    if config is None:
        raise AdapterCorrupt(
            f"{directory} holds no adapter: it has no {ADAPTER_CONFIG}",
            "give the directory that PEFT's save_pretrained wrote, or a published adapter's",
        )
    if not isinstance(config, dict) or not isinstance(config.get("peft_type"), str):
        raise AdapterCorrupt(f"{directory / ADAPTER_CONFIG} names no PEFT method")
    _check_types(directory / ADAPTER_CONFIG, config)
    _check_config(directory, config)
    tensors = _read_tensors(directory)
    head = {m[1]: tensors[name] for name in tensors if (m := _head_key(name))}
    if set(head) != {"weight", "bias"}:
        _refuse_other_head(directory, tensors)
    adapter = {
        to_encoder(name): tensor
        for name, tensor in tensors.items()
        if not HEAD_TENSOR.fullmatch(name)
    }
    weight, bias = head["weight"].float().contiguous(), head["bias"].float().contiguous()
    if weight.dim() != 2 or bias.shape != weight.shape[:1]:
        raise AdapterCorrupt(f"the classifier in {directory} has weight and bias that do not fit")
    return StockFolder(directory, config, adapter, weight, bias)


def to_encoder(name: str) -> str:
    """A tensor's name in an adapter of the encoder, from that in a stock classifier."""
    return name.replace(ROOT + ENCODER, ROOT, 1) if name.startswith(ROOT + ENCODER) else name


def to_stock(name: str) -> str:
    """The way back from `to_encoder`; what a tuner keeps for the whole model stays."""
    return name.replace(ROOT, ROOT + ENCODER, 1) if name.startswith(ROOT) else name


def retarget(
    config: Mapping[str, Any], tensors: Sequence[str], old: str, new: str
) -> dict[str, Any]:
    """A PEFT configuration for the same modules of a model that keeps them elsewhere.

    Names (``query``, ``output.dense``) mean the same in both. Anything that could read a module's
    whole path is replaced by the full paths of the modules that do carry tensors.

    Args:
        tensors: the adapter's tensor names in the encoder's terms.
        old, new: what stands before the encoder's module names in either model.
    """
    result = dict(config)
    found = dict.fromkeys(m[1] for name in tensors if (m := MODULE.search(name)))
    modules = sorted(found)
    targets = config.get("target_modules")
    if isinstance(targets, list):
        targets = result["target_modules"] = sorted(set(targets) - HEAD_MODULES)
    selectors = ("exclude_modules", "layers_pattern", "feedforward_modules")
    plain = targets is None or _plain(targets)
    # Beside layers, PEFT takes what lies in none of them, such as a pooler, by its whole path.
    plain = plain and config.get("layers_to_transform") is None
    if not (plain and all(_plain(config.get(key) or []) for key in selectors)):
        result["target_modules"] = [new + module for module in modules]
        for key in ("exclude_modules", "layers_pattern", "layers_to_transform"):
            if key in config:
                result[key] = None
        if config.get("feedforward_modules"):
            result["feedforward_modules"] = _feedforward(config, modules, old, new)
    for key in PATTERNS:
        if config.get(key):
            result[key] = _resolved(config[key], modules, old, new)
    return result


def _plain(selector: str | Sequence[str]) -> bool:
    """Whether it is a list of names that mean the same modules in both models.

    PEFT takes a name for every module whose path ends with it, so only a path from the very top
    of the one model means nothing in the other.
    """
    return not isinstance(selector, str) and all(
        re.fullmatch(r"\w+(\.\w+)*", name) and not name.startswith(ENCODER) for name in selector
    )


def _resolved(
    patterns: Mapping[str, Any], modules: Sequence[str], old: str, new: str
) -> dict[str, Any]:
    """The value of each module that a pattern matches, as PEFT's `get_pattern_key` matches."""
    values = {}
    for module in modules:
        for pattern, value in patterns.items():
            if re.match(rf"(.*\.)?({pattern})$", old + module):
                values[new + module] = value
                break
    return values


def _feedforward(
    config: Mapping[str, Any], modules: Sequence[str], old: str, new: str
) -> list[str]:
    """IA3's modules whose input is scaled, as PEFT matches them."""
    given = config["feedforward_modules"]
    if isinstance(given, str):
        chosen = [module for module in modules if re.fullmatch(given, old + module)]
    else:
        chosen = [m for m in modules if any((old + m).endswith(name) for name in given)]
    return [new + module for module in chosen]


def _check_types(path: Path, config: Mapping[str, Any]) -> None:
    """That what is read here of a PEFT configuration is what PEFT writes there."""
    for key in (*SELECTORS, "modules_to_save"):
        value = config.get(key)
        names = [value] if isinstance(value, str) and key in SELECTORS else value or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise AdapterCorrupt(f"{path}: {key} is not a list of names")
    for key in PATTERNS:
        patterns = config.get(key) or {}
        if not isinstance(patterns, dict):
            raise AdapterCorrupt(f"{path}: {key} is not a table")
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise AdapterCorrupt(
                    f"{path}: {key} has no pattern {pattern!r}: {error}"
                ) from error


def _check_config(directory: Path, config: Mapping[str, Any]) -> None:
    task, method = config.get("task_type"), config["peft_type"]
    again = "train it again: platform adapters train NAME --data FILE"
    if task not in (None, "SEQ_CLS"):
        raise AdapterUnsupported(
            f"{directory} is a PEFT adapter for {task}, not for sequence classification"
        )
    if method in ("PROMPT_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING"):
        raise AdapterUnsupported(
            f"{directory} holds {method}, whose stock classifier reads the pooler at a virtual "
            "token, which no head here does",
            again,
        )
    start = config.get("init_lora_weights")
    if start not in HARMLESS_STARTS:
        raise AdapterUnsupported(
            f"{directory} begins from {start!r}, which is none of those that leave the base's "
            "weights alone, which other adapters share",
            "save it as the plain LoRA that equals it: save_pretrained(..., "
            "path_initial_model_for_weight_conversion=...)",
        )
    extra = sorted(set(config.get("modules_to_save") or ()) - HEAD_MODULES)
    if extra:
        pooler = any(name.startswith("pooler") for name in extra)
        lost = "; LoRA on it would be lost besides" if pooler else ""
        raise AdapterUnsupported(
            f"{directory} carries its own copy of {', '.join(extra)}, where an adapter here may "
            f"only add to the base that all share{lost}",
            again,
        )


def _read_tensors(directory: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = directory / ADAPTER_TENSORS
    if not path.is_file():
        pickled = sorted(p.name for p in directory.glob("adapter_model*.bin"))
        if pickled:
            raise AdapterUnsupported(
                f"{directory / pickled[0]} is in a format that can carry code, and only "
                "safetensors are read",
                "where you trust it, load it with PEFT and save it again: "
                "PeftModel.from_pretrained(model, DIR).save_pretrained(NEW_DIR)",
            )
        raise AdapterCorrupt(f"{directory} holds no adapter: it has no {ADAPTER_TENSORS}")
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise AdapterCorrupt(f"{path} cannot be read: {error}") from error


def _head_key(name: str) -> re.Match[str] | None:
    """A match for the trained head's tensors; PEFT's copies of them under ``bias="all"`` not."""
    copied = "modules_to_save" in name or "original_module" in name
    return None if copied else HEAD_TENSOR.fullmatch(name)


def _refuse_other_head(directory: Path, tensors: Mapping[str, Any]) -> None:
    other = next((part for part in OTHER_HEADS if any(part in name for name in tensors)), None)
    if other:
        raise head_unsupported(directory, f"its classifier has a layer {other.rstrip('.')!r}")
    raise AdapterUnsupported(
        f"{directory} has no classifier: it holds no tensor classifier.weight with its bias",
        "save it as a sequence classifier, with task_type='SEQ_CLS'",
    )


def head_unsupported(directory: Path, why: str) -> PlatformError:
    """The error for a classifier that is more than one linear layer over BERT's pooler."""
    return AdapterUnsupported(
        f"{directory} cannot be imported: {why}, and a head here is one linear layer over the "
        "pooler of a BERT",
        "train it again: platform adapters train NAME --data FILE --base BASE",
    )
