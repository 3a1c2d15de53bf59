"""Adapters from elsewhere into the store, with their logits kept."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import (
    AdapterCorrupt,
    AdapterNotFound,
    AdapterUnsupported,
    BaseUnavailable,
    RecipeError,
    UsageError,
)
from ..heads import Head
from ..store.manifest import FILE, Manifest
from .label_map import read_scheme
from .own import import_own, named_by
from .stock import (
    ADAPTER_CONFIG,
    ADAPTER_TENSORS,
    ARCHITECTURE,
    KEPT_CONFIG,
    TRAINING_CONFIG,
    StockFolder,
    head_unsupported,
    read_json,
    read_stock,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..bases import Base
    from ..labels import Kind, LabelScheme
    from ..training.recipe import Recipe
    from ..training.workshop import Workshop

    FloatArray = NDArray[np.float32]

EXAMPLE = "A text to classify."
# What transformers' TrainingArguments and tokenizers call settings of a recipe.
OTHER_NAMES = {
    "num_train_epochs": "epochs",
    "num_epochs": "epochs",
    "per_device_train_batch_size": "batch_size",
    "warmup_ratio": "warmup",
    "max_seq_length": "max_length",
}
RECIPE_NAMES = ("learning_rate", "epochs", "batch_size", "warmup", "weight_decay", "seed")
# What a PEFT configuration says besides the method's own settings.
BOOKKEEPING = frozenset(
    {"peft_type", "task_type", "base_model_name_or_path", "revision", "peft_version"}
    | {"auto_mapping", "inference_mode", "modules_to_save", "runtime_config"}
)


def import_adapter(
    directory: Path,
    *,
    name: str | None,
    base: str | None,
    workshop: Workshop,
    labels: Sequence[str] | None = None,
    kind: Kind | None = None,
    promote: bool = True,
    allow_worse: bool = False,
) -> Manifest:
    """Publishes an exported adapter, or a stock PEFT sequence classifier.

    Args:
        name: the adapter's name here; None: its own, or a stock classifier's directory name.
        base: the base it was trained on, which the manifest then names; None: as it says itself.
        labels: a stock classifier's label names in the order of its logits; None: from its
            `label_map.json`, or `id2label` in its `config.json`.
        kind: the kind of a stock classifier's label scheme; None: as its `config.json` says, else
            single.
        promote: make it the current version.
        allow_worse: make an exported adapter current even where it was worse than the probe.

    Raises:
        AdapterNotFound: there is no such directory.
        AdapterCorrupt: files are missing, cannot be read, or are not what the manifest says.
        AdapterUnsupported: it cannot run here, or be said in our form with its logits kept.
        SchemeError: nobody names its labels.
        BaseUnavailable: a stock classifier's base, or the base that is given, is not here.
        BaseMismatch: the base that is here is another.
    """
    _check_directory(directory)
    if (directory / FILE).is_file():
        if labels is not None or kind is not None:
            raise UsageError(
                f"{directory} is a published adapter, which brings its own labels",
                "leave the labels out",
            )
        manifest = import_own(
            directory, name, base, workshop, promote=promote, allow_worse=allow_worse
        )
    else:
        manifest = _import_stock(directory, name, base, workshop, labels, kind, promote)
    workshop.listener.after_adapter_published(manifest)
    return manifest


def _import_stock(
    directory: Path,
    name: str | None,
    base_id: str | None,
    workshop: Workshop,
    labels: Sequence[str] | None,
    kind: Kind | None,
    promote: bool,
) -> Manifest:
    folder = read_stock(directory)
    scheme = read_scheme(directory, len(folder.weight), labels, kind)
    found = _base(folder, base_id, workshop)

    def expected(rows: Sequence[tuple[int, ...]]) -> FloatArray:
        from .proof import stock_logits

        return stock_logits(found, directory, len(folder.weight), rows, workshop.device)

    what = f"Imported from the stock PEFT classifier {directory.resolve().name}."
    return _publish(folder, name, what, scheme, found, expected, workshop, promote)


def import_legacy(
    directory: Path,
    base: str,
    *,
    name: str | None,
    workshop: Workshop,
    labels: Sequence[str] | None = None,
    promote: bool = True,
) -> Manifest:
    """Publishes a checkpoint of the hand-written LoRALayer.

    Args:
        base: the base it was trained on, which it does not say itself.
        name: the adapter's name here; None: the directory's.
        labels: label names in the order of its logits; None: from its `label_map.json`.
        promote: make it the current version.

    Raises:
        AdapterNotFound: there is no such directory.
        AdapterCorrupt: files are missing, cannot be read, or do not fit each other.
        AdapterUnsupported: it cannot be said in our form with its logits kept.
        SchemeError: nobody names its labels.
        BaseUnavailable: its base is not here.
    """
    from .legacy import read_checkpoint

    _check_directory(directory)
    checkpoint = read_checkpoint(directory)
    scheme = read_scheme(directory, len(checkpoint.weight), labels, "single")
    found = workshop.bases.resolve(base)
    folder = checkpoint.to_stock(found)
    _check_fits(folder, found)

    def expected(rows: Sequence[tuple[int, ...]]) -> FloatArray:
        return checkpoint.logits(found, rows, workshop.device)

    what = f"Imported from the hand-written LoRA classifier {directory.resolve().name}."
    manifest = _publish(folder, name, what, scheme, found, expected, workshop, promote)
    workshop.listener.after_adapter_published(manifest)
    return manifest


def _check_directory(directory: Path) -> None:
    if not directory.is_dir():
        raise AdapterNotFound(
            f"{directory} is not a directory" if directory.exists() else f"{directory} is not there"
        )


def _publish(
    folder: StockFolder,
    name: str | None,
    description: str,
    scheme: LabelScheme,
    base: Base,
    expected: Callable[[Sequence[tuple[int, ...]]], FloatArray],
    workshop: Workshop,
    promote: bool,
) -> Manifest:
    """Publishes a classifier in our form once both forms have said the same.

    Args:
        expected: ``(rows, classes)`` logits of the form that it came in.
    """
    settings = _settings(folder.path)
    recipe = _recipe(folder, base, settings)
    limit = recipe.max_length if "max_length" in settings else _text_limit(base)
    manifest = Manifest(
        name=name or folder.path.resolve().name,
        base=base.record(),
        scheme=scheme,
        peft_method=folder.config["peft_type"],
        pooling="pooler",
        max_length=min(limit, base.max_positions),
        description=description,
        trainable_parameters=sum(tensor.numel() for tensor in folder.adapter.values()),
        platform_version=version("adapter-platform"),
        libraries=_libraries(folder.config),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    with workshop.store.stage(manifest.name) as staged:
        recipe.write(staged)
        _write(staged, folder, manifest, recipe if "seed" in settings else None)
        if settings:
            shutil.copyfile(folder.path / TRAINING_CONFIG, staged / KEPT_CONFIG)
        _prove(folder, staged, manifest.write(staged), base, expected, workshop)
        return workshop.store.publish(staged, manifest, promote=promote)


def _base(folder: StockFolder, base_id: str | None, workshop: Workshop) -> Base:
    wanted = base_id or folder.config.get("base_model_name_or_path")
    if not wanted or not isinstance(wanted, str):
        raise BaseUnavailable(
            f"{folder.path} does not say which base it was trained on", "name it: --base ID"
        )
    try:
        base = workshop.bases.resolve(wanted)
    except BaseUnavailable as error:
        if base_id is not None:
            raise
        raise BaseUnavailable(
            f"{folder.path} was trained on {wanted!r}, which cannot be found: {error.message}",
            "say where it lies: --base DIRECTORY",
        ) from error
    _check_fits(folder, base)
    return base


def _check_fits(folder: StockFolder, base: Base) -> None:
    if base.architecture != ARCHITECTURE:
        raise head_unsupported(folder.path, f"its base {base.id!r} is a {base.architecture!r}")
    if base.hidden_size != folder.weight.shape[1]:
        raise AdapterUnsupported(
            f"the classifier in {folder.path} reads {folder.weight.shape[1]} numbers a text, and "
            f"the base {base.id!r} gives {base.hidden_size}",
            "give the base that it was trained on: --base ID",
        )


def _settings(directory: Path) -> dict[str, Any]:
    """The folder's `training_config.json`; empty where there is none."""
    data = read_json(directory / TRAINING_CONFIG)
    if data is not None and not isinstance(data, dict):
        raise AdapterCorrupt(f"{directory / TRAINING_CONFIG} is not a table of settings")
    settings: dict[str, Any] = data or {}
    return {OTHER_NAMES.get(key, key): value for key, value in settings.items()}


def _recipe(folder: StockFolder, base: Base, settings: Mapping[str, Any]) -> Recipe:
    """What trains such an adapter again: its own settings, the seed's where it does not say."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    from ..training.recipe import SEED_PEFT, make_recipe

    known = {key: settings[key] for key in (*RECIPE_NAMES, "max_length") if key in settings}
    if isinstance(known.get("epochs"), float) and known["epochs"].is_integer():
        known["epochs"] = int(known["epochs"])
    method = str(folder.config["peft_type"])
    if method not in PEFT_TYPE_TO_CONFIG_MAPPING:
        raise AdapterUnsupported(
            f"{folder.path} uses the PEFT method {method!r}, which the PEFT here does not know",
            "upgrade peft",
        )
    fields = dataclasses.fields(PEFT_TYPE_TO_CONFIG_MAPPING[method])
    defaults = {f.name: f.default for f in fields if f.name not in BOOKKEEPING}
    peft = {
        key: value
        for key, value in folder.encoder_config.items()
        if key in SEED_PEFT or (key in defaults and value and value != defaults[key])
    }
    layer = {"base": base.id, "peft_method": method, "peft": peft, "pooling": "pooler", **known}
    try:
        return make_recipe(layer, preset="seed")
    except RecipeError as error:
        where = folder.path / TRAINING_CONFIG
        raise RecipeError(f"{where}: {error.message}", error.hint) from error


def _text_limit(base: Base) -> int:
    from ..tokens import TextEncoder

    return TextEncoder(base).limit


def _libraries(config: Mapping[str, Any]) -> dict[str, str]:
    found = config.get("peft_version")
    return {"peft": found} if isinstance(found, str) else {}


def _write(staged: Path, folder: StockFolder, manifest: Manifest, recipe: Recipe | None) -> None:
    from safetensors.torch import save

    from ..training.card import FILE as CARD
    from ..training.card import write_card

    config = {**folder.encoder_config, "base_model_name_or_path": manifest.base.id}
    text = json.dumps(config, ensure_ascii=False, indent=2, sort_keys=True)
    (staged / ADAPTER_CONFIG).write_text(text + "\n", encoding="utf-8")
    tensors = {name: tensor.contiguous() for name, tensor in folder.adapter.items()}
    (staged / ADAPTER_TENSORS).write_bytes(save(tensors, metadata={"format": "pt"}))
    Head("pooler", folder.weight.numpy(), folder.bias.numpy()).save(staged)
    report = {"notes": ["Imported as it was, so it has not been judged here."]}
    (staged / CARD).write_text(write_card(manifest, recipe, report, EXAMPLE), encoding="utf-8")


def _prove(
    folder: StockFolder,
    staged: Path,
    manifest: Manifest,
    base: Base,
    expected: Callable[[Sequence[tuple[int, ...]]], FloatArray],
    workshop: Workshop,
) -> None:
    """Runs both forms. Raises `AdapterUnsupported` or `AdapterCorrupt` in the folder's name."""
    from ..store.source import AdapterSource
    from .proof import check_same, engine_logits, sample_rows

    rows, device = sample_rows(base), workshop.device
    before = expected(rows)
    source = AdapterSource(staged, manifest, manifest.content_hash)
    with named_by(folder.path, manifest):
        ours = engine_logits(base, source, rows, device)
    check_same(ours, before, f"importing {folder.path}")
