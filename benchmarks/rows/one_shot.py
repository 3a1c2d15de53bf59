"""One question in a process of its own, from the shell to the answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adapter_platform.core.store.starters import packaged_starters
from adapter_platform.core.store.store import Store

from ..bench import WrongAnswer
from ..fixtures.stores import filled, install_plugins
from ..measured import Measured
from ..peers import one_shot as peer
from ..row import DEFAULT, Row
from ..timing import clocked, interleave

if TYPE_CHECKING:
    from ..bench import Bench

TEXT = "数据清洗流程是什么？"
PLUGINS = 3
QUICK_ROUNDS = 2


def one_shot(bench: Bench) -> Measured:
    """The default install's starter adapter; on another base than the default a random one."""
    if bench.base.id in DEFAULT:
        store = Store(bench.scratch / "one-shot", packaged_starters())
        source = store.resolve("data_eng")
    else:
        (source,) = bench.adapters(1)
        store = filled(bench.scratch / "one-shot", [source])
    site = install_plugins(bench.scratch / "site", PLUGINS)
    environment = os.environ | {
        "PYTHONPATH": str(site),
        "PLATFORM_STORE": str(store.root),
        "PLATFORM_CACHE": str(bench.settings.cache),
        "OMP_NUM_THREADS": str(bench.options.threads),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    command = ["-m", "adapter_platform.cli", "classify", "--adapter", source.manifest.name]
    ours = partial(_python, [*command, "--json", TEXT], environment, bench.scratch)
    script = [str(Path(peer.__file__)), str(bench.base.path), str(source.path), TEXT]
    theirs = partial(_python, script, environment, bench.scratch)
    scheme, temperature = source.manifest.scheme, source.manifest.calibration.temperature
    logits = np.array([json.loads(theirs())], np.float32)
    expected = scheme.probabilities(logits, temperature)[0].tolist()
    found = json.loads(ours())["probabilities"]
    if not np.allclose([found[name] for name in scheme.classes], expected, atol=1e-3):
        raise WrongAnswer("the command and plain PEFT give different probabilities")
    rounds = (
        min(bench.options.rounds, QUICK_ROUNDS) if bench.options.quick else bench.options.rounds
    )
    mine, peers = interleave([clocked(ours), clocked(theirs)], rounds, warm_ups=0)
    note = f"{PLUGINS} third-party plugins installed; ours takes {np.median(mine):.2f} s"
    return Measured(mine, peers, note=note)


def _python(arguments: list[str], environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} has failed: {done.stderr}")
    return done.stdout


ROWS = (
    Row(
        "one-shot",
        "one question, process and all: speed-up",
        "torch, transformers, PEFT",
        one_shot,
        "at least",
        8.0,
        15.0,
        DEFAULT,
        quick_base="multilingual",
    ),
)
