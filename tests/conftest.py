"""What all tests share: the author kit's fixtures, and a home that is nobody's own."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

PROJECTS = Path(__file__).parent / "data" / "plugins"

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# A tiny model is quickest on one thread, and far so where cores are shared.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background; commands that the tests start must hear Ctrl-C all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["adapter_platform.plugins.testing"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: "starters" not in item.path.parts)


@pytest.fixture(scope="session")
def embedded_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that the tests on the embedded base share, so that it is built once."""
    return tmp_path_factory.mktemp("embedded")


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[[str], list[str]]:
    """``unpacked("acme_tickets")``: what pip leaves behind of a project in tests/data/plugins, as
    the directories that Python is to look for modules in.
    """

    def call(project: str) -> list[str]:
        source = PROJECTS / project
        declared = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        name, version = declared["name"], declared["version"]
        site = tmp_path / "site-packages"
        record = site / f"{name.replace('-', '_')}-{version}.dist-info"
        record.mkdir(parents=True)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (record / "METADATA").write_text(metadata, encoding="utf-8")
        points = declared["entry-points"]["adapter_platform"]
        lines = ["[adapter_platform]", *(f"{key} = {value}" for key, value in points.items())]
        (record / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return [str(site), str(source)]

    return call


MANY = 100  # modules


@pytest.fixture(scope="session")
def settled() -> Iterator[Callable[[], None]]:
    """Puts what has been imported out of the garbage collector's reach, whenever that is much.

    accelerate collects garbage as each training begins, and to look through all of torch's,
    transformers' and PEFT's modules takes as long as a small training.
    """
    before = 0

    def settle() -> None:
        nonlocal before
        if len(sys.modules) > before + MANY:
            gc.collect()
            gc.freeze()
            before = len(sys.modules)

    yield settle
    gc.unfreeze()


@pytest.fixture(autouse=True)
def imports_settle(settled: Callable[[], None]) -> Iterator[None]:
    """After each test, `settled`."""
    yield
    settled()


@pytest.fixture(autouse=True)
def private_home(platform_home: Path) -> Path:
    """No test reads or writes the user's own store, cache or settings."""
    return platform_home


# Runs each card's lines as they stand, the two directories apart, and prints its logits.
CARDS = """
import json, sys
logits = []
for lines in json.load(sys.stdin):
    names = {}
    exec(lines, names)
    logits.append(names["logits"][0].tolist())
assert not [m for m in sys.modules if m.split(".")[0] == "adapter_platform"]
print(json.dumps(logits))
"""


@pytest.fixture
def card_logits(tmp_path: Path) -> Callable[[Sequence[str]], list[list[float]]]:
    """``card_logits(cards)``: what the lines give in a process that imports nothing of ours."""

    def run(cards: Sequence[str]) -> list[list[float]]:
        ran = subprocess.run(
            [sys.executable, "-c", CARDS],
            input=json.dumps(cards),
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        found: list[list[float]] = json.loads(ran.stdout.splitlines()[-1])
        return found

    return run
