"""A writer in a process of its own, for tests that kill it, fill its disk or race it.

    writer.py ACTION ROOT STARTERS
        does it once; prints the version or the error
    writer.py ACTION ROOT STARTERS kill|fill|fail OUT
        copies ROOT to OUT/1, OUT/2, ... and does it in each; in OUT/N the N-th change of the store
        kills it, or finds that the disk takes no more from here on, or fails

OUT/N.log holds the changes that were made, one a line (not on a full disk), and the status.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from adapter_platform.core.errors import PlatformError
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.store.manifest import BaseRecord, Manifest
from adapter_platform.core.store.store import Store

LIMIT = 200  # changes; no action makes so many
DONE, REFUSED, UNTROUBLED = 0, 3, 5  # how a child ends that is not killed
MANIFEST = Manifest(
    name="",
    base=BaseRecord("tiny", "f" * 64, hidden_size=32, layers=2),
    scheme=LabelScheme.of("single", ["a", "b"]),
    peft_method="LORA",
    pooling="mean",
    max_length=64,
)


def act(action: str, store: Store) -> str:
    verb, _, name = action.partition(":")
    if verb == "publish":
        with store.stage(name) as directory:
            save_file({"weight": np.zeros(1000, np.float32)}, directory / "head.safetensors")
            (directory / "head.json").write_text("new", encoding="utf-8")
            return str(store.publish(directory, replace(MANIFEST, name=name)).version)
    if verb == "rollback":
        return str(store.rollback(name))
    reference, _, version = name.partition("@")
    store.remove(reference, int(version) if version else None)
    return "removed"


def watch(root: Path, log: Path, stop_at: int, how: str) -> Callable[[], bool]:
    """Before the N-th change below `root`: kill this process, let no file grow any more, or fail.

    Returns whether it has come to that.
    """
    out = os.open(log, os.O_WRONLY | os.O_CREAT)
    seen = 0

    def change(what: str, path: str | None = None) -> None:
        nonlocal seen
        seen += 1
        if seen == stop_at and how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if seen == stop_at and how == "fill":
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        if seen == stop_at and how == "fail":
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        if how != "fill":
            os.write(out, f"{what}\n".encode())

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        writing = event == "open" and int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR)
        if not writing and event not in ("os.rename", "os.mkdir", "os.remove", "os.rmdir"):
            return
        path = arguments[0]
        if isinstance(path, str | os.PathLike) and Path(path).is_relative_to(root):
            goal = f" -> {arguments[1]}" if event == "os.rename" else ""
            change(f"{event} {path}{goal}", os.fspath(path))

    sync = os.fsync  # raises no audit event

    def fsync(descriptor: int) -> None:
        change("fsync")
        sync(descriptor)

    os.fsync = fsync
    sys.addaudithook(audit)
    return lambda: seen >= stop_at


def in_fork(action: str, root: Path, starters: Path, log: Path, stop_at: int, how: str) -> int:
    """Does it in a child; returns the child's status."""
    child = os.fork()
    if child == 0:
        came_to_it = watch(root, log, stop_at, how)
        try:
            act(action, Store(root, starters))
        except PlatformError as error:
            print(f"{stop_at}: {error.message}", flush=True)
            os._exit(REFUSED)
        except BaseException as error:  # noqa: BLE001 (a fork must not run on)
            print(f"{stop_at}: not explained: {error!r}", flush=True)
            os._exit(1)
        os._exit(DONE if came_to_it() else UNTROUBLED)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    action, root, starters, *rest = sys.argv[1:]
    if not rest:
        try:
            print(act(action, Store(Path(root), Path(starters))))
        except PlatformError as error:
            print(f"error: {error.message}")
        return
    how, out = rest
    import filelock  # noqa: F401 (once, instead of in each child)

    for number in range(1, LIMIT):
        copy = Path(out, str(number))
        shutil.copytree(root, copy)
        log = copy.with_suffix(".log")
        status = in_fork(action, copy, Path(starters), log, number, how)
        with log.open("a") as file:
            file.write(f"status {status}\n")
        if status == UNTROUBLED:
            return
    raise SystemExit(f"{action} changes more than {LIMIT} times")


if __name__ == "__main__":
    main()
