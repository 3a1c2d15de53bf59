"""Long work can be stopped."""

from __future__ import annotations

import os
import signal

import pytest

from adapter_platform.cli.progress import shown_progress


class Interrupted:
    """Ctrl-C is pressed while this is being finalised, where Python loses the exception."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):  # the handler runs between two instructions
            pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_ctrl_c_that_a_finaliser_swallows_ends_the_work_at_its_next_step() -> None:
    before = signal.getsignal(signal.SIGINT)
    with shown_progress(quiet=True) as progress:
        progress.advance(1, 3, "work")
        Interrupted()
        with pytest.raises(KeyboardInterrupt):
            progress.advance(2, 3, "work")
    assert signal.getsignal(signal.SIGINT) is before
