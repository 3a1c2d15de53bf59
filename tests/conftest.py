"""What all tests share: the author kit's fixtures, and a home that is nobody's own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# A tiny model is quickest on one thread, and far so where cores are shared.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background; commands that the tests start must hear Ctrl-C all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["adapter_platform.plugins.testing"]


@pytest.fixture(scope="session")
def embedded_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that the tests on the embedded base share, so that it is built once."""
    return tmp_path_factory.mktemp("embedded")


@pytest.fixture(autouse=True)
def private_home(platform_home: Path) -> Path:
    """No test reads or writes the user's own store, cache or settings."""
    return platform_home
