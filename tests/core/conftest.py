"""Real PEFT adapters on a tiny base, random but strong enough to matter, in and out of stores."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapter_platform.core.bases import Base, Bases
from adapter_platform.core.heads import Head
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.registry import Registry
from adapter_platform.core.routing.profile import Profile
from adapter_platform.core.store.manifest import Manifest
from adapter_platform.core.store.source import AdapterSource
from adapter_platform.core.store.store import Store

MakeAdapter = Callable[..., AdapterSource]
Publish = Callable[..., Manifest]

LINEAR = ["query", "key", "value", "dense"]
METHODS: Mapping[str, Mapping[str, Any]] = {
    "IA3": {"target_modules": ["key", "value", "dense"], "feedforward_modules": ["dense"]},
    "OFT": {"r": 0, "oft_block_size": 4},
    "BOFT": {"boft_block_size": 4},
    "ADALORA": {"total_step": 10},
    "LN_TUNING": {"target_modules": ["LayerNorm"]},
    "VBLORA": {"num_vectors": 16, "vector_length": 8},
    "FOURIERFT": {"n_frequency": 20},
    "C3A": {"block_size": 8},
    "PROMPT_TUNING": {"num_virtual_tokens": 4},
    "PREFIX_TUNING": {"num_virtual_tokens": 4},
    "P_TUNING": {"num_virtual_tokens": 4, "encoder_hidden_size": 16},
}
"""Settings with which a method fits the tiny base; the others take four ranks on `LINEAR`."""


@cache
def _encoder(directory: Path) -> Any:
    import torch

    from adapter_platform.core.engine.encoder import load_encoder

    base = Bases(Registry(), directory / "cache").resolve(str(directory))
    return load_encoder(base, torch.device("cpu"))


def encoder_of(directory: Path) -> Any:
    """A fresh copy of the base's encoder."""
    return copy.deepcopy(_encoder(directory))


def random_peft_model(directory: Path, method: str, seed: int, settings: Mapping[str, Any]) -> Any:
    """A `PeftModel` over the base's encoder whose trainable weights have all been moved."""
    import torch
    from peft import get_peft_model
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    method, extra = ("LORA", {"use_dora": True}) if method == "DORA" else (method, {})
    kind = PEFT_TYPE_TO_CONFIG_MAPPING[method]
    known = {field.name for field in fields(kind)}
    usual = {key: value for key, value in (("target_modules", LINEAR), ("r", 4)) if key in known}
    given = {"task_type": "FEATURE_EXTRACTION", **usual, **METHODS.get(method, {}), **extra}
    torch.manual_seed(seed)
    model = get_peft_model(encoder_of(directory), kind(**{**given, **settings}))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture
def make_adapter_dir(tmp_path: Path) -> MakeAdapter:
    """``make_adapter_dir(base_dir, name, ...)``: an adapter as the store holds it."""

    def make(
        base_dir: Path,
        name: str = "support",
        *,
        labels: int = 3,
        scheme: LabelScheme | None = None,
        method: str = "LORA",
        settings: Mapping[str, Any] | None = None,
        pooling: str = "mean",
        seed: int = 0,
        version: int = 1,
        directory: Path | None = None,
        **manifest: Any,
    ) -> AdapterSource:
        model = random_peft_model(base_dir, method, seed, settings or {})
        directory = directory or tmp_path / "adapters" / name / str(version)
        directory.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(directory)
        scheme = scheme or LabelScheme.of("single", [f"{name}-{i}" for i in range(labels)])
        base = Bases(Registry(), base_dir / "cache").resolve(str(base_dir))
        random = np.random.default_rng(seed)
        shape = (len(scheme.classes), base.hidden_size)
        weight = random.normal(size=shape).astype(np.float32)
        bias = random.normal(size=shape[:1]).astype(np.float32)
        Head(pooling, weight, bias).save(directory)  # type: ignore[arg-type]  # a test's own name
        written = replace(
            Manifest(
                name=name,
                version=version,
                base=base.record(),
                scheme=scheme,
                peft_method=method,
                pooling=pooling,
                max_length=32,
            ),
            **manifest,
        ).write(directory)
        return AdapterSource(directory, written, written.content_hash)

    return make


@pytest.fixture
def publish_adapter(make_adapter_dir: MakeAdapter) -> Publish:
    """``publish_adapter(store, base_dir, name, ...)``: the same, published in a store."""

    def publish(store: Store, base_dir: Path, name: str = "support", **options: Any) -> Manifest:
        with store.stage(name) as staged:
            source = make_adapter_dir(base_dir, name, directory=staged, **options)
            return store.publish(staged, source.manifest)

    return publish


def bare_features(base_dir: Path, texts: Sequence[str]) -> Any:
    """``(texts, hidden)``: what the base makes of them, as they are read to be routed."""
    import torch

    from adapter_platform.core.engine.encoder import pad, pooled
    from adapter_platform.core.routing.profile import POOLING, TOKENS
    from adapter_platform.core.tokens import TextEncoder

    base = Bases(Registry(), base_dir / "cache").resolve(str(base_dir))
    rows = [one.ids for one in TextEncoder(base).encode(texts, TOKENS)]
    with torch.no_grad():
        return pooled(_encoder(base_dir), *pad(rows, base.pad_id, torch.device("cpu")), POOLING)


@pytest.fixture
def publish_profiled(make_adapter_dir: MakeAdapter) -> Publish:
    """``publish_profiled(store, base_dir, name, texts, ...)``: one that ``auto`` finds by texts."""

    def publish(
        store: Store, base_dir: Path, name: str, texts: Sequence[str], **options: Any
    ) -> Manifest:
        with store.stage(name) as staged:
            source = make_adapter_dir(base_dir, name, directory=staged, **options)
            features = bare_features(base_dir, texts).numpy()
            Profile.of(features, ["a", "b"] * (len(texts) // 2) + ["a"] * (len(texts) % 2)).save(
                staged
            )
            return store.publish(staged, source.manifest)

    return publish


@pytest.fixture
def tiny(tiny_base: Path, tmp_path: Path) -> Base:
    """The tiny base, resolved."""
    return Bases(Registry(), tmp_path / "cache").resolve(str(tiny_base))
