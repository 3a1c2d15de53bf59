"""A home of a test's own, and the command that runs in it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.settings import PREFIX


@pytest.fixture
def platform_home(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A temporary home: store, cache, settings, and the working directory.

    Whatever the author's own environment and `platform.toml` say.
    """
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv(f"{PREFIX}STORE", str(home / "store"))
    monkeypatch.setenv(f"{PREFIX}CACHE", str(home / "cache"))
    monkeypatch.chdir(home)  # where a `platform.toml` would be read
    return home


@pytest.fixture
def platform_store(platform_home: Path) -> Path:
    """The directory of a temporary, empty store, which the command and `open_platform` use."""
    return platform_home / "store"


@dataclass(frozen=True, slots=True)
class Ran:
    """What ``platform ...`` did."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def run_platform(
    platform_store: Path,  # noqa: ARG001 - the command must not see the author's own
) -> Callable[..., Ran]:
    """``run_platform("classify", "text", stdin="")``: the command, in this process."""
    return run_command


def run_command(*arguments: str, stdin: str = "") -> Ran:
    """Runs ``platform ARGUMENTS``, with whatever plugins this environment has installed.

    In this process, for a new one would take seconds to start; so a test may also look at objects.
    """
    # By its entry point, as a shell finds it: plugins do not import the command's room.
    (script,) = entry_points(group="console_scripts", name="platform")
    main = script.load()
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    code: Any = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["platform", *arguments])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        try:
            code = main()
        except SystemExit as exit_:
            code = exit_.code
        if isinstance(code, str):  # sys.exit("sentence")
            print(code, file=err)
            code = 1
    out.flush()
    err.flush()
    return Ran(code or 0, out.buffer.getvalue().decode(), err.buffer.getvalue().decode())
