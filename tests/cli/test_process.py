"""What only a process of its own shows: exit codes, pipes, terminals, interrupts, completion."""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.cli.render.table import width
from adapter_platform.cli.rows.answering import CHUNK

Spawn = Callable[..., "subprocess.CompletedProcess[str]"]
Terminal = Callable[..., str]

COMMAND = [sys.executable, "-m", "adapter_platform.cli"]
HEAVY = ("torch", "transformers", "peft", "numpy", "sklearn", "datasets")
LATER = ("rich", "pluggy", "pydantic_settings")
PLUGIN = """
import time
from adapter_platform.plugins.hookspecs import hookimpl

@hookimpl
def register_commands(app):
    @app.command()
    def wait() -> None:
        print("ready", flush=True)
        time.sleep(60)

    @app.command()
    def bug() -> None:
        raise ZeroDivisionError("a bug")

    @app.command()
    def much() -> None:
        for number in range(100_000):
            print(number)
"""


@pytest.fixture
def plugins_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "plugins"
    directory.mkdir()
    (directory / "sample.py").write_text(PLUGIN, encoding="utf-8")
    monkeypatch.setenv("PLATFORM_PLUGINS_DIR", str(directory))
    return directory


# --- imports --------------------------------------------------------------------------------------


def imported(code: str) -> set[str]:
    """Top-level names in `sys.modules` after some code, in a fresh process."""
    line = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


def test_no_module_of_the_command_imports_what_is_slow() -> None:
    code = """
import importlib, pkgutil
import adapter_platform.cli as cli
for found in pkgutil.walk_packages(cli.__path__, "adapter_platform.cli."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
"""
    assert not imported(code) & {*HEAVY, *LATER}


def test_listing_adapters_imports_no_model_library_no_rich_and_no_plugin(store_dir: Path) -> None:
    code = """
from adapter_platform.cli.main import app
try:
    app(["adapters", "list"], prog_name="platform")
except SystemExit as left:
    assert left.code == 0
"""
    assert not imported(code) & {*HEAVY, "rich", "pluggy"}


def test_listing_adapters_takes_a_tenth_of_importing_the_model_libraries(
    unpacked: Callable[[str], list[str]], platform_home: Path
) -> None:
    """With somebody's plugin installed; medians of runs that take turns, each after a first one."""
    script = str(Path(sys.executable).with_name("platform"))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(unpacked("acme_tickets"))}
    listing = [script, "adapters", "list"]
    importing = [sys.executable, "-c", "import torch, transformers, peft"]

    def seconds(line: list[str]) -> float:
        started = time.perf_counter()
        subprocess.run(line, env=env, check=True, capture_output=True)
        return time.perf_counter() - started

    shown = [script, "plugins", "show", "acme"]
    plugin = subprocess.run(shown, env=env, check=True, capture_output=True, text=True)
    assert "loaded" in plugin.stdout
    for line in (listing, importing):  # from now on their files are in the system's cache
        seconds(line)
    ours: list[float] = []
    theirs: list[float] = []
    for turn in range(11):
        ours.append(seconds(listing))
        if turn % 4 == 1:
            theirs.append(seconds(importing))
    ratio = statistics.median(ours) / statistics.median(theirs)
    assert ratio <= 0.1, f"{ratio:.3f}: {ours} against {theirs}"


CLASSIFY = """
from adapter_platform.cli.main import app
try:
    app(["classify", *{arguments!r}], prog_name="platform")
except SystemExit as left:
    assert left.code == 0
"""


@pytest.mark.parametrize("adapter", ["desk", "topics", "tags"])
def test_one_text_is_answered_without_a_model_library(store_dir: Path, adapter: str) -> None:
    names = imported(CLASSIFY.format(arguments=["-a", adapter, "数据清洗流程是什么？"]))
    assert "numpy" in names
    assert not names & {"torch", "transformers", "peft", "sklearn", "scipy", "datasets"}


def test_the_light_start_ends_where_torch_is_worth_its_import(
    spawn: Spawn, store_dir: Path
) -> None:
    def answers(texts: int, budget: int) -> list[dict[str, Any]]:
        env = {"PLATFORM_NUMPY_TOKENS": str(budget)}
        many = [f"text {number}" for number in range(texts)]
        done = spawn("classify", "-a", "desk", "--json", *many, env=env)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    light, heavy, cut_short = answers(20, 1000), answers(20, 0), answers(20, 40)
    assert {row["engine"] for row in light} == {"numpy"}
    assert {row["engine"] for row in heavy} == {row["engine"] for row in cut_short} == {"packed"}
    for ours, theirs in zip(light, heavy, strict=True):
        assert ours["label"] == theirs["label"]
        assert ours["probabilities"] == pytest.approx(theirs["probabilities"], abs=1e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="the settings are shown by GNU OpenMP")
@pytest.mark.parametrize(("own", "passive"), [(None, True), ("active", False)])
def test_torchs_threads_wait_without_spinning_unless_the_user_has_said_how(
    spawn: Spawn, store_dir: Path, monkeypatch: pytest.MonkeyPatch, own: str | None, passive: bool
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    env = {"OMP_DISPLAY_ENV": "verbose", "PLATFORM_NUMPY_TOKENS": "0"}
    if own:
        env["OMP_WAIT_POLICY"] = own
    done = spawn("classify", "-a", "desk", "some text", env=env)
    assert done.returncode == 0, done.stderr
    spins = {int(found) for found in re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)}
    if "GOMP" not in done.stderr:
        pytest.skip("this torch brings another OpenMP")
    assert spins
    assert (spins == {0}) == passive


def test_a_file_larger_than_the_light_start_goes_to_torch(
    store_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("some text\n" * 20)
    code = CLASSIFY.format(arguments=["-a", "desk", "--input", str(file)])
    monkeypatch.setenv("PLATFORM_NUMPY_TOKENS", "40")
    assert "torch" in imported(code)
    monkeypatch.setenv("PLATFORM_NUMPY_TOKENS", "1000")
    assert "torch" not in imported(code)


@pytest.mark.parametrize(("rows", "torchs"), [(CHUNK, False), (CHUNK + 1, True)])
def test_a_file_that_may_be_gone_on_with_is_torchs_from_its_first_row(
    store_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    torchs: bool,
) -> None:
    file, out = tmp_path / "texts.txt", tmp_path / "out.csv"
    file.write_text("some text\n" * rows)
    monkeypatch.setenv("PLATFORM_NUMPY_TOKENS", "1000000")
    code = CLASSIFY.format(arguments=["-a", "desk", "-i", str(file), "-o", str(out)])
    assert ("torch" in imported(code)) == torchs
    assert len(out.read_text().splitlines()) == 1 + rows


INTERRUPTED_IMPORT = """
import sys
class Pressed:
    def find_spec(self, name, *_):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Pressed())
from adapter_platform.cli.entry import main
main()
"""


def test_ctrl_c_while_the_command_is_still_being_imported_ends_quietly() -> None:
    line = [sys.executable, "-c", INTERRUPTED_IMPORT]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


# --- exit codes and streams -----------------------------------------------------------------------


def test_the_script_and_the_module_are_one_command(spawn: Spawn) -> None:
    by_module = spawn("--version")
    script = Path(sys.executable).with_name("platform")
    by_script = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert by_module.stdout == by_script.stdout
    assert by_module.stdout.startswith("adapter-platform ")


def test_errors_go_to_standard_error_with_exit_1_and_usage_with_exit_2(
    spawn: Spawn, store_dir: Path
) -> None:
    wrong = spawn("adapters", "show", "dessk")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "error: there is no adapter named 'dessk'\nhint: did you mean 'desk'?\n"
    misworded = spawn("adapters", "show", "--jason", "desk")
    assert (misworded.returncode, misworded.stdout) == (2, "")
    assert misworded.stderr.startswith("error: no such option: --jason")


def test_a_bug_shows_its_traceback(spawn: Spawn, plugins_dir: Path) -> None:
    done = spawn("bug")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "ZeroDivisionError: a bug" in done.stderr


def test_a_reader_that_leaves_ends_the_command_in_quiet(plugins_dir: Path) -> None:
    for arguments in (["much"], ["domains", "show", "data_eng", "--json"]):
        with subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()  # nobody reads
            assert process.stderr.read() == b""
        assert process.returncode in (1, 141)


def test_a_full_disk_behind_standard_output_is_said(spawn: Spawn, store_dir: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "adapters", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == ("error: standard output cannot be written: No space left on device\n")


def test_a_closed_stream_is_an_empty_or_an_unread_one(spawn: Spawn, store_dir: Path) -> None:
    def without(stream: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        return spawn(*arguments, preexec_fn=lambda: os.close(stream))

    asked = without(0, "classify", "-a", "desk")
    assert (asked.returncode, asked.stderr) == (0, "there are no rows\n")
    listed = without(1, "adapters", "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    failed = without(2, "adapters", "show", "nobody")
    assert (failed.returncode, failed.stdout) == (1, "")


def test_ctrl_c_ends_with_one_line_and_exit_130(plugins_dir: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "wait"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "interrupted\n"
    assert process.returncode == 130


def test_output_is_utf8_whatever_the_locale(spawn: Spawn, store_dir: Path) -> None:
    env = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
    }
    done = spawn("adapters", "show", "desk", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "退款" in done.stdout


def test_an_argument_that_is_not_utf8_is_a_sentence(store_dir: Path) -> None:
    line = [*COMMAND, "classify", "-a", "desk", b"\xff\xfe"]
    done = subprocess.run(line, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: TEXT 1 is not valid UTF-8")


# --- terminals ------------------------------------------------------------------------------------


def test_a_narrow_terminal_gets_lines_for_columns_and_nothing_is_cropped(
    on_a_terminal: Terminal, store_dir: Path
) -> None:
    shown = on_a_terminal(["adapters", "list"], columns=40, NO_COLOR="1")
    for line in ("name     desk", "labels   3", "kind     hierarchical"):
        assert line in shown
    assert "…" not in shown


@pytest.mark.parametrize("words", [["eval", "desk"], ["compare", "desk@1", "desk@2"]])
def test_judging_keeps_within_80_cells(
    on_a_terminal: Terminal, store_dir: Path, tmp_path: Path, words: list[str]
) -> None:
    labels = ("refund", "delivery", "invoice")
    rows = [f"{word} {i},{labels[i % 3]}" for i in range(20) for word in ("money back", "退款到账")]
    texts = tmp_path / "texts.csv"
    texts.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    shown = on_a_terminal(["adapters", *words, "--data", str(texts)], NO_COLOR="1")
    columns = [line for line in re.sub(r"\x1b\[\d*m", "", shown).splitlines() if "  " in line]
    assert len(columns) > 12
    assert max(map(width, columns)) <= 80


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_is_sent_where_none_is_wanted(
    on_a_terminal: Terminal, store_dir: Path, env: dict[str, str]
) -> None:
    assert "\x1b[3" not in on_a_terminal(["adapters", "list"], **env)


def test_at_a_prompt_each_line_is_answered_until_the_input_ends(
    on_a_terminal: Terminal, store_dir: Path
) -> None:
    shown = on_a_terminal(["classify", "-a", "desk", "--json"], typed="数据\nsecond\n\x04")
    assert "desk@2 listens" in shown
    assert '"text": "数据"' in shown
    assert '"text": "second"' in shown


def test_a_file_gets_the_answers_at_a_prompt_a_line_each_and_not_the_prompt(
    on_a_terminal: Terminal, store_dir: Path, tmp_path: Path
) -> None:
    path = tmp_path / "answers.jsonl"
    with path.open("wb") as file:
        line = ["classify", "-a", "desk", "--json"]
        shown = on_a_terminal(line, typed="数据\nsecond\n\x04", stdout=file)
    assert shown.count("> ") == 3
    answers = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [answer["text"] for answer in answers] == ["数据", "second"]


# --- completion -----------------------------------------------------------------------------------


def completed(spawn: Spawn, line: str) -> list[str]:
    """What bash is offered for the last word of a line."""
    words = line.split(" ")
    env = {"_PLATFORM_COMPLETE": "complete_bash", "COMP_WORDS": line}
    done = spawn(env={**env, "COMP_CWORD": str(len(words) - 1)})
    assert done.stderr == ""
    return done.stdout.split()


def test_adapters_are_completed_with_versions_behind_an_at_sign(
    spawn: Spawn, store_dir: Path
) -> None:
    assert completed(spawn, "platform classify --adapter des") == ["desk"]
    assert completed(spawn, "platform adapters show desk@") == ["desk@1", "desk@2"]


def test_the_store_named_on_the_line_is_the_one_that_is_completed_from(
    spawn: Spawn, store_dir: Path, tmp_path: Path
) -> None:
    store_dir.rename(tmp_path / "other")
    line = f"platform --store {tmp_path / 'other'} adapters show des"
    assert completed(spawn, line) == ["desk"]
    assert completed(spawn, "platform adapters show des") == []


def test_domains_and_commands_are_completed(spawn: Spawn, plugins_dir: Path) -> None:
    assert completed(spawn, "platform domains show question") == ["question_type"]
    assert completed(spawn, "platform adapters train data_e") == ["data_eng"]
    assert "promote" in completed(spawn, "platform adapters pro")
    assert completed(spawn, "platform wai") == ["wait"]  # a plugin's


def test_a_completion_that_fails_is_silent(spawn: Spawn, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert completed(spawn, f"platform --store {tmp_path / 'file'} adapters show x") == []
