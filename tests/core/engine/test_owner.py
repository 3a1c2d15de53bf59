"""A thread of one's own: what comes of items when it cannot be had."""

from __future__ import annotations

import threading

import pytest

from adapter_platform.core.engine.owner import Owner
from adapter_platform.core.errors import PlatformError


def test_a_thread_that_cannot_be_started_is_an_error_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = threading.Event()

    def work(items: list[threading.Event]) -> None:
        for item in items:
            item.set()

    owner = Owner("me", work)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            with pytest.raises(PlatformError, match="no thread can be started for me"):
                owner.submit(done)
    owner.submit(done)
    assert done.wait(10)
    owner.close()
