"""Adapters out of the store: as they are, or as stock PEFT sequence classifiers."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..errors import AdapterUnsupported, StoreError, UsageError, unknown
from ..heads import Head
from ..store.disk import FULL
from ..store.manifest import FILE, Manifest
from ..store.verify import damage, verify_files
from .label_map import CONFIG, KINDS, write_label_map
from .stock import (
    ADAPTER_CONFIG,
    ADAPTER_TENSORS,
    ARCHITECTURE,
    ENCODER,
    KEPT_CONFIG,
    TRAINING_CONFIG,
    read_json,
    retarget,
)
from .stock import to_stock as stock_name

if TYPE_CHECKING:
    import torch

    from ..bases import Base, Bases
    from ..store.source import AdapterSource

Format = Literal["platform", "stock"]

CARD = """---
library_name: peft
pipeline_tag: text-classification
base_model: {base}
---

# {name}

A stock PEFT sequence classifier, exported from {reference}. `label_map.json` names its labels.

```python
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

model = AutoModelForSequenceClassification.from_pretrained("BASE_DIRECTORY", num_labels={classes})
model = PeftModel.from_pretrained(model, "ADAPTER_DIRECTORY").eval()
```
"""


def export_adapter(
    source: AdapterSource,
    directory: Path,
    *,
    format: str,
    bases: Bases,
    location: str | None = None,
    device: str = "cpu",
) -> Path:
    """Writes an adapter into a new directory, wholly or not at all; returns the directory.

    Args:
        directory: must not exist, or be empty.
        format: ``platform`` for the adapter's own files, which `import_adapter` takes again;
            ``stock`` for a classifier that transformers and PEFT load alone. The latter holds no
            calibration, no post-processing and no names of labels in several languages.
        bases: finds the adapter's base, on which a stock export is compared with the original.
        location: where that base lies, if not where its id says.

    Raises:
        UsageError: there is no such format.
        AdapterCorrupt: the adapter is damaged.
        AdapterUnsupported: the format cannot hold it.
        BaseUnavailable, BaseMismatch: a stock export's base is not here, or is another.
        StoreError: the directory holds something, or cannot be written.
    """
    if format not in get_args(Format):
        raise unknown("export format", format, get_args(Format), UsageError)
    verify_files(source)
    if format == "platform":
        with _new(directory) as made:
            _copy(source, made)
        return directory
    manifest = source.manifest
    _check_stock(manifest)
    base, _ = bases.for_adapter(manifest, location)
    with _new(directory) as made:
        _write_stock(source, made, base)
        _prove(source, made, base, device)
    return directory


def _copy(source: AdapterSource, made: Path) -> None:
    manifest = source.manifest
    for name in manifest.files:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.path / name, made / name)
    (made / FILE).write_text(manifest.to_json(), encoding="utf-8")
    found = damage(made, manifest)
    if found:
        raise StoreError(f"the copy of {manifest.reference} is not whole: {found[0]}")


def _check_stock(manifest: Manifest) -> None:
    why = None
    if manifest.pooling != "pooler":
        why = (
            f"its head pools with {manifest.pooling!r}, and a stock BERT classifier reads the "
            "base's pooler"
        )
    elif manifest.base.architecture != ARCHITECTURE:
        why = (
            f"its base is a {manifest.base.architecture!r}, whose stock classifier has more layers"
        )
    elif manifest.token_bag:
        why = "it counts tokens by themselves too, and a stock classifier reads pooled states alone"
    elif manifest.window_stride is not None:
        why = "it reads long texts in windows, and a stock classifier reads their beginning alone"
    if why:
        raise AdapterUnsupported(
            f"{manifest.reference} cannot be exported as a stock classifier: {why}",
            "use --format platform; --set pooling=pooler --set token_bag=never on a base with a "
            "pooler, such as bert-base-chinese, trains one that can be",
        )


def _write_stock(source: AdapterSource, made: Path, base: Base) -> None:
    from safetensors.torch import load_file, save

    manifest, head = source.manifest, Head.load(source.path)
    tensors: dict[str, torch.Tensor] = load_file(source.path / ADAPTER_TENSORS)
    config = retarget(read_json(source.path / ADAPTER_CONFIG), list(tensors), "", ENCODER)
    config |= {"task_type": "SEQ_CLS", "modules_to_save": ["classifier", "score"]}
    config |= {"base_model_name_or_path": base.id, "inference_mode": True}
    stock = {stock_name(name): tensor for name, tensor in tensors.items()}
    stock |= _head_tensors(head, config)
    _write_json(made / ADAPTER_CONFIG, config)
    # Not save_file: it would report a full disk in an error of its own kind.
    (made / ADAPTER_TENSORS).write_bytes(save(stock, metadata={"format": "pt"}))
    classes = manifest.scheme.classes
    write_label_map(made, classes)
    _write_json(made / TRAINING_CONFIG, _training_config(source, base))
    _write_json(made / CONFIG, _model_config(manifest, base))
    card = CARD.format(
        base=base.id, name=manifest.name, reference=manifest.reference, classes=len(classes)
    )
    (made / "README.md").write_text(card, encoding="utf-8")


def _head_tensors(head: Head, config: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The classifier under the name that PEFT gives modules that it saves whole."""
    import torch

    weight, bias = torch.from_numpy(head.weight), torch.from_numpy(head.bias)
    prompt = config["peft_type"] == "PREFIX_TUNING"  # wraps nothing, so adds no `model.`
    where = "base_model.classifier" if prompt else "base_model.model.classifier"
    tensors = {f"{where}.weight": weight, f"{where}.bias": bias}
    if config.get("bias") == "all":
        # PEFT then takes the wrapper's two biases for trained ones as well, and expects them.
        tensors[f"{where}.modules_to_save.bias"] = bias.clone()
        tensors[f"{where}.original_module.bias"] = torch.zeros_like(bias)
    return tensors


def _training_config(source: AdapterSource, base: Base) -> dict[str, Any]:
    """The file that came with an imported adapter, else what our recipe has under those names."""
    kept = read_json(source.path / KEPT_CONFIG)
    if isinstance(kept, dict):
        return kept
    recipe = read_json(source.path / TRAINING_CONFIG) or {}
    manifest = source.manifest
    config = {"model_name": base.id, "num_labels": len(manifest.scheme.classes)}
    config |= {"max_length": manifest.max_length}
    taken = ("epochs", "batch_size", "learning_rate")
    return config | {key: recipe[key] for key in taken if key in recipe}


def _model_config(manifest: Manifest, base: Base) -> dict[str, Any]:
    """The base's `config.json` as a classifier's, so that stock tools show label names."""
    names = dict(enumerate(manifest.scheme.classes))
    # A hierarchy is one label a text to stock code, since it is a softmax over the paths.
    kind = "multi" if manifest.scheme.kind == "multi" else "single"
    problem = next(name for name, known in KINDS.items() if known == kind)
    return {
        **read_json(base.path / CONFIG),
        "architectures": ["BertForSequenceClassification"],
        "id2label": {str(i): name for i, name in names.items()},
        "label2id": {name: i for i, name in names.items()},
        "problem_type": problem,
    }


def _prove(source: AdapterSource, made: Path, base: Base, device: str) -> None:
    from ..engine.encoder import pick_device
    from .proof import check_same, engine_logits, sample_rows, stock_logits

    rows, where = sample_rows(base), pick_device(device)
    ours = engine_logits(base, source, rows, where)
    stock = stock_logits(base, made, len(source.manifest.scheme.classes), rows, where)
    check_same(ours, stock, f"exporting {source.manifest.reference} as a stock classifier")


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    text = json.dumps(data, ensure_ascii=False, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


@contextmanager
def _new(directory: Path) -> Iterator[Path]:
    """A sibling to fill, which takes the directory's place at the end of the block."""
    place = directory.absolute()
    hidden = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise StoreError(f"{directory} exists and holds something", "name a new directory")
        place.parent.mkdir(parents=True, exist_ok=True)
        hidden.mkdir()
        yield hidden
        if place.exists():
            place.rmdir()
        hidden.rename(place)
    except OSError as error:
        # Whatever cannot be read has been verified before, so this is about what is written.
        reason = "there is no space left" if error.errno in FULL else os.strerror(error.errno or 0)
        raise StoreError(
            f"the export to {directory} was not written: {reason}", "name another directory"
        ) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
