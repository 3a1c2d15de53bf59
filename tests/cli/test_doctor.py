"""`platform doctor`: what is here, what works, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]
Json = Callable[..., Any]


@pytest.fixture(autouse=True)
def small_base(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing the real base in full would take seconds."""
    monkeypatch.setenv("PLATFORM_BASE", str(tiny_base))


def checks(document: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {check["name"]: (check["state"], check["detail"]) for check in document["checks"]}


def test_a_healthy_installation_says_versions_device_base_store_and_plugins(
    as_json: Json, store_dir: Path, tiny_base: Path
) -> None:
    document = as_json("doctor", "--json")
    found = checks(document)
    assert document["healthy"]
    for library in ("torch", "transformers", "peft"):
        assert found[library][0] == "ok"
        assert found[library][1][0].isdigit()
    assert found["device"][1].startswith(("cpu", "cuda"))
    assert found["store"] == ("ok", f"{store_dir}, writable")
    assert str(tiny_base) in found["base"][1]
    assert "sources" in found["plugins"][1]


def test_people_get_a_line_a_thing(run: Run, store_dir: Path) -> None:
    result = run("doctor")
    assert result.exit_code == 0
    assert any(line.startswith("ok       torch ") for line in result.stdout.splitlines())


def test_a_base_that_cannot_be_had_is_broken_and_exits_1(
    run: Run, tmp_path: Path, store_dir: Path
) -> None:
    result = run("doctor", PLATFORM_BASE=str(tmp_path / "nothing" / "here"))
    assert result.exit_code == 1
    assert any(line.startswith("broken   base ") for line in result.stdout.splitlines())
    assert result.stderr.splitlines()[-1] == "error: 1 thing broken: base"


def test_a_broken_plugin_and_a_broken_adapter_are_warnings(
    as_json: Json, tmp_path: Path, store_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text("1 / 0", encoding="utf-8")
    monkeypatch.setenv("PLATFORM_PLUGINS_DIR", str(tmp_path))
    (store_dir / "tags" / "1" / "manifest.json").unlink()
    document = as_json("doctor", "--json")
    found = checks(document)
    assert document["healthy"]
    assert found["plugin broken"][0] == "warning"
    assert found["adapter tags"][0] == "warning"


def test_a_store_that_is_a_file_is_broken(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    result = run("doctor", "--store", path)
    assert result.exit_code == 1
    assert "broken   store" in result.stdout


def test_settings_that_cannot_be_are_broken(run: Run) -> None:
    result = run("doctor", PLATFORM_DEVICE="toaster")
    assert result.exit_code == 1
    assert "broken   settings" in result.stdout
