"""Bulk runs in processes of their own, for tests that stop them.

stopped.py SOURCE OUT WORD...
    `platform classify WORD...` in copies OUT/1, OUT/2, ... of SOURCE, where every chunk is made
    safe on the disk at once: in OUT/N the N-th change of a file kills it, and then it is run
    once more; OUT/N/said.log is what both said. Prints N and the two exit statuses, up to the
    first N that there are fewer changes than.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from adapter_platform.cli.rows import answering, partial

LIMIT = 100  # changes; no run makes so many


def watch(root: Path, stop_at: int) -> None:
    """Before the N-th change of a file below `root`: kill this process."""
    seen = 0

    def change() -> None:
        nonlocal seen
        seen += 1
        if seen == stop_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        writing = event == "open" and int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR)
        if not writing and event not in ("os.rename", "os.remove", "os.truncate", "os.chmod"):
            return
        path = arguments[0]
        if isinstance(path, str | os.PathLike) and Path(path).is_relative_to(root):
            change()

    sync = os.fsync  # raises no audit event

    def fsync(descriptor: int) -> None:
        change()
        sync(descriptor)

    os.fsync = fsync
    sys.addaudithook(audit)


def classify(words: list[str]) -> int:
    """Runs the command in this process; returns its exit code."""
    from adapter_platform.cli.main import app

    try:
        app(["classify", *words], prog_name="platform")
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def in_fork(directory: Path, words: list[str], stop_at: int | None) -> int:
    """Runs the command in a child; returns the child's status."""
    child = os.fork()
    if child == 0:
        os.chdir(directory)
        os.dup2(os.open("said.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        if stop_at is not None:
            watch(directory, stop_at)
        status = 1
        try:
            status = classify(words)
            sys.stderr.flush()
        finally:
            os._exit(status)  # a fork must not run on
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    source, out, *words = sys.argv[1:]
    partial.SECONDS = 0.0
    answering.CHUNK = 256
    # Once, instead of in each child, all that a run imports; it ends its threads.
    os.chdir(source)
    classify(["-q", *words, "-o", os.devnull])
    for number in range(1, LIMIT):
        copy = Path(out, str(number))
        shutil.copytree(source, copy)
        first = in_fork(copy, words, number)
        print(number, first, in_fork(copy, words, None) if first else "", flush=True)
        if first != -signal.SIGKILL:
            return
    raise SystemExit(f"the run changes files more than {LIMIT} times")


if __name__ == "__main__":
    main()
