"""A store with one adapter of each kind on a tiny base, and the command to run on it."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from adapter_platform.core.bases import Bases
from adapter_platform.core.heads import Head, Pooling
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.registry import Registry
from adapter_platform.core.store.manifest import Calibration, Manifest
from adapter_platform.core.store.store import Store

Run = Callable[..., Result]
Spawn = Callable[..., "subprocess.CompletedProcess[str]"]

SCHEMES: Mapping[str, LabelScheme] = {
    "desk": LabelScheme.from_dict(
        {
            "kind": "single",
            "labels": [
                {"name": "refund", "display": {"zh": "退款", "en": "Refund"}},
                {"name": "delivery", "display": {"zh": "配送", "en": "Delivery"}},
                {"name": "invoice", "description": "Bills and receipts."},
            ],
        }
    ),
    "topics": LabelScheme.from_dict(
        {
            "kind": "hierarchical",
            "labels": [
                {"name": "data/cleaning", "display": {"zh": "数据清洗", "en": "Cleaning"}},
                "data/quality",
                "chat",
            ],
        }
    ),
    "tags": LabelScheme.of("multi", ["price", "battery", "screen"]),
}


@pytest.fixture(scope="session")
def shelf(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with `desk` (two versions), `topics` and `tags`. To be copied, not changed."""
    root = tmp_path_factory.mktemp("shelf") / "store"
    store = Store(root)
    for seed, name in enumerate(["desk", "desk", "topics", "tags"]):
        publish(store, name, SCHEMES[name], tiny_base, seed)
    return root


def publish(
    store: Store,
    name: str,
    scheme: LabelScheme,
    base_dir: Path,
    seed: int,
    pooling: Pooling = "mean",
    *,
    promote: bool = True,
    **manifest: Any,
) -> Manifest:
    """Publishes a real PEFT adapter with random weights."""
    import torch
    from peft import LoraConfig, get_peft_model

    from adapter_platform.core.engine.encoder import load_encoder

    base = Bases(Registry(), base_dir.parent / "cache").resolve(str(base_dir))
    torch.manual_seed(seed)
    encoder = load_encoder(base, torch.device("cpu"))
    config = LoraConfig(r=4, target_modules=["query", "value"], task_type="FEATURE_EXTRACTION")
    model = get_peft_model(encoder, config)
    metric = "macro_f1" if scheme.kind == "multi" else "accuracy"
    with store.stage(name) as directory:
        model.save_pretrained(str(directory))
        random = np.random.default_rng(seed)
        shape = (len(scheme.classes), base.hidden_size)
        weight, bias = random.normal(size=shape), random.normal(size=shape[0])
        Head(pooling, weight.astype(np.float32), bias.astype(np.float32)).save(directory)
        write_report(directory, name, scheme)
        described = Manifest(
            name=name,
            base=base.record(),
            scheme=scheme,
            peft_method="LORA",
            pooling=pooling,
            max_length=32,
            description=f"{name}, for tests",
            calibration=Calibration(1.0, {"price": 0.5} if scheme.kind == "multi" else {}),
            libraries={"peft": "0.21"},
            **{"metrics": {f"test.{metric}": 0.9375, f"test.probe.{metric}": 0.875}} | manifest,
        )
        return store.publish(directory, described, promote=promote)


def write_report(directory: Path, name: str, scheme: LabelScheme) -> None:
    """A report as training writes it."""
    from adapter_platform.core.training.report import write

    primary = "macro_f1" if scheme.kind == "multi" else "accuracy"
    figures = {"accuracy": 0.9375, "macro_f1": 0.9375}
    rows = [
        {"label": label, "precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 8}
        for label in scheme.classes
    ]
    evaluation = {
        "n": 32,
        "primary": primary,
        "metrics": figures,
        "per_class": rows,
        "slices": {"lang": {"en": {"n": 16, **figures}, "zh": {"n": 16, **figures}}},
        "mistakes": [],
    }
    baselines = {"probe": {"test": {"accuracy": 0.875}}, "tfidf": {"test": {"accuracy": 0.75}}}
    report = {
        "adapter": name,
        "splits": {"train": 64, "val": 0, "test": 32},
        "notes": ["8 of the texts were put on the test side"],
        "val": None,
        "test": evaluation,
        "baselines": baselines,
    }
    write(directory, report)


@pytest.fixture
def publish_random(tiny_base: Path) -> Callable[..., Manifest]:
    """``publish_random(store, name, seed=0, ...)``: one more random adapter on the tiny base."""

    def make(
        store: Store, name: str, *, scheme: str = "desk", base: Path = tiny_base, **manifest: Any
    ) -> Manifest:
        seed = manifest.pop("seed", 0)
        return publish(store, name, SCHEMES[scheme], base, seed, **manifest)

    return make


@pytest.fixture
def store_dir(shelf: Path, platform_home: Path) -> Path:
    """The store that the command uses, filled anew for each test."""
    directory = platform_home / "store"
    shutil.copytree(shelf, directory)
    return directory


@pytest.fixture
def run() -> Run:
    """``run("adapters", "list")``: the command in this process."""
    from adapter_platform.cli.main import app

    def command(*arguments: object, stdin: str | bytes | None = None, **env: str) -> Result:
        return CliRunner().invoke(
            app,
            [str(a) for a in arguments],
            input=stdin,
            env=env,
            catch_exceptions=False,
            prog_name="platform",
        )

    return command


@pytest.fixture
def answer(run: Run) -> Callable[..., str]:
    """Standard output of a command that succeeds."""

    def command(*arguments: object, **options: Any) -> str:
        result = run(*arguments, **options)
        assert result.exit_code == 0, result.output
        return result.stdout

    return command


@pytest.fixture
def as_json(answer: Callable[..., str]) -> Callable[..., Any]:
    """Standard output of a command that succeeds, as JSON."""
    return lambda *arguments, **options: json.loads(answer(*arguments, **options))


@pytest.fixture
def spawn() -> Spawn:
    """``spawn("doctor")``: the command in a process of its own, where the process matters."""

    def command(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **options.pop("env", {})}
        line = [sys.executable, "-m", "adapter_platform.cli", *(str(a) for a in arguments)]
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(
            line, env=env, capture_output=True, text=True, encoding="utf-8", check=False, **options
        )

    return command


@pytest.fixture
def on_a_terminal() -> Callable[..., str]:
    """``on_a_terminal(["adapters", "list"])``: what a terminal shows of a command."""

    def command(
        arguments: list[str],
        typed: str = "",
        stdout: IO[bytes] | None = None,
        columns: int = 80,
        **env: str,
    ) -> str:
        """Sends `typed` when the command asks with ``> ``; its answers go to `stdout`, if given."""
        ours, theirs = pty.openpty()
        small = {"TERM": "xterm", "COLUMNS": str(columns), "OMP_NUM_THREADS": "1"}
        line = [sys.executable, "-m", "adapter_platform.cli", *arguments]
        with subprocess.Popen(
            line,
            stdin=theirs,
            stdout=stdout or theirs,
            stderr=theirs,
            env={**os.environ, **small, **env},
        ) as process:
            os.close(theirs)
            shown, deadline, sent = b"", time.monotonic() + 120, not typed
            while time.monotonic() < deadline:
                if not select.select([ours], [], [], 0.2)[0]:
                    if process.poll() is not None:
                        break
                    continue
                try:
                    shown += os.read(ours, 65536)
                except OSError:  # Linux's way of saying that the other side is closed
                    break
                if not sent and shown.endswith(b"> "):
                    sent = True
                    os.write(ours, typed.encode())
            if process.poll() is None and time.monotonic() >= deadline:
                process.kill()
            os.close(ours)
        assert process.returncode == 0, shown.decode()
        return shown.decode().replace("\r\n", "\n")

    return command


@pytest.fixture
def tree_hash() -> Callable[[Path], str]:
    """One hash over every path and byte below a directory, hidden ones too."""

    def hashed(directory: Path) -> str:
        digest = hashlib.sha256()
        for path in sorted(directory.rglob("*")):
            digest.update(str(path.relative_to(directory)).encode())
            if path.is_file():
                digest.update(path.read_bytes())
        return digest.hexdigest()

    return hashed
