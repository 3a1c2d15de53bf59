"""Where plugins come from: distributions, files, domain folders; and whom the list allows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.errors import PluginError
from adapter_platform.core.registry import Record

PROJECTS = Path(__file__).parents[1] / "data" / "plugins"

FILE_PLUGIN = """
from adapter_platform.core.labels import LabelScheme
from adapter_platform.plugins.hookspecs import hookimpl

__version__ = "0.3"

@hookimpl
def label_schemes():
    return {"yes_no": LabelScheme.of("single", ["yes", "no"])}
"""


def make_folder(folder: Path, name: str, extra: str = "") -> None:
    folder.mkdir()
    (folder / "texts.csv").write_text("text,label\nhello,yes\n", encoding="utf-8")
    toml = f'name = "{name}"\n{extra}\n[data]\ntrain = "texts.csv"\n'
    (folder / "domain.toml").write_text(toml, encoding="utf-8")


def test_an_installed_distribution_brings_its_domain_source_and_step(
    load: Any, info_of: Any, install: Any
) -> None:
    install("acme_tickets")
    plugins = load()
    info = info_of(plugins, "acme")
    assert info.failure is None
    assert (info.version, info.origin) == ("1.2.3", "entry point")
    assert info.location == "acme-tickets (acme_tickets)"
    assert info.brought == {
        "data source": ("acme",),
        "post-processor": ("escalate",),
        "domain": ("acme_tickets",),
    }
    brought = plugins.registry.postprocessors["escalate"]
    assert (brought.plugin, brought.version) == ("acme", "1.2.3")
    source = plugins.registry.source_for_suffix(".tickets")
    assert source is not None
    (data,) = plugins.registry.domain("acme_tickets").data.values()
    rows = list(source.value.read(data))
    assert len(rows) == 24
    assert all(isinstance(row, Record) for row in rows)


def test_a_distribution_that_raises_on_import_stops_nobody(
    load: Any, info_of: Any, install: Any
) -> None:
    install("broken_plugin")
    plugins = load()
    info = info_of(plugins, "broken")
    assert info.failure == ("RuntimeError: the licence server does not answer (broken_plugin.py:3)")
    assert (info.version, info.hooks, info.brought) == ("0.0.1", (), {})
    assert "abstain" in plugins.registry.postprocessors


def test_a_distribution_whose_module_is_gone_stops_nobody(
    load: Any, info_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "gone-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: gone\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[adapter_platform]\ngone = gone.plugin:Missing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "ModuleNotFoundError: No module named 'gone'" in info_of(load(), "gone").failure


def test_the_allow_list_leaves_others_out_without_importing_them(
    load: Any, info_of: Any, install: Any
) -> None:
    install("acme_tickets")
    plugins = load(load_plugins="other")
    info = info_of(plugins, "acme")
    assert info.skipped
    assert info.brought == {}
    assert "acme_tickets" not in sys.modules
    assert "abstain" in plugins.registry.postprocessors, "built-ins always load"


def test_the_allow_list_lets_in_whom_it_names(load: Any, info_of: Any, install: Any) -> None:
    install("acme_tickets")
    assert not info_of(load(load_plugins=" acme , "), "acme").skipped


def test_a_name_on_the_allow_list_that_nobody_has_is_reported(
    load: Any, info_of: Any, install: Any
) -> None:
    install("acme_tickets")
    info = info_of(load(load_plugins="acne"), "acne")
    assert info.failure == "there is no plugin named 'acne' (did you mean 'acme'?)"
    assert (info.origin, info.location) == ("settings", "PLATFORM_LOAD_PLUGINS")
    with pytest.raises(PluginError, match="no plugin named 'acne'"):
        load(load_plugins="acne", strict_plugins=True)


def test_an_empty_allow_list_lets_in_nobody(load: Any, info_of: Any, install: Any) -> None:
    install("broken_plugin")
    assert info_of(load(load_plugins=""), "broken").skipped


def test_a_single_file_in_the_plugins_directory_is_a_plugin(
    load: Any, info_of: Any, tmp_path: Path
) -> None:
    file = tmp_path / "answers.py"
    file.write_text(FILE_PLUGIN, encoding="utf-8")
    plugins = load(plugins_dir=tmp_path)
    info = info_of(plugins, "answers")
    assert (info.origin, info.version, info.location) == ("file", "0.3", str(file))
    assert plugins.registry.schemes["yes_no"].version == "0.3"


def test_a_domain_folder_in_the_plugins_directory_is_a_plugin(
    load: Any, info_of: Any, tmp_path: Path
) -> None:
    make_folder(tmp_path / "desk", "tickets")
    plugins = load(plugins_dir=tmp_path)
    assert info_of(plugins, "desk").origin == "folder"
    uri = str(tmp_path / "desk" / "texts.csv")
    assert plugins.registry.domain("tickets").data == {"train": uri}


def test_a_domain_folder_may_name_a_scheme_that_a_plugin_brings(load: Any, tmp_path: Path) -> None:
    (tmp_path / "zz_last.py").write_text(FILE_PLUGIN, encoding="utf-8")
    make_folder(tmp_path / "desk", "tickets", 'scheme = "yes_no"')
    domain = load(plugins_dir=tmp_path).registry.domain("tickets")
    assert domain.scheme is not None
    assert domain.scheme.classes == ("yes", "no")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("1 / 0\n", "ZeroDivisionError: division by zero (bad.py:1)"),
    ],
)
def test_a_broken_file_ends_only_itself(
    load: Any, info_of: Any, tmp_path: Path, code: str, sentence: str
) -> None:
    (tmp_path / "bad.py").write_text(code, encoding="utf-8")
    (tmp_path / "good.py").write_text(FILE_PLUGIN, encoding="utf-8")
    plugins = load(plugins_dir=tmp_path)
    assert sentence in info_of(plugins, "bad").failure
    assert "yes_no" in plugins.registry.schemes


def test_what_is_no_plugin_in_the_directory_is_left_alone(load: Any, tmp_path: Path) -> None:
    for name in ("__pycache__", "data", ".git"):
        (tmp_path / name).mkdir()
    for name in ("_private.py", ".hidden.py", "notes.txt"):
        (tmp_path / name).write_text("raise RuntimeError", encoding="utf-8")
    origins = {info.origin for info in load(plugins_dir=tmp_path, strict_plugins=False).infos}
    assert not origins & {"file", "folder"}


def test_a_folder_with_a_misnamed_toml_file_is_reported(load: Any, tmp_path: Path) -> None:
    make_folder(tmp_path / "desk", "tickets")
    (tmp_path / "desk" / "domain.toml").rename(tmp_path / "desk" / "domains.toml")
    failures = [info.failure for info in load(plugins_dir=tmp_path).infos if info.failure]
    assert any("has domains.toml, but no domain.toml" in failure for failure in failures)


def test_a_plugins_directory_that_is_not_there_is_reported(load: Any, tmp_path: Path) -> None:
    failures = [info.failure for info in load(plugins_dir=tmp_path / "nope").infos if info.failure]
    assert any("is not there (create it" in failure for failure in failures)


def test_pip_installs_a_plugin_from_its_own_folder(tmp_path: Path) -> None:
    project = tmp_path / "acme_tickets"
    shutil.copytree(PROJECTS / "acme_tickets", project)  # a build leaves files beside the source
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), str(project)], check=True, timeout=120)
    code = (
        "import json\n"
        "from adapter_platform.core.settings import load_settings\n"
        "from adapter_platform.plugins.manager import load_plugins\n"
        "(acme,) = [i for i in load_plugins(load_settings()).infos if i.name == 'acme']\n"
        "print(json.dumps([acme.version, acme.failure, dict(acme.brought)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    version, failure, brought = json.loads(done.stdout)
    assert (version, failure) == ("1.2.3", None)
    assert brought["domain"] == ["acme_tickets"]
