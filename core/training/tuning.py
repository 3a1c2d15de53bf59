"""A search for better recipe settings: trials of the training itself, judged on validation alone.

The search is Optuna's. What each trial came to lies in a database of the cache, so that a search
that was stopped, be it by `kill -9`, goes on when the same is asked again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import RecipeError, TrainingDiverged, TrainingError, UsageError
from ..store.names import check_name
from .checkpoints import alone, checkpoints, training_key
from .judged import refitted
from .model import peft_config
from .phases import Phases, count
from .prepare import Prepared, again, prepare, reading
from .recipe import Recipe
from .run import rehearse
from .space import Choice, Space, default_space, own_settings, read_space, with_settings
from .trainer import check_trackers
from .workshop import Progress, Workshop

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial
    from optuna.trial import Trial as Running

    from .judged import Judged, Scores
    from .requests import TrainingRequest

ROOM = "tune"
TRIALS = 20
STARTUP = 5  # trials at random before what came of them is gone by, and before any is pruned
PARTS = 4  # a trial is looked at when each but the last of so many parts of its steps are done
TIE = 1e-6  # of the figure, for the whole range of log losses: no two figures are so near
DIGITS = 3  # of a number that is tried
State = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One recipe that was tried.

    Attributes:
        number: from 1, in the order in which they were tried.
        state: `pruned` is ended early, as worse than most were by then; `failed` is not trained.
        settings: by names as in a space.
        score: the scheme's primary figure on validation; None unless complete.
        loss: log loss of the calibrated probabilities there, in nats a text.
        seconds: that it took; less where it went on from a checkpoint.
        reason: why it failed.
    """

    number: int
    state: State
    settings: Mapping[str, Any]
    score: float | None
    loss: float | None
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Search:
    """What a search came to.

    Attributes:
        metric: the scheme's primary figure.
        probe: that of logistic regression on the frozen base, on the same texts.
        texts: validation texts that trials were judged by.
        before: trials that earlier runs had done.
        recipe: the best trial's, whole.
    """

    metric: str
    probe: float
    texts: int
    before: int
    trials: tuple[Trial, ...]
    best: Trial
    recipe: Recipe


def tune(
    request: TrainingRequest,
    workshop: Workshop,
    progress: Progress,
    *,
    trials: int = TRIALS,
    timeout: float | None = None,
    space: Path | None = None,
    restart: bool = False,
) -> Search:
    """Searches settings around the request's recipe; the first trial is the recipe itself.

    The best has the highest primary figure on validation and, of several with it, the least log
    loss. Test texts are not read, and nothing is published.

    Args:
        trials: how many there are to be in the end, those of earlier runs of the same included.
        timeout: seconds after which no further trial begins; one is always done.
        space: a file of ranges (`space.read_space`); None: those that fit the amount of data.
        restart: forget the trials of earlier runs.

    Raises:
        PlatformError: data, recipe or space are not fit, or no trial could be trained.
        UsageError: no trial is asked for.
    """
    if trials < 1:
        raise UsageError(f"a search has 1 trial at least, not {trials}")
    optuna = _optuna()
    check_name(request.name)
    check_trackers(request.recipe)
    deadline = None if timeout is None else time.monotonic() + timeout
    ground = _Ground(request, workshop, progress)
    prepared = ground.prepared(request.recipe)
    if not prepared.rows["val"]:
        raise TrainingError(
            "there are no validation texts to choose settings by",
            "give some: --data train=FILE --data val=FILE",
        )
    wanted = (
        default_space(request.recipe, prepared)
        if space is None
        else read_space(space, request.recipe)
    )
    _check_peft(wanted, request.recipe, prepared)
    probe = ground.probe(request.recipe)
    for note in prepared.notes:
        progress.say(note)
    ranges = {name: repr(values) for name, values in wanted.items()}
    key = training_key(request, prepared, space=ranges)
    path = workshop.cache / ROOM / f"{request.name}-{key}.db"
    with alone(path.with_suffix(".lock"), f"search for {request.name!r}", "trials"):
        if restart:
            path.unlink(missing_ok=True)
        study = _open(optuna, path)
        _take_up(study, own_settings(wanted, request.recipe, prepared), wanted)
        before = len(_ended(study))
        if before:
            progress.say(
                f"going on from {count(before, 'trial')} of an earlier run, kept in {path}"
            )
        done = 0
        while before + done < trials:
            if done and deadline is not None and time.monotonic() >= deadline:
                progress.say(
                    f"the time is over: {before + done} of {count(trials, 'trial')} are done"
                )
                break
            label = f"trial {before + done + 1} of {trials}"
            _try(optuna, study, wanted, ground, before + done, label)
            done += 1
        found = tuple(_trial(number, frozen) for number, frozen in enumerate(_ended(study), 1))
    best = _best(found)
    return Search(
        metric=prepared.scheme.primary_metric,
        probe=_figure(probe.scores, prepared),
        texts=len(prepared.rows["val"]),
        before=before,
        trials=found,
        best=best,
        recipe=with_settings(request.recipe, best.settings),
    )


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise TrainingError(
            "searching settings needs Optuna, which is not installed",
            "pip install 'adapter-platform[tune]'",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class _Ground:
    """What trials share, each read or computed when it is first asked for."""

    def __init__(self, request: TrainingRequest, workshop: Workshop, progress: Progress) -> None:
        self.request = request
        self.workshop = workshop
        self.progress = progress
        self._prepared: dict[tuple[Any, ...], Prepared] = {}
        self._pools: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._probes: dict[tuple[Any, ...], Judged] = {}

    def prepared(self, recipe: Recipe) -> Prepared:
        key = reading(recipe)
        if key not in self._prepared:
            self._prepared[key] = prepare(replace(self.request, recipe=recipe), self.workshop)
        return again(self._prepared[key], recipe)

    def probe(self, recipe: Recipe) -> Judged:
        prepared, key = self.prepared(recipe), reading(recipe)
        if key not in self._pools:
            phases = Phases(self.request, prepared, self.workshop, self.progress)
            self._pools[key] = phases.frozen_pools(phases.encoder(), prepared.seen)
        both = (*key, prepared.balanced)
        if both not in self._probes:
            self._probes[both] = refitted(self._pools[key], prepared)
        return self._probes[both]


class _Within:
    """Progress of one trial, under its name; what a training says of itself is not repeated."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._label = label

    def say(self, message: str) -> None: ...

    def advance(self, done: int, total: int, note: str) -> None:
        self._progress.advance(done, total, f"{self._label}: {note}")


def _check_peft(space: Space, recipe: Recipe, prepared: Prepared) -> None:
    """Refuses a setting of the PEFT method that it takes with none of its values."""
    for name, values in space.items():
        if not name.startswith("peft."):
            continue
        errors = []
        for value in values.ends:
            tried = with_settings(recipe, {name: value})
            try:
                peft_config(tried, prepared.pooling, prepared.base.record(), prepared.steps)
            except RecipeError as error:
                errors.append(error)
        if len(errors) == len(values.ends):
            raise errors[0]


def _open(optuna: Any, path: Path) -> Study:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        study: Study = optuna.create_study(
            storage=f"sqlite:///{path}",
            study_name=ROOM,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP),
            load_if_exists=True,
        )
        study.get_trials(deepcopy=False)
    except (optuna.exceptions.OptunaError, SQLAlchemyError, RuntimeError) as error:
        raise TrainingError(
            f"the trials of an earlier run in {path} cannot be read", "--restart forgets them"
        ) from error
    return study


def _take_up(study: Study, start: Mapping[str, Any], space: Space) -> None:
    """What is to be tried next: what an earlier run was stopped at; at the very first, `start`."""
    from optuna.trial import TrialState

    known = study.get_trials(deepcopy=False)
    if not known:
        study.enqueue_trial(
            {
                name: _encoded(value) if isinstance(space[name], Choice) else value
                for name, value in start.items()
            }
        )
    for frozen in known:
        if frozen.state != TrialState.RUNNING:
            continue
        study.tell(frozen.number, state=TrialState.FAIL)  # nobody runs it: this process is alone
        if "reason" not in frozen.user_attrs:
            seen = {str(part): value for part, value in frozen.intermediate_values.items()}
            study.enqueue_trial(dict(frozen.params), user_attrs={"seen": seen})


def _encoded(value: Any) -> str:
    """Optuna keeps texts; a choice may be a list."""
    return json.dumps(value, sort_keys=True)


def _ended(study: Study) -> list[FrozenTrial]:
    """Trials that came to something; not those that were stopped."""
    from optuna.trial import TrialState

    return [
        frozen
        for frozen in study.get_trials(deepcopy=False)
        if frozen.state in (TrialState.COMPLETE, TrialState.PRUNED) or "reason" in frozen.user_attrs
    ]


def _try(optuna: Any, study: Study, space: Space, ground: _Ground, ended: int, label: str) -> None:
    """One more trial, kept when it has ended."""
    # By what has ended alone, so that a search that was stopped tries what it would have tried.
    seed = (ground.request.recipe.seed + ended) % 2**32
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
    trial = study.ask()
    settings = {name: _suggest(trial, name, values) for name, values in space.items()}
    trial.set_user_attr("settings", settings)
    began = time.perf_counter()
    same = next((f for f in _complete(study) if f.user_attrs["settings"] == settings), None)
    try:
        if same is None:
            score, loss = _judge(optuna, trial, settings, ground, label)
        else:
            score, loss = (same.user_attrs[key] for key in ("score", "loss"))
    except optuna.TrialPruned:
        trial.set_user_attr("seconds", time.perf_counter() - began)
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except (RecipeError, TrainingDiverged) as error:  # of these settings, not of the search
        trial.set_user_attr("seconds", time.perf_counter() - began)
        trial.set_user_attr("reason", error.message)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    else:
        trial.set_user_attr("seconds", time.perf_counter() - began)
        trial.set_user_attr("score", score)
        trial.set_user_attr("loss", loss)
        study.tell(trial, _value(score, loss))
    _report(ground, _trial(ended + 1, study.get_trials(deepcopy=False)[trial.number]), label)


def _suggest(trial: Running, name: str, values: Any) -> Any:
    if isinstance(values, Choice):
        return json.loads(trial.suggest_categorical(name, list(map(_encoded, values.values))))
    if values.whole:
        return trial.suggest_int(name, values.low, values.high, log=values.log)
    found = trial.suggest_float(name, values.low, values.high, log=values.log)
    return min(max(float(f"{found:.{DIGITS}g}"), values.low), values.high)


def _judge(
    optuna: Any, trial: Running, settings: Mapping[str, Any], ground: _Ground, label: str
) -> tuple[float, float]:
    """The figure and the log loss on validation.

    Looked at by shares of its steps, not by epochs: the learning rate falls over all of them, so
    trials of unlike lengths can be compared at these points and at no others.
    """
    recipe = with_settings(ground.request.recipe, settings)
    prepared, probe = ground.prepared(recipe), ground.probe(recipe)
    request = replace(ground.request, recipe=recipe)
    seen: dict[str, float] = trial.user_attrs.get("seen", {})
    for part, value in seen.items():
        trial.report(value, int(part))

    def watch(done: int, total: int, by_now: Callable[[], Scores]) -> None:
        part = PARTS * done // total
        if part == PARTS * (done - 1) // total or part == PARTS or str(part) in seen:
            return
        scores = by_now()
        trial.report(_value(_figure(scores, prepared), scores.validation_loss(prepared)), part)
        if trial.should_prune():
            raise optuna.TrialPruned

    within = _Within(ground.progress, label)
    with checkpoints(ground.workshop.cache, request, prepared) as state:
        try:
            judged = rehearse(request, prepared, probe, ground.workshop, within, state, watch)
            return _figure(judged.scores, prepared), judged.scores.validation_loss(prepared)
        except (optuna.TrialPruned, RecipeError, TrainingDiverged) as ending:
            failure = ending
    raise failure  # outside, so that its checkpoints are gone: nobody goes on with them


def _figure(scores: Scores, prepared: Prepared) -> float:
    return scores.metrics(prepared)["val"][prepared.scheme.primary_metric]


def _value(score: float, loss: float) -> float:
    """One number in the order of the figures and, where those are the same, of the log losses."""
    return score - TIE * loss / (1 + loss)


def _complete(study: Study) -> list[FrozenTrial]:
    return [frozen for frozen in _ended(study) if "score" in frozen.user_attrs]


def _trial(number: int, frozen: FrozenTrial) -> Trial:
    attributes = frozen.user_attrs
    states: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    return Trial(
        number=number,
        state=states[frozen.state.name],
        settings=attributes["settings"],
        score=attributes.get("score"),
        loss=attributes.get("loss"),
        seconds=attributes["seconds"],
        reason=attributes.get("reason", ""),
    )


def _report(ground: _Ground, trial: Trial, label: str) -> None:
    settings = ", ".join(f"{name}={json.dumps(v)}" for name, v in trial.settings.items())
    outcome = f"failed: {trial.reason}" if trial.reason else trial.state
    if trial.score is not None and trial.loss is not None:
        metric = ground.prepared(ground.request.recipe).scheme.primary_metric
        outcome = f"{metric} {100 * trial.score:.1f}, log loss {trial.loss:.3f}"
    ground.progress.say(f"{label}: {outcome}, {trial.seconds:.0f} s; {settings}")


def _best(trials: tuple[Trial, ...]) -> Trial:
    complete = [
        (trial.score, -trial.loss, -trial.number, trial)
        for trial in trials
        if trial.score is not None and trial.loss is not None
    ]
    if not complete:
        reasons = [trial.reason for trial in trials if trial.reason]
        raise TrainingError(
            f"none of {count(len(trials), 'trial')} could be trained; the first: {reasons[0]}"
        )
    return max(complete, key=lambda row: row[:3])[3]
