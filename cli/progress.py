"""How far long work is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import output
from .render.figures import duration

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from adapter_platform.core.training.workshop import Progress

SECONDS = 10.0  # between two lines where no bar can be drawn


@contextmanager
def shown_progress(quiet: bool = False) -> Iterator[Progress]:
    """Progress on standard error for the length of the block, which Ctrl-C ends for certain."""
    with _progress(quiet) as progress, Interruptible(progress) as interruptible:
        yield interruptible


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    if quiet:
        yield Silent()
        return
    if not output.is_terminal(sys.stderr):
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    # Its own console, so that results on standard output never mix with the bar.
    console = Console(stderr=True, highlight=False, markup=False)
    with RichProgress(*columns, console=console, transient=True) as bar:
        yield Bar(bar)


class Interruptible:
    """Progress whose next step ends the work where Ctrl-C has been pressed and was lost.

    Python prints a KeyboardInterrupt that comes up in a finaliser or a callback and goes on.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._pressed = False
        self._before: Any = None
        self._hook: Any = None

    def __enter__(self) -> Interruptible:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler and _is_main_thread():
            self._before = signal.signal(signal.SIGINT, self._press)
            self._hook = sys.unraisablehook
            sys.unraisablehook = self._lost
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            sys.unraisablehook = self._hook

    def say(self, message: str) -> None:
        self._progress.say(message)

    def advance(self, done: int, total: int, note: str) -> None:
        if self._pressed:
            raise KeyboardInterrupt
        self._progress.advance(done, total, note)

    def _press(self, *_: object) -> None:
        self._pressed = True
        raise KeyboardInterrupt

    def _lost(self, unraisable: Any) -> None:
        """Python's print of what was lost is for nobody: the next step ends the work."""
        if not (self._pressed and issubclass(unraisable.exc_type, KeyboardInterrupt)):
            self._hook(unraisable)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class Silent:
    """Says nothing."""

    def say(self, message: str) -> None: ...

    def advance(self, done: int, total: int, note: str) -> None: ...


class Lines:
    """A line for each thing said, and one about the work every few seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._work = ""
        self._began = (self._last, 0)  # when the present piece of work did, and how far it was

    def say(self, message: str) -> None:
        output.note(message)

    def advance(self, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        work = note.partition(",")[0]  # what follows the comma changes on the way
        if work != self._work:
            self._work, self._began = work, (now, done)
        if now - self._last >= SECONDS:
            self._last = now
            output.note(f"{note}: {done:,}" + (self._of(done, total, now) if total else ""))

    def _of(self, done: int, total: int, now: float) -> str:
        then, before = self._began
        left = (total - done) * (now - then) / (done - before) if done > before else 0
        return f" of {total:,}" + (f", {duration(left)} left" if left else "")


class Bar:
    """One bar; another piece of work begins it anew."""

    def __init__(self, bar: RichProgress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, visible=False)
        self._work = ("", 0)

    def say(self, message: str) -> None:
        self._bar.console.print(message)

    def advance(self, done: int, total: int, note: str) -> None:
        work = (note.partition(",")[0], total)  # what follows the comma changes on the way
        if work != self._work:
            self._work = work
            self._bar.reset(self._task, total=total or None, completed=done, visible=True)
        self._bar.update(self._task, completed=done, description=note)
