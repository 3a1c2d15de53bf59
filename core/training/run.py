"""One training, from data to a published adapter: prepare, probe, train, refit, judge, publish."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import set_seed

from ..examples import SPLITS
from ..store.manifest import Manifest
from ..store.names import check_name
from . import report as reports
from .checkpoints import checkpoints
from .doubts import doubts
from .judged import Judged, Scores, refitted, trained_along
from .linear import ENOUGH
from .model import trainable_line
from .phases import Phases, count
from .prepare import Prepared, prepare
from .profiling import training_profile
from .publishing import make_manifest, make_report, step_records, typical_text, write_files
from .requests import TrainingRequest
from .scope import fit_scope
from .steps import fitted_steps
from .trainer import check_trackers
from .workshop import Progress, Quiet, Workshop

if TYPE_CHECKING:
    from ..scope import Scope

Watch = Callable[[int, int, Callable[[], Scores]], None]
"""Called after a step with (steps done, steps in all, what says how good it is by now)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training came to.

    Attributes:
        report: what `report.json` holds.
        promoted: whether the new version is the current one.
        resumed: whether it went on from where an earlier run was stopped.
        example: a text of the data to try the adapter with, from the test side if there is one.
        doubts: sentences on what speaks against it; they stand in the report's notes too.
        seconds: by phase, from tokens to the final head: ``probe`` (what the frozen base makes of
            the texts, and the head on that), ``start`` (the routing profile, and the adapter put
            in), ``steps`` (of training, and the frozen layers' part of them), ``head`` (what the
            adapted base makes of the texts, and the final head).
    """

    manifest: Manifest
    report: Mapping[str, Any]
    promoted: bool
    resumed: bool
    example: str
    doubts: tuple[str, ...]
    seconds: Mapping[str, float]


class Laps:
    """Seconds by phase, of phases that follow each other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.perf_counter()

    def end(self, phase: str) -> None:
        """The phase has lasted since the one before ended."""
        now = time.perf_counter()
        self.seconds[phase] = now - self._began
        self._began = now


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training would do.

    Attributes:
        sizes: texts by split.
        trainable: PEFT's line of trainable parameters.
        seconds: estimated time of the training steps.
    """

    prepared: Prepared
    sizes: Mapping[str, int]
    epochs: int
    steps: int
    trainable: str
    seconds: float


def plan(request: TrainingRequest, workshop: Workshop) -> Plan:
    """Checks everything that a training needs, and estimates its time, without training."""
    check_name(request.name)
    check_trackers(request.recipe)
    prepared = prepare(request, workshop)
    step_records(request, prepared.scheme, workshop.registry)
    phases = Phases(request, prepared, workshop, Quiet())
    config = phases.config()
    encoder = phases.encoder()
    seconds = phases.seconds(encoder)
    model, _ = phases.peft_model(encoder, config)
    return Plan(
        prepared=prepared,
        sizes={split: len(prepared.rows[split]) for split in SPLITS},
        epochs=prepared.epochs,
        steps=prepared.steps,
        trainable=trainable_line(model),
        seconds=seconds,
    )


def train(request: TrainingRequest, workshop: Workshop, progress: Progress) -> Outcome:
    """Trains, judges and publishes one adapter.

    A run that was stopped goes on from its last checkpoint when the same request comes again.

    Raises:
        PlatformError: data, scheme, base, recipe or store are not fit; nothing was published.
    """
    with workshop.store.stage(request.name):
        pass  # a name or a store that cannot be is refused before the work, not after it
    check_trackers(request.recipe)
    workshop.listener.before_training(request.name, request.recipe)
    prepared = prepare(request, workshop)
    steps = step_records(request, prepared.scheme, workshop.registry)
    phases = Phases(request, prepared, workshop, progress)
    config = phases.config()
    with checkpoints(workshop.cache, request, prepared) as state:
        for note in prepared.notes:
            progress.say(note)
        progress.say("texts: " + ", ".join(f"{s} {len(prepared.rows[s])}" for s in SPLITS))
        laps = Laps()
        set_seed(request.recipe.seed)
        encoder = phases.encoder()
        seconds = max(1, round(phases.seconds(encoder)))
        pools = phases.frozen_pools(encoder, prepared.rows)
        probe = refitted(pools, prepared)
        laps.end("probe")
        profile = training_profile(encoder, prepared, workshop, progress)
        model, taken = phases.peft_model(encoder, config)
        progress.say(trainable_line(model))
        progress.say(f"{count(prepared.epochs, 'epoch')}, about {count(seconds, 'second')}")
        classifier = phases.classifier(model, probe.head)
        laps.end("start")
        with phases.begun(model, prepared.rows) as rows:
            resumed = phases.steps(classifier, rows, state, taken)
            laps.end("steps")
            pools = phases.adapted_pools(classifier, rows)
        judged = phases.final_head(classifier, pools)
        laps.end("head")
        scope = _scope(judged, pools, prepared)
        report = make_report(request, prepared, judged.scores, probe.scores)
        if reports.is_worse(report):
            progress.say(f"worse than the probe: {reports.against_probe(report)}")
        against = doubts(report, prepared)
        manifest = make_manifest(request, prepared, judged, report, model, steps)
        manifest, notes = _fit_steps(manifest, prepared, judged, pools["val"], scope, workshop)
        for note in notes:
            progress.say(note)
        report["notes"] += [*notes, *against]
        workshop.listener.after_training(manifest)
        promote = manifest.is_promoted(request.promote, request.allow_worse)
        with workshop.store.stage(request.name) as directory:
            write_files(directory, request, prepared, model, judged, scope, manifest, report)
            if taken:
                taken.write_plain(directory)
            profile.save(directory)
            published = workshop.store.publish(directory, manifest, promote=promote)
    workshop.listener.after_adapter_published(published)
    return Outcome(
        published,
        report,
        promote,
        resumed,
        typical_text(prepared),
        tuple(against),
        laps.seconds,
    )


def rehearse(
    request: TrainingRequest,
    prepared: Prepared,
    probe: Judged,
    workshop: Workshop,
    progress: Progress,
    state: Path,
    watch: Watch,
) -> Judged:
    """The head that `train` would publish, judged on validation; nothing is published.

    Test texts are not read.

    Args:
        probe: `refitted` on the frozen base's states of `prepared.seen`.
        state: the directory of this very training's checkpoints.
        watch: may end it by an exception.
    """
    phases = Phases(request, prepared, workshop, progress)
    config = phases.config()
    set_seed(request.recipe.seed)
    model, taken = phases.peft_model(phases.encoder(), config)
    classifier = phases.classifier(model, probe.head)
    silent = replace(phases, progress=Quiet())

    with phases.begun(model, prepared.seen) as rows:

        def by_now() -> Scores:
            pools = silent.adapted_pools(classifier, {"val": rows["val"]})
            return trained_along(classifier, pools, prepared).scores

        phases.steps(classifier, rows, state, taken, lambda done, total: watch(done, total, by_now))
        pools = phases.adapted_pools(classifier, rows)
    return phases.final_head(classifier, pools)


def _scope(judged: Judged, pools: Mapping[str, Any], prepared: Prepared) -> Scope | None:
    logits = judged.scores.logits.get("val")
    if logits is None:
        return None
    energies = prepared.scheme.energies(logits, judged.scores.calibration.temperature)
    train = pools["train"], prepared.wanted["train"]
    return fit_scope(prepared.scheme, train, (pools["val"], energies))


def _fit_steps(
    manifest: Manifest,
    prepared: Prepared,
    judged: Judged,
    pooled: Any,
    scope: Scope | None,
    workshop: Workshop,
) -> tuple[Manifest, list[str]]:
    """The manifest with its steps fitted, and what is to be said of that.

    Args:
        pooled: ``(texts, hidden)`` of the validation texts.
    """
    none = np.empty((0, len(prepared.scheme.classes)), np.float32)
    logits = judged.scores.logits.get("val", none)
    steps, notes = fitted_steps(
        manifest, workshop.registry, prepared.splits.val, logits, pooled, scope
    )
    if scope is None:
        texts = count(len(pooled), "validation text")
        notes.insert(0, f"{texts} cannot say how far is out of scope: {ENOUGH} are needed")
    return replace(manifest, postprocess=steps), notes
