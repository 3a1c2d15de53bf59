"""Checkpoints of the hand-written LoRALayer come in with the answers that they gave."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapter_platform.core.engine.lora import LoraReader
from adapter_platform.core.engine.packed import PackedEngine
from adapter_platform.core.engine.peft import PeftEngine
from adapter_platform.core.engine.protocol import Row
from adapter_platform.core.errors import AdapterCorrupt, AdapterUnsupported, SchemeError
from adapter_platform.core.exchange.importing import import_legacy
from adapter_platform.core.registry import NullListener
from adapter_platform.core.store.manifest import Manifest
from adapter_platform.core.training.workshop import Workshop
from benchmarks.quality.legacy import TARGETS, OldModel

from .conftest import NAMES, published

ROWS = [tuple(range(5, 5 + length)) for length in (1, 3, 17, 32)]

MakeOld = Callable[..., OldModel]


@pytest.fixture
def old(tiny_base: Path) -> MakeOld:
    def make(rank: int = 4, alpha: float = 8, **settings: Any) -> OldModel:
        torch.manual_seed(rank)
        return OldModel(tiny_base, rank, alpha, **settings)

    return make


@pytest.fixture
def folder(old: MakeOld, tmp_path: Path) -> Path:
    return old().save(tmp_path / "old_model")


def platform_logits(workshop: Workshop, manifest: Manifest, base: Path, engine: Any) -> np.ndarray:
    made = engine(workshop.bases.resolve(str(base)))
    source = published(workshop, manifest)
    try:
        return np.stack(made.logits([Row(row, source) for row in ROWS]))
    finally:
        made.close()


CPU = torch.device("cpu")
ENGINES = {
    "peft": lambda base: PeftEngine(base, CPU, NullListener(), 1, 4096, 1),
    "packed": lambda base: PackedEngine(LoraReader(base), CPU, NullListener(), 1 << 30, 4096, 1),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("rank", "alpha"), [(1, 16), (4, 8), (8, 16.5)])
def test_the_logits_are_the_old_models_within_twice_its_own_error(
    old: MakeOld,
    workshop: Workshop,
    tiny_base: Path,
    tmp_path: Path,
    rank: int,
    alpha: float,
    engine: str,
) -> None:
    model = old(rank, alpha)
    directory = model.save(tmp_path / "old_model")
    manifest = import_legacy(directory, str(tiny_base), name=None, workshop=workshop)
    exact = model.logits(ROWS, torch.float64)
    assert np.abs(exact).max() > 1
    ours = platform_logits(workshop, manifest, tiny_base, ENGINES[engine])
    # A tiny model's own error can be next to nothing, so a few roundings of float32 are let pass.
    allowed = 2 * np.abs(model.logits(ROWS) - exact).max() + 1e-6 * np.abs(exact).max()
    assert np.abs(ours - exact).max() <= allowed


def test_it_becomes_an_adapter_with_its_labels_and_settings(
    folder: Path, workshop: Workshop, tiny_base: Path
) -> None:
    manifest = import_legacy(folder, str(tiny_base), name=None, workshop=workshop)
    assert manifest.reference == "old_model@1"
    assert manifest.scheme.classes == NAMES
    assert (manifest.pooling, manifest.peft_method) == ("pooler", "LORA")
    config = json.loads((published(workshop, manifest).path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (4, 8, 0.1)
    assert config["target_modules"] == sorted(TARGETS)


def test_lora_on_some_layers_stays_on_those(
    old: MakeOld, workshop: Workshop, tiny_base: Path, tmp_path: Path
) -> None:
    model = old(layers=1)
    directory = model.save(tmp_path / "half")
    manifest = import_legacy(directory, str(tiny_base), name="half", workshop=workshop)
    ours = platform_logits(workshop, manifest, tiny_base, ENGINES["peft"])
    np.testing.assert_allclose(ours, model.logits(ROWS), atol=1e-5)


def test_labels_may_be_given_where_the_folder_has_none(
    folder: Path, workshop: Workshop, tiny_base: Path
) -> None:
    (folder / "label_map.json").unlink()
    with pytest.raises(SchemeError, match="does not say what its 3 labels are called"):
        import_legacy(folder, str(tiny_base), name=None, workshop=workshop)
    manifest = import_legacy(
        folder, str(tiny_base), name=None, workshop=workshop, labels=["a", "b", "c"]
    )
    assert manifest.scheme.classes == ("a", "b", "c")


def test_settings_beside_the_weights_serve_where_those_within_are_missing(
    old: MakeOld, folder: Path, workshop: Workshop, tiny_base: Path
) -> None:
    state = old().state()
    del state["lora_config"]
    torch.save(state, folder / "lora_weights.pth")
    assert import_legacy(folder, str(tiny_base), name=None, workshop=workshop).version == 1
    (folder / "lora_config.json").unlink()
    with pytest.raises(AdapterCorrupt, match="with what rank and alpha"):
        import_legacy(folder, str(tiny_base), name=None, workshop=workshop)


def test_a_base_without_a_pooler_or_of_another_size_is_refused(
    folder: Path, workshop: Workshop, tiny_base_without_pooler: Path
) -> None:
    with pytest.raises(AdapterUnsupported) as caught:
        import_legacy(folder, str(tiny_base_without_pooler), name=None, workshop=workshop)
    assert "--base" in (caught.value.hint or "")
    assert workshop.store.names() == []


class Payload:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return print, ("unpickled",)


def test_a_file_that_carries_code_is_not_run(
    folder: Path,
    workshop: Workshop,
    tiny_base: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "lora_weights.pth").write_bytes(pickle.dumps({"lora_weights": Payload()}, protocol=2))
    with pytest.raises(AdapterCorrupt, match="nothing else is loaded"):
        import_legacy(folder, str(tiny_base), name=None, workshop=workshop)
    assert "unpickled" not in capsys.readouterr().out
    assert workshop.store.names() == []


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    state = torch.load(path, weights_only=True)
    edit(state)
    torch.save(state, path)


QUERY = "bert.encoder.layer.0.attention.self.query.lora_A.weight"
DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], object], type[Exception], str]] = {
    "no LoRA": (lambda s: s["lora_weights"].clear(), AdapterCorrupt, "no LoRA weights"),
    "half a pair": (lambda s: s["lora_weights"].pop(QUERY), AdapterCorrupt, "no pair of factors"),
    "another rank": (lambda s: s["lora_config"].update(rank=5), AdapterCorrupt, "of rank 5"),
    "no rank": (lambda s: s["lora_config"].update(rank=0), AdapterCorrupt, "rank of 0"),
    "an endless alpha": (
        lambda s: s["lora_config"].update(alpha=float("inf")),
        AdapterCorrupt,
        "alpha of inf",
    ),
    "no classifier": (
        lambda s: s.pop("classifier_weights"),
        AdapterCorrupt,
        "no tensors under 'classifier_weights'",
    ),
    "half a classifier": (
        lambda s: s["classifier_weights"].pop("bias"),
        AdapterCorrupt,
        "not a weight and a bias",
    ),
    "LoRA elsewhere": (
        lambda s: s["lora_weights"].update({"bert.pooler.dense.lora_A.weight": torch.ones(4, 4)}),
        AdapterUnsupported,
        "stood only on",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_checkpoint_that_does_not_fit_together_is_refused(
    folder: Path, workshop: Workshop, tiny_base: Path, what: str
) -> None:
    edit, error, sentence = DAMAGE[what]
    change(folder / "lora_weights.pth", edit)
    with pytest.raises(error, match=sentence):
        import_legacy(folder, str(tiny_base), name=None, workshop=workshop)
    assert workshop.store.names() == []


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_checkpoint_is_refused(
    folder: Path, workshop: Workshop, tiny_base: Path, content: bytes
) -> None:
    (folder / "lora_weights.pth").write_bytes(content)
    with pytest.raises(AdapterCorrupt):
        import_legacy(folder, str(tiny_base), name=None, workshop=workshop)


def test_a_folder_of_the_later_classifier_is_pointed_to_import(
    folder: Path, workshop: Workshop, tiny_base: Path
) -> None:
    (folder / "lora_weights.pth").unlink()
    with pytest.raises(AdapterCorrupt) as caught:
        import_legacy(folder, str(tiny_base), name=None, workshop=workshop)
    assert "platform adapters import" in (caught.value.hint or "")
