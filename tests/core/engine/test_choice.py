"""Which engine `auto` picks. In processes of their own: this one has long imported torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from adapter_platform.core.bases import Base
from adapter_platform.core.engine.choice import ColdStart, Engines
from adapter_platform.core.engine.protocol import Row
from adapter_platform.core.errors import AdapterCorrupt, SettingsError, UsageError
from adapter_platform.core.registry import NullListener
from adapter_platform.core.settings import Settings
from adapter_platform.core.store.source import AdapterSource

from .conftest import MakeAdapter

SCRIPT = """
import json, sys
from pathlib import Path
from adapter_platform.core.bases import Bases
from adapter_platform.core.engine.choice import ColdStart, Engines
from adapter_platform.core.engine.protocol import Row
from adapter_platform.core.registry import NullListener, Registry
from adapter_platform.core.settings import Settings
from adapter_platform.core.store.manifest import Manifest
from adapter_platform.core.store.source import AdapterSource

base_dir, cache, device, budget, adapters, calls = json.loads(sys.argv[1])
base = Bases(Registry(), Path(cache)).resolve(base_dir)
sources = {}
for name, directory in adapters.items():
    manifest = Manifest.read(Path(directory))
    sources[name] = AdapterSource(Path(directory), manifest, manifest.content_hash)
engines = Engines(base, Settings(device=device, threads=1), NullListener(), ColdStart(budget))
for names, wanted in calls:
    rows = [Row((2, 9, 17, 3), sources[name]) for name in names]
    print(json.dumps([engine for _, engine in engines.answers(rows, wanted)]))
engines.close()
"""


def picked(
    base: Base,
    adapters: dict[str, AdapterSource],
    calls: list[tuple[list[str], str]],
    cache: Path,
    budget: int = 100,
    device: str = "cpu",
) -> list[list[str]]:
    """The engines that answered each call, of four-token texts for these adapters."""
    places = {name: str(source.path) for name, source in adapters.items()}
    given: list[Any] = [str(base.path), str(cache), device, budget, places, calls]
    line = [sys.executable, "-c", SCRIPT, json.dumps(given)]
    ran = subprocess.run(line, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(answer) for answer in ran.stdout.splitlines()]


def test_numpy_answers_until_its_tokens_are_used_up_and_torch_from_there(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter, tmp_path: Path
) -> None:
    lora = {"lora": make_adapter_dir(tiny_base)}
    calls = [(["lora"] * n, "auto") for n in (1, 2, 1, 1)]
    answered = picked(tiny, lora, calls, tmp_path, budget=12)
    assert answered == [["numpy"], ["numpy", "numpy"], ["packed"], ["packed"]]


def test_an_adapter_that_needs_torch_anyway_takes_its_neighbours_along(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter, tmp_path: Path
) -> None:
    adapters = {
        "lora": make_adapter_dir(tiny_base, "lora"),
        "dora": make_adapter_dir(tiny_base, "dora", method="DORA"),
        "ia3": make_adapter_dir(tiny_base, "ia3", method="IA3"),
    }
    calls = [(["lora"], "auto"), (["lora", "dora", "ia3"], "auto"), (["lora"], "auto")]
    answered = picked(tiny, adapters, calls, tmp_path)
    assert answered == [["numpy"], ["packed", "peft", "peft"], ["packed"]]


def test_a_forced_engine_runs_whatever_has_been_imported(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter, tmp_path: Path
) -> None:
    lora = {"lora": make_adapter_dir(tiny_base)}
    names = ["packed", "numpy", "peft", "numpy"]
    answered = picked(tiny, lora, [(["lora"], name) for name in names], tmp_path, budget=0)
    assert answered == [[name] for name in names]


def test_a_process_that_has_torch_uses_it(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter
) -> None:
    assert torch.__name__ in sys.modules
    engines = Engines(tiny, Settings(threads=1), NullListener(), ColdStart(1000))
    ((_, engine),) = engines.answers([Row((2, 9, 3), make_adapter_dir(tiny_base))], "auto")
    engines.close()
    assert engine == "packed"


@pytest.mark.parametrize("damage", [b"{", b'{"peft_type": "IA3"}'])
def test_a_damaged_configuration_says_so_and_is_forgotten_once_it_is_whole_again(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter, damage: bytes
) -> None:
    engines = Engines(tiny, Settings(threads=1), NullListener(), ColdStart(0))
    source = make_adapter_dir(tiny_base)
    config = source.path / "adapter_config.json"
    whole = config.read_bytes()
    config.write_bytes(damage)
    for _ in range(2):
        with pytest.raises(AdapterCorrupt, match=r"adapter_config.json has changed"):
            engines.answers([Row((2, 9, 3), source)], "auto")
    config.write_bytes(whole)
    ((_, engine),) = engines.answers([Row((2, 9, 3), source)], "auto")
    engines.close()
    assert engine == "packed"


def test_engines_that_are_closed_make_no_other(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter
) -> None:
    engines = Engines(tiny, Settings(threads=1), NullListener(), ColdStart(0))
    row = Row((2, 9, 3), make_adapter_dir(tiny_base))
    engines.answers([row], "packed")
    engines.close()
    for name in ("packed", "peft", "numpy"):
        with pytest.raises(UsageError, match="closed"):
            engines.answers([row], name)
        with pytest.raises(UsageError, match="closed"):
            engines.features([(2, 9, 3)], "mean", name)


def test_numpy_is_refused_where_a_gpu_is_asked_for(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter
) -> None:
    engines = Engines(tiny, Settings(device="cuda"), NullListener(), ColdStart(1000))
    row = Row((2, 9, 3), make_adapter_dir(tiny_base))
    with pytest.raises(SettingsError, match="numpy engine runs on the CPU"):
        engines.answers([row], "numpy")
    engines.close()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_who_asks_for_a_gpu_is_not_answered_by_numpy_in_its_place(
    tiny_base: Path, tiny: Base, make_adapter_dir: MakeAdapter, tmp_path: Path
) -> None:
    lora = {"lora": make_adapter_dir(tiny_base)}
    with pytest.raises(AssertionError, match="no device 'cuda'"):
        picked(tiny, lora, [(["lora"], "auto")], tmp_path, device="cuda")
