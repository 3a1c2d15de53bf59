"""Loading a base leaves the process as it was."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)
from transformers.utils import logging

from adapter_platform.core.bases import Base
from adapter_platform.core.engine.encoder import load_encoder


def state() -> tuple[int, bool, bool]:
    """transformers' verbosity, its progress bars, and those of downloads."""
    bars = logging.is_progress_bar_enabled()
    return logging.get_verbosity(), bars, not are_progress_bars_disabled()


@pytest.fixture
def kept() -> Iterator[None]:
    verbosity, bars, downloads = state()
    yield
    logging.set_verbosity(verbosity)
    (logging.enable_progress_bar if bars else logging.disable_progress_bar)()
    (enable_progress_bars if downloads else disable_progress_bars)()


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("bars", [True, False])
@pytest.mark.parametrize("downloads", [True, False])
def test_reports_and_progress_bars_are_as_they_were(
    tiny: Base, bars: bool, downloads: bool
) -> None:
    logging.set_verbosity_info()
    (logging.enable_progress_bar if bars else logging.disable_progress_bar)()
    (enable_progress_bars if downloads else disable_progress_bars)()
    before = state()
    load_encoder(tiny, torch.device("cpu"))
    assert state() == before
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: load_encoder(tiny, torch.device("cpu")), range(8)))
    assert state() == before
