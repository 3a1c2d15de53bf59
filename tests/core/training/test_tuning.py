"""A search: which trials come, what each is judged by, what is kept when it is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.errors import RecipeError, TrainingError, UsageError
from adapter_platform.core.training import prepare as preparing
from adapter_platform.core.training.run import train
from adapter_platform.core.training.tuning import Search, tune
from adapter_platform.core.training.workshop import Quiet, Workshop

from .conftest import TOPICS, MakeRequest, WriteTexts, write_topics
from .outcomes import Said
from .tuned import search

Go = Callable[..., Search]

SCRIPT = Path(__file__).with_name("tuned.py")

RATES = "[learning_rate]\nlow = 1e-4\nhigh = 1e-1\nlog = true\n"


@pytest.fixture(scope="module")
def rates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A space of learning rates alone."""
    path = tmp_path_factory.mktemp("spaces") / "rates.toml"
    path.write_text(RATES, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The texts of `go`."""
    return write_topics(tmp_path_factory.mktemp("data") / "texts.csv", dict.fromkeys(TOPICS, 16))


@pytest.fixture(scope="module")
def go(tiny_base: Path, data: str, rates: Path, one_thread: None) -> Go:
    """``go(cache, progress, trials=3)``: the search of `tuned`, which goes on where it was."""
    return partial(search, tiny_base, data, rates)


@pytest.fixture(scope="module")
def whole(go: Go, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What its trials come to when nothing stops it."""
    return tried(go(tmp_path_factory.mktemp("whole"), Quiet()))


class Steps(Said):
    """Remembers each trial's steps, and may stop one as Ctrl-C does."""

    def __init__(self, trial: str = "", step: int = 0) -> None:
        super().__init__()
        self.trained: dict[str, list[int]] = {}
        self._stop = trial, step

    def advance(self, done: int, total: int, note: str) -> None:
        super().advance(done, total, note)
        name, _, work = note.partition(": ")
        if work.startswith("training"):
            self.trained.setdefault(name, []).append(done)
            if (name, done) == self._stop:
                raise KeyboardInterrupt


def tried(search: Search) -> list[Any]:
    return [(t.settings, t.state, t.score, t.loss) for t in search.trials]


def database(workshop: Workshop) -> Path:
    (path,) = (workshop.cache / "tune").glob("*.db")
    return path


# What is tried


def test_the_first_trial_is_the_recipe_itself_and_the_best_trained_again_has_its_figure(
    ask: MakeRequest, workshop: Workshop
) -> None:
    said = Said()
    request = ask()
    search = tune(request, workshop, said, trials=2)
    first, second = search.trials
    assert first.settings == {
        "learning_rate": 1e-3,
        "epochs": 1,
        "base_dropout": None,
        "peft.r": 8,
    }
    assert second.settings != first.settings
    assert {trial.state for trial in search.trials} == {"complete"}
    assert search.best in search.trials
    order = [(t.score, -(t.loss or 0)) for t in search.trials]
    assert (search.best.score, -(search.best.loss or 0)) == max(order)
    assert search.recipe.learning_rate == search.best.settings["learning_rate"]
    assert search.recipe.max_length == request.recipe.max_length
    assert len([line for line in said.lines if line.startswith("trial ")]) == 2
    assert workshop.store.names() == [], "nothing is published"
    assert not list((workshop.cache / "training").iterdir()), "no checkpoint stays"
    outcome = train(replace(request, recipe=search.recipe, allow_worse=True), workshop, Quiet())
    assert search.metric == "accuracy"
    assert outcome.manifest.metrics["val.accuracy"] == pytest.approx(search.best.score, abs=1e-6)
    assert outcome.report["baselines"]["probe"]["val"]["accuracy"] == search.probe
    assert outcome.report["val"]["n"] == search.texts


def test_test_texts_have_no_part_in_it(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts, rates: Path
) -> None:
    parts = {"train": 10, "val": 6, "test": 6}
    data = {s: write_texts(dict.fromkeys(TOPICS, n), name=s, seed=n) for s, n in parts.items()}
    before = tune(ask(data=data), workshop, Quiet(), trials=2, space=rates)
    path = Path(data["test"].removeprefix("csv:"))
    rows = path.read_text(encoding="utf-8").splitlines()
    spoilt = [rows[0], *(f"{row.rpartition(',')[0]},refund" for row in rows[1:])]
    path.write_text("\n".join(spoilt), encoding="utf-8")
    after = tune(ask(data=data), workshop, Quiet(), trials=2, space=rates)
    assert after.before == 0, "other data is another search"
    assert tried(after) == tried(before)


def test_a_space_file_changes_what_is_tried(
    ask: MakeRequest, workshop: Workshop, tmp_path: Path
) -> None:
    path = tmp_path / "space.toml"
    path.write_text(
        "[learning_rate]\nlow = 0.02\nhigh = 0.03\n[peft.target_modules]\n"
        "choices = [['query'], ['value', 'key']]\n[epochs]\nlow = 1\nhigh = 2\n",
        encoding="utf-8",
    )
    search = tune(ask(), workshop, Quiet(), trials=3, space=path)
    for trial in search.trials:
        assert 0.02 <= trial.settings["learning_rate"] <= 0.03
        assert trial.settings["peft.target_modules"] in (["query"], ["value", "key"])
        assert trial.settings["epochs"] in (1, 2)
    assert len({json.dumps(trial.settings) for trial in search.trials}) > 1
    assert search.recipe.peft["target_modules"] == search.best.settings["peft.target_modules"]


def test_a_setting_that_changes_how_texts_are_read_is_read_anew_for(
    ask: MakeRequest, workshop: Workshop, tmp_path: Path
) -> None:
    path = tmp_path / "space.toml"
    path.write_text("[max_length]\nchoices = [4, 32]\n", encoding="utf-8")
    search = tune(ask(), workshop, Quiet(), trials=3, space=path)
    figures = {t.settings["max_length"]: (t.score, t.loss) for t in search.trials}
    assert set(figures) == {4, 32}
    assert figures[4] != figures[32]


def test_texts_are_read_and_the_frozen_base_is_run_once(
    ask: MakeRequest, workshop: Workshop, rates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Any] = []
    load = preparing.load_examples

    def counted(*arguments: Any, **options: Any) -> Any:
        loaded.append(arguments)
        return load(*arguments, **options)

    monkeypatch.setattr(preparing, "load_examples", counted)
    said = Said()
    tune(ask(), workshop, said, trials=2, space=rates)
    assert len(loaded) == 1
    work = [note for note, _ in groupby(note.partition(": training")[0] for note in said.notes)]
    frozen = [note for note in work if note.startswith("reading with the frozen base")]
    assert [note.partition("(")[2] for note in frozen] == ["train)", "val)"]


def test_settings_that_were_tried_are_not_trained_again(
    ask: MakeRequest, workshop: Workshop, tmp_path: Path
) -> None:
    path = tmp_path / "space.toml"
    path.write_text("[epochs]\nchoices = [1]\n", encoding="utf-8")
    said = Said()
    search = tune(ask(), workshop, said, trials=3, space=path)
    assert len({str(row) for row in tried(search)}) == 1
    assert len({note for note in said.notes if "training" in note}) > 0
    assert all(note.startswith(("trial 1 of 3", "reading")) for note in said.notes)


# What a trial may come to


def test_a_trial_that_is_worse_than_most_were_by_then_is_ended_early(
    ask: MakeRequest, workshop: Workshop, tmp_path: Path
) -> None:
    """Dropout of nearly everything is as bad as a recipe can be."""
    path = tmp_path / "space.toml"
    path.write_text("[base_dropout]\nlow = 0.0\nhigh = 0.99\n", encoding="utf-8")
    request = ask(epochs=3, head="trained", loss="cross_entropy", pooling="mean")
    search = tune(request, workshop, Quiet(), trials=9, space=path)
    states = [trial.state for trial in search.trials]
    assert states[:5] == ["complete"] * 5, "there is nothing to compare with yet"
    assert "pruned" in states
    assert search.best.state == "complete"
    for trial in search.trials:
        assert (trial.score is None) == (trial.state == "pruned")


def test_a_recipe_that_runs_away_or_cannot_be_is_a_failed_trial_and_the_search_goes_on(
    ask: MakeRequest, workshop: Workshop, tmp_path: Path
) -> None:
    path = tmp_path / "space.toml"
    path.write_text("[learning_rate]\nchoices = [1e-3, 1e10]\n", encoding="utf-8")
    search = tune(ask(pooling="mean"), workshop, Quiet(), trials=4, space=path)
    failed = [trial for trial in search.trials if trial.state == "failed"]
    assert failed
    assert all(t.reason.startswith("training ran away") for t in failed)
    assert search.best.settings == {"learning_rate": 1e-3}


def test_a_search_none_of_whose_trials_can_be_trained_says_why(
    ask: MakeRequest, workshop: Workshop
) -> None:
    with pytest.raises(TrainingError, match=r"none of 1 trial could be trained.*ran away"):
        tune(ask(pooling="mean", learning_rate=1e10), workshop, Quiet(), trials=1)


def test_a_setting_that_the_peft_method_does_not_have_is_refused_before_any_trial(
    ask: MakeRequest, workshop: Workshop, tmp_path: Path
) -> None:
    path = tmp_path / "space.toml"
    path.write_text("[peft.rr]\nchoices = [1, 2]\n", encoding="utf-8")
    said = Said()
    with pytest.raises(RecipeError, match="'rr'"):
        tune(ask(), workshop, said, space=path)
    assert said.notes == []


def test_a_search_without_any_trial_is_refused(ask: MakeRequest, workshop: Workshop) -> None:
    with pytest.raises(UsageError, match="1 trial at least, not 0"):
        tune(ask(), workshop, Quiet(), trials=0)


def test_data_without_validation_texts_cannot_be_searched_on(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts
) -> None:
    data = {"train": write_texts(dict.fromkeys(TOPICS, 1))}
    data["test"] = write_texts(dict.fromkeys(TOPICS, 2), name="test", seed=5)
    with pytest.raises(TrainingError, match="no validation texts"):
        tune(ask(data=data), workshop, Quiet())


def test_several_labels_are_searched_by_macro_f1(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts
) -> None:
    data = write_texts({"refund": 14, "delivery": 14, "refund|delivery": 8, "login": 14})
    search = tune(ask(data=data), workshop, Quiet(), trials=1)
    assert search.metric == "macro_f1"


# Stopping and going on


def test_more_trials_are_added_to_those_that_are_there(
    go: Go, whole: list[Any], tmp_path: Path
) -> None:
    first = go(tmp_path, Quiet(), trials=2)
    assert tried(first) == whole[:2]
    steps = Steps()
    more = go(tmp_path, steps, trials=3)
    assert more.before == 2
    assert tried(more) == whole, "as if it had not been stopped"
    assert list(steps.trained) == ["trial 3 of 3"]
    again = go(tmp_path, Quiet(), trials=3)
    assert (again.before, tried(again)) == (3, whole)


def test_restart_forgets_them_and_another_recipe_has_its_own(
    ask: MakeRequest, workshop: Workshop, rates: Path
) -> None:
    tune(ask(), workshop, Quiet(), trials=1, space=rates)
    assert tune(ask(), workshop, Quiet(), trials=1, space=rates).before == 1
    assert tune(ask(), workshop, Quiet(), trials=1, space=rates, restart=True).before == 0
    assert tune(ask(seed=7), workshop, Quiet(), trials=1, space=rates).before == 0


def test_after_the_time_is_over_no_trial_begins(
    ask: MakeRequest, workshop: Workshop, rates: Path
) -> None:
    said = Said()
    search = tune(ask(), workshop, said, trials=5, timeout=0, space=rates)
    assert len(search.trials) == 1
    assert "the time is over: 1 of 5 trials are done" in said.lines


def test_a_trial_that_was_stopped_is_tried_again_and_goes_on_from_its_checkpoint(
    go: Go, whole: list[Any], tmp_path: Path
) -> None:
    stopped = Steps("trial 2 of 3", 8)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, stopped)
    steps = Steps()
    found = go(tmp_path, steps)
    assert found.before == 1
    assert tried(found) == whole
    assert list(steps.trained) == ["trial 2 of 3", "trial 3 of 3"]
    first, epoch = steps.trained["trial 2 of 3"][0], stopped.trained["trial 1 of 3"][-1] // 2
    assert first > epoch > 1, "the first epoch is not trained again"
    assert not list((tmp_path / "training").iterdir())


def test_a_search_that_was_killed_goes_on(
    go: Go, whole: list[Any], tmp_path: Path, tiny_base: Path, data: str, rates: Path
) -> None:
    killed = subprocess.run(
        [sys.executable, SCRIPT, tiny_base, data, rates, tmp_path, "trial 2 of 3"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = go(tmp_path, Quiet())
    assert resumed.before == 1
    assert tried(resumed) == whole


def test_the_same_search_does_not_run_twice_at_once(
    ask: MakeRequest, workshop: Workshop, rates: Path
) -> None:
    class Waits(Said):
        def advance(self, done: int, total: int, note: str) -> None:
            if note.startswith("trial") and not met.is_set():
                with pytest.raises(TrainingError, match="running already"):
                    tune(ask(), workshop, Quiet(), trials=1, space=rates)
                met.set()

    met = threading.Event()
    tune(ask(), workshop, Waits(), trials=1, space=rates)
    assert met.is_set()


def test_a_database_that_cannot_be_read_ends_in_a_sentence(
    ask: MakeRequest, workshop: Workshop, rates: Path
) -> None:
    tune(ask(), workshop, Quiet(), trials=1, space=rates)
    database(workshop).write_bytes(b"no database at all, but long enough to look like one" * 40)
    with pytest.raises(TrainingError, match="cannot be read") as caught:
        tune(ask(), workshop, Quiet(), trials=1, space=rates)
    assert "--restart" in (caught.value.hint or "")
    assert tune(ask(), workshop, Quiet(), trials=1, space=rates, restart=True).before == 0


def test_without_optuna_a_sentence_says_what_to_install(
    ask: MakeRequest, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(TrainingError, match="needs Optuna") as caught:
        tune(ask(), workshop, Quiet())
    assert caught.value.hint == "pip install 'adapter-platform[tune]'"
