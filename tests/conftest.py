"""What all tests share: the author kit's fixtures, and a home that is nobody's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

pytest_plugins = ["adapter_platform.plugins.testing"]


@pytest.fixture(autouse=True)
def private_home(platform_home: Path) -> Path:
    """No test reads or writes the user's own store, cache or settings."""
    return platform_home
