"""`platform adapters tune`, on a tiny base: for real, end to end."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter_platform.core.store.store import Store
from adapter_platform.core.training.recipe import make_recipe, read_recipe

from .test_train import EASY, write_texts

Run = Callable[..., Result]
Json = Callable[..., Any]


@pytest.fixture(autouse=True)
def small_base(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_BASE", str(tiny_base))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "texts.csv", 16)


def test_it_shows_the_trials_writes_the_best_recipe_and_says_the_line_that_trains_by_it(
    run: Run, texts: Path, tmp_path: Path, platform_home: Path
) -> None:
    store, place = tmp_path / "my store", tmp_path / "best recipe.toml"
    line = ("adapters", "tune", "mail", "--data", texts, "--label-column", "label", *EASY)
    result = run(*line, "--trials", 2, "--output", place, "--store", store)
    assert result.exit_code == 0, result.output
    table = result.stdout.splitlines()
    assert table[0].split()[:4] == ["trial", "accuracy", "log", "loss"]
    assert {row.split()[0] for row in table[1:3]} == {"1", "2"}
    assert sum(row.endswith("best") for row in table) == 1
    assert "best of 2 trials: " in result.stdout
    assert "trial 2 of 2: accuracy " in result.stderr
    assert Store(store).names() == []
    last = result.stdout.splitlines()[-1]
    assert last.startswith("to train and publish it: platform adapters train mail --data ")
    trained = run(*shlex.split(last.partition("platform ")[2]), "--json", "--allow-worse")
    assert trained.exit_code == 0, trained.output
    assert Store(store).names() == ["mail"]
    kept = json.loads((Store(store).path("mail", 1) / "training_config.json").read_text())
    recipe = make_recipe(read_recipe(place))
    assert kept == {**recipe.model_dump(), "base": os.environ["PLATFORM_BASE"]}
    score = json.loads(trained.stdout)["report"]["val"]["metrics"]["accuracy"]
    assert f"{100 * score:.1f} %" in next(row for row in table if row.endswith("best"))


def test_the_recipe_lies_here_under_the_adapters_name_and_publish_trains_by_it(
    as_json: Json, texts: Path, platform_home: Path
) -> None:
    line = ("adapters", "tune", "mail", "--data", texts, "--json", "--publish", *EASY)
    found = as_json(*line, "--trials", 1, "--set", "learning_rate=0.002")
    assert found["recipe_file"] == "mail.recipe.toml"
    assert read_recipe(Path("mail.recipe.toml"))["learning_rate"] == 0.002
    assert found["published"] == "mail@1"
    assert [trial["state"] for trial in found["trials"]] == ["complete"]
    assert found["best"] == found["trials"][0]
    more = as_json(*line, "--trials", 2, "--set", "learning_rate=0.002")
    assert more["before"] == 1
    assert more["trials"][0] == found["trials"][0]


def test_the_search_is_around_what_the_options_say_and_begins_anew_when_it_shall(
    run: Run, as_json: Json, texts: Path, tmp_path: Path, tiny_base: Path, platform_home: Path
) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "base")
    recipe = tmp_path / "own.toml"
    recipe.write_text("epochs = 1\nmax_length = 24\n", encoding="utf-8")
    heading, rows = "words,label,lang", texts.read_text(encoding="utf-8").partition("\n")[2]
    texts.write_text(f"{heading}\n{rows}", encoding="utf-8")
    line = ("adapters", "tune", "mail", "--data", texts, "--trials", 1, "--json")
    assert "has no column for the text" in run(*line).stderr
    data = ("--text-column", "words", "--kind", "multi")
    around = ("--recipe", recipe, "--preset", "fast", "--base", base)
    found = as_json(*line, *data, *around)
    made = {key: found["recipe"][key] for key in ("max_length", "loss", "base")}
    assert made == {"max_length": 24, "loss": "cross_entropy", "base": str(base)}
    assert found["metric"] == "macro_f1"  # as for texts of several labels
    assert as_json(*line, *data, *around)["before"] == 1
    assert as_json(*line, *data, *around, "--restart")["before"] == 0
    trained = run(*shlex.split(found["command"].partition("platform ")[2]), "--dry-run", "--json")
    plan = json.loads(trained.stdout)
    assert (plan["kind"], plan["base"], plan["epochs"]) == ("multi", str(base), 1)


def test_a_space_and_a_place_that_cannot_be_are_refused_before_any_work(
    run: Run, texts: Path, tmp_path: Path, platform_home: Path
) -> None:
    space = tmp_path / "space.toml"
    space.write_text("[epoch]\nlow = 1\nhigh = 2\n", encoding="utf-8")
    line = ("adapters", "tune", "mail", "--data", texts, *EASY)
    wrong = run(*line, "--space", space)
    assert wrong.exit_code == 1
    assert wrong.stderr.splitlines()[-2:] == [
        "error: there is no recipe setting named 'epoch'",
        "hint: did you mean 'epochs'?",
    ]
    nowhere = run(*line, "--output", tmp_path / "no" / "recipe.toml")
    assert nowhere.exit_code == 1
    assert "there is no directory" in nowhere.stderr
    assert "reading" not in wrong.stderr + nowhere.stderr


def test_ctrl_c_keeps_the_trials_and_says_that_the_same_command_goes_on(
    as_json: Json, texts: Path, platform_home: Path
) -> None:
    words = ["adapters", "tune", "mail", "--data", str(texts), "--trials", "50", *EASY]
    line = [sys.executable, "-m", "adapter_platform.cli", *words]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stderr is not None
        said = ""
        while not (said.startswith("trial 1 of 50") and "log loss" in said):  # not its progress
            said = process.stderr.readline()
            assert said, "it ended before a trial had"
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert rest.splitlines()[-1] == (
        "interrupted; the same command goes on with the trials that are done"
    )
    assert "Traceback" not in rest
    assert not Path("mail.recipe.toml").exists()
    found = as_json(*words, "--json", "--timeout", 0)
    assert found["before"] >= 1
