"""A store, and adapters small enough to publish by the dozen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.store.manifest import BaseRecord, Manifest
from adapter_platform.core.store.store import Store

Publish = Callable[..., Manifest]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store whose directory does not exist yet."""
    return Store(tmp_path / "store")


@pytest.fixture
def publish() -> Publish:
    """``publish(store, name, text)``: a new version whose answers are told apart by `text`."""

    def run(store: Store, name: str = "support", text: str = "one", *, promote: bool = True):
        manifest = Manifest(
            name=name,
            base=BaseRecord("tiny", "f" * 64, hidden_size=32, layers=2),
            scheme=LabelScheme.of("single", ["退款", "delivery"]),
            peft_method="LORA",
            pooling="mean",
            max_length=64,
        )
        with store.stage(name) as directory:
            (directory / "head.json").write_text(f'"{text}"', encoding="utf-8")
            (directory / "report").mkdir()
            (directory / "report" / "report.md").write_text(text, encoding="utf-8")
            return store.publish(directory, manifest, promote=promote)

    return run


@pytest.fixture
def starters(tmp_path: Path, publish: Publish) -> Path:
    """Starters as a package ships them: data_eng@1, and files that are no adapters."""
    root = tmp_path / "starters"
    publish(Store(root), "data_eng", "shipped")
    (root / "__init__.py").touch()
    (root / "__pycache__").mkdir()
    return root
