"""Trainings in processes of their own, killed at moments spread over one; for `test_kill`.

    killed.py BASE DATA OUT TIMES

OUT/old is a store with support@1. In OUT/whole, support@2 is trained undisturbed. In OUT/1, OUT/2,
... the same training is killed: TIMES times at processor times spread evenly over the undisturbed
one, and six times just before a change of the store while it publishes. Each is then trained again
in a copy, OUT/N-again. OUT/runs.json says what became of them all.

torch and its like are imported once and each training is a fork, which takes no time to start.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import accelerate  # noqa: F401 (once, instead of in each child)
import filelock  # noqa: F401
import torch
import transformers
from threadpoolctl import threadpool_limits

from adapter_platform.core.bases import Bases
from adapter_platform.core.registry import Brought, NullListener, Registry
from adapter_platform.core.store.manifest import Manifest
from adapter_platform.core.store.store import Store
from adapter_platform.core.training.recipe import make_recipe
from adapter_platform.core.training.requests import TrainingRequest
from adapter_platform.core.training.run import train
from adapter_platform.core.training.workshop import Quiet, Workshop
from adapter_platform.plugins.sources.csv_file import CsvSource

OLD = {"epochs": 1, "seed": 1}
NEW = {"epochs": 6, "seed": 2}
EASY = {"max_length": 32, "batch_size": 8, "base_dropout": 0.1}
PUBLISHING = "publishing"
OPEN_FOR_WRITING = os.O_WRONLY | os.O_RDWR


@dataclass(frozen=True, slots=True)
class Run:
    """One training and how it ended.

    Attributes:
        status: 0, or minus the signal that ended it.
        seconds: processor time that it took.
        changes: of the store, since publishing began; None if it did not.
    """

    name: str
    status: int
    seconds: float
    changes: list[str] | None


class Announcing(NullListener):
    """Says when publishing begins, and kills the process before a change of the store after that.

    Args:
        stop_at: which change; 0 for none.
    """

    def __init__(self, root: Path, log: Path, stop_at: int) -> None:
        self._root, self._stop_at = root, stop_at
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._changes = -1
        sync = os.fsync  # raises no audit event

        def fsync(descriptor: int) -> None:
            self._change("fsync")
            sync(descriptor)

        os.fsync = fsync
        sys.addaudithook(self._audit)

    def after_training(self, manifest: Manifest) -> None:
        self._changes = 0
        os.write(self._log, f"{PUBLISHING}\n".encode())

    def _change(self, what: str) -> None:
        if self._changes < 0:
            return
        self._changes += 1
        if self._changes == self._stop_at:
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(self._log, f"{what}\n".encode())

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        writing = event == "open" and int(str(arguments[2])) & OPEN_FOR_WRITING
        if writing or event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod"):
            path = arguments[0]
            if isinstance(path, str | os.PathLike) and Path(path).is_relative_to(self._root):
                goal = f" -> {arguments[1]}" if event == "os.rename" else ""
                self._change(f"{event} {path}{goal}")


class Trainings:
    """Trainings on one base and one file.

    Args:
        out: holds a directory for each.
    """

    def __init__(self, base: str, data: str, out: Path) -> None:
        self._base, self._data, self._out = base, data, out

    def run(
        self, name: str, recipe: dict[str, int], *, kill_after: float = 0.0, stop_at: int = 0
    ) -> Run:
        """One training in a fork, killed after so much processor time, or at a change."""
        log = self._out / f"{name}.log"
        child = os.fork()
        if child == 0:
            self._train_and_exit(self._out / name, recipe, log, stop_at)
        seconds = 0.0
        while not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            seconds = processor_time(child)
            if kill_after and seconds >= kill_after:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.002)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return Run(name, status, seconds, lines[1:] if lines else None)

    def killed(self, name: str, *, kill_after: float = 0.0, stop_at: int = 0) -> Run:
        """A training over the old store that does not come to its end."""
        while True:
            self.copy("old", name)
            run = self.run(name, NEW, kill_after=kill_after, stop_at=stop_at)
            if run.status:
                return run
            kill_after *= 0.9  # this one was quicker than the one that was measured

    def copy(self, source: str, target: str) -> None:
        """A fresh copy of what a training left."""
        shutil.rmtree(self._out / target, ignore_errors=True)
        shutil.copytree(self._out / source, self._out / target)

    def _train_and_exit(
        self, directory: Path, recipe: dict[str, int], log: Path, stop_at: int
    ) -> None:
        registry = Registry(sources={"csv": Brought(CsvSource(), "sources")})
        workshop = Workshop(
            store=Store(directory / "store"),
            bases=Bases(registry, directory / "cache"),
            registry=registry,
            listener=Announcing(directory / "store", log, stop_at),
            device=torch.device("cpu"),
            batch_tokens=1024,
            cache=directory / "cache",
        )
        request = TrainingRequest(
            name="support",
            data={"all": self._data},
            recipe=make_recipe(EASY, recipe),
            base_id=self._base,
            allow_worse=True,
        )
        try:
            outcome = train(request, workshop, Quiet())
            log.with_suffix(".resumed").write_text(str(outcome.resumed), encoding="utf-8")
        except BaseException as error:  # noqa: BLE001 (a fork must not run on)
            print(f"{directory.name}: {error!r}", flush=True)
            os._exit(1)
        os._exit(0)


def processor_time(process: int) -> float:
    """Seconds that the process's first thread has run, which is the one that works.

    Unlike time, it does not depend on who else uses the machine.
    """
    return int(Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def points(changes: list[str]) -> list[int]:
    """Six changes of a publishing, numbered from 1: the first, two while files are written, either
    rename that readers see, and what comes after the last."""
    version, pointer = (n for n, change in enumerate(changes, 1) if change.startswith("os.rename"))
    return [1, version // 3, 2 * version // 3, version, pointer, pointer + 1]


def main() -> None:
    base, data, place, timed = sys.argv[1:]
    out, times = Path(place), int(timed)
    _ = transformers.AutoModel, transformers.BertModel, transformers.Trainer  # imported when named
    torch.set_num_threads(1)
    threadpool_limits(1)
    # accelerate collects garbage as each training begins, which would look through all modules.
    gc.collect()
    gc.freeze()
    out.mkdir()
    trainings = Trainings(base, data, out)
    trainings.run("old", OLD)
    trainings.copy("old", "whole")
    whole = trainings.run("whole", NEW)
    runs = [whole]
    moments = [whole.seconds * (i + 0.5) / times for i in range(times)]
    kills = [{"kill_after": moment} for moment in moments]
    kills += [{"stop_at": point} for point in points(whole.changes or [])]
    for number, kill in enumerate(kills, 1):
        runs.append(trainings.killed(str(number), **kill))
        trainings.copy(str(number), f"{number}-again")
        runs.append(trainings.run(f"{number}-again", NEW))
    (out / "runs.json").write_text(json.dumps([asdict(run) for run in runs]), encoding="utf-8")


if __name__ == "__main__":
    main()
