"""Stock classifiers as transformers and PEFT save them, and a workshop to bring them into."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging

from adapter_platform.core.bases import Bases
from adapter_platform.core.engine.peft import PeftEngine
from adapter_platform.core.engine.protocol import Row
from adapter_platform.core.errors import PlatformError
from adapter_platform.core.exchange.importing import import_adapter
from adapter_platform.core.registry import Brought, NullListener, Registry
from adapter_platform.core.store.manifest import Manifest
from adapter_platform.core.store.source import AdapterSource
from adapter_platform.core.store.store import Store
from adapter_platform.core.tokens import TextEncoder
from adapter_platform.core.training.workshop import Workshop
from adapter_platform.plugins.sources.csv_file import CsvSource

logging.set_verbosity_error()
logging.disable_progress_bar()

TEXTS = ["数据清洗流程是什么？", "hello", "how do I load a table into the platform", "天气怎么样"]
NAMES = ("数据平台", "general chat", "irrelevant")
LABEL_MAP = dict(enumerate(NAMES))
SEED = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.1}
SEED_TARGETS = ["query", "key", "value", "dense"]

Stock = Callable[..., Path]
Logits = Callable[..., np.ndarray]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """An empty store, and CSV files for data."""
    registry = Registry(sources={"csv": Brought(CsvSource(), "builtin")})
    cache = tmp_path / "cache"
    return Workshop(
        store=Store(tmp_path / "store"),
        bases=Bases(registry, cache),
        registry=registry,
        listener=NullListener(),
        device=torch.device("cpu"),
        batch_tokens=4096,
        cache=cache,
    )


def seed_config(**settings: Any) -> LoraConfig:
    """The seed's LoRA."""
    return LoraConfig(**{"task_type": "SEQ_CLS", "target_modules": SEED_TARGETS} | SEED | settings)


@pytest.fixture
def stock(tmp_path: Path, tiny_base: Path) -> Stock:
    """``stock(config, ...)``: a folder of a stock classifier, saved by PEFT, as after training."""

    def make(
        config: PeftConfig | None = None,
        *,
        classes: int = 3,
        base: Path = tiny_base,
        folder: str = "stock",
        labels: Any = LABEL_MAP,  # None: no label_map.json
        training: dict[str, Any] | None = None,
    ) -> Path:
        torch.manual_seed(5)
        model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=classes)
        peft = get_peft_model(model, config or seed_config())
        with torch.no_grad():
            for parameter in peft.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.3 * torch.randn_like(parameter))
        directory = tmp_path / folder
        peft.save_pretrained(directory)
        if labels is not None:
            text = json.dumps(labels, ensure_ascii=False)
            (directory / "label_map.json").write_text(text, encoding="utf-8")
        if training is not None:
            (directory / "training_config.json").write_text(json.dumps(training))
        return directory

    return make


@pytest.fixture
def stock_logits(tiny_base: Path) -> Logits:
    """``stock_logits(directory)``: ``(TEXTS, classes)`` by transformers and PEFT alone."""

    def run(directory: Path, *, classes: int = 3, base: Path = tiny_base) -> np.ndarray:
        model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=classes)
        peft = PeftModel.from_pretrained(model, directory).eval()
        tokenizer = AutoTokenizer.from_pretrained(base)
        with torch.no_grad():
            rows = [peft(**tokenizer([text], return_tensors="pt")).logits for text in TEXTS]
        return torch.cat(rows).numpy()

    return run


@pytest.fixture
def platform_logits(workshop: Workshop, tiny_base: Path) -> Logits:
    """``platform_logits(manifest)``: ``(TEXTS, classes)`` by the platform's engine."""

    def run(manifest: Manifest) -> np.ndarray:
        base = workshop.bases.resolve(str(tiny_base))
        encoded = TextEncoder(base).encode(TEXTS, manifest.max_length)
        source = published(workshop, manifest)
        engine = PeftEngine(base, workshop.device, NullListener(), 4, 4096, 0)
        try:
            return np.stack(engine.logits([Row(e.ids, source) for e in encoded]))
        finally:
            engine.close()

    return run


def published(workshop: Workshop, manifest: Manifest) -> AdapterSource:
    """The adapter of a manifest as the store has it."""
    return workshop.store.resolve(manifest.reference)


def bring(directory: Path, workshop: Workshop, **options: Any) -> Manifest:
    return import_adapter(directory, workshop=workshop, **{"name": "old", "base": None, **options})


def refusal(error: type[PlatformError], action: Callable[[], object]) -> str:
    """The sentence and hint of the error that the action ends in."""
    with pytest.raises(error) as caught:
        action()
    return f"{caught.value.message} | {caught.value.hint or ''}"


def edit(directory: Path, **changes: Any) -> None:
    """Changes settings in the folder's PEFT configuration."""
    path = directory / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
