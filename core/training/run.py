"""One training, from data to a published adapter: prepare, probe, train, refit, judge, publish."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import set_seed

from ..engine.encoder import building, load_encoder
from ..errors import TrainingDiverged
from ..examples import SPLITS
from ..heads import Head
from ..store.manifest import Manifest
from ..store.names import check_name
from . import adalora, starts
from . import report as reports
from .calibrate import ENOUGH
from .checkpoints import checkpoints, log_directory
from .frozen import Rows, above, fits, frozen_layers, frozen_states
from .judged import Judged, Scores, refitted, trained_along
from .model import Classifier, peft_config, set_dropout, trainable_line, wrap
from .prepare import Prepared, features, prepare, seconds_a_text
from .profiling import training_profile
from .publishing import make_manifest, make_report, step_records, typical_text, write_files
from .requests import TrainingRequest
from .scope import fit_scope
from .steps import fitted_steps
from .token_bags import with_token_bag
from .trainer import TrainingRows, check_trackers, fit
from .workshop import Progress, Quiet, Workshop

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from ..scope import Scope

STEP_COST = 4.0  # a training step's time over a frozen forward pass of the same texts, measured
SEEN = ("train", "val")  # the splits that choices may be made by

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
    config = peft_config(request.recipe, prepared.pooling, prepared.base.record(), prepared.steps)
    encoder = load_encoder(prepared.base, workshop.device)
    seconds = _training_seconds(encoder, prepared, workshop)
    model, _ = _peft_model(request, prepared, config, encoder, Quiet())
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
    config = peft_config(request.recipe, prepared.pooling, prepared.base.record(), prepared.steps)
    with checkpoints(workshop.cache, request, prepared) as state:
        for note in prepared.notes:
            progress.say(note)
        progress.say("texts: " + ", ".join(f"{s} {len(prepared.rows[s])}" for s in SPLITS))
        laps = Laps()
        set_seed(request.recipe.seed)
        encoder = load_encoder(prepared.base, workshop.device)
        seconds = max(1, round(_training_seconds(encoder, prepared, workshop)))
        note = "reading with the frozen base"
        pools = _pools(encoder, prepared.rows, prepared, workshop, progress, note)
        probe = refitted(pools, prepared)
        laps.end("probe")
        profile = training_profile(encoder, prepared, workshop, progress)
        model, taken = _peft_model(request, prepared, config, encoder, progress)
        progress.say(trainable_line(model))
        progress.say(f"{_count(prepared.epochs, 'epoch')}, about {_count(seconds, 'second')}")
        classifier = _classifier(model, prepared, request, probe.head, workshop)
        laps.end("start")
        with _begun(model, prepared.rows, prepared, workshop, progress) as rows:
            resumed = _train_steps(
                classifier, rows, prepared, request, workshop, progress, state, taken
            )
            laps.end("steps")
            pools = _adapted_pools(classifier, rows, prepared, workshop, progress)
        judged = _final_head(classifier, pools, prepared, request, progress)
        laps.end("head")
        scope = _scope(judged, pools, prepared)
        report = make_report(request, prepared, judged.scores, probe.scores)
        if reports.is_worse(report):
            progress.say(f"worse than the probe: {reports.against_probe(report)}")
        manifest = make_manifest(request, prepared, judged, report, model, steps)
        manifest, notes = _fit_steps(manifest, prepared, judged, pools["val"], scope, workshop)
        for note in notes:
            progress.say(note)
        report["notes"] += notes
        workshop.listener.after_training(manifest)
        promote = manifest.is_promoted(request.promote, request.allow_worse)
        with workshop.store.stage(request.name) as directory:
            write_files(directory, request, prepared, model, judged, scope, manifest, report)
            if taken:
                taken.write_plain(directory)
            profile.save(directory)
            published = workshop.store.publish(directory, manifest, promote=promote)
    workshop.listener.after_adapter_published(published)
    return Outcome(published, report, promote, resumed, typical_text(prepared), laps.seconds)


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
        probe: `refitted` on the frozen base's states of `SEEN`.
        state: the directory of this very training's checkpoints.
        watch: may end it by an exception.
    """
    config = peft_config(request.recipe, prepared.pooling, prepared.base.record(), prepared.steps)
    set_seed(request.recipe.seed)
    encoder = load_encoder(prepared.base, workshop.device)
    model, taken = _peft_model(request, prepared, config, encoder, progress)
    classifier = _classifier(model, prepared, request, probe.head, workshop)

    with _begun(model, _seen(prepared), prepared, workshop, progress) as rows:

        def by_now() -> Scores:
            val = {"val": rows["val"]}
            pools = _pools(classifier.encoder, val, prepared, workshop, Quiet(), "")
            _check_finite(pools)
            return trained_along(classifier, pools, prepared).scores

        _train_steps(
            classifier,
            rows,
            prepared,
            request,
            workshop,
            progress,
            state,
            taken,
            lambda done, total: watch(done, total, by_now),
        )
        pools = _adapted_pools(classifier, rows, prepared, workshop, progress)
    return _final_head(classifier, pools, prepared, request, progress)


def _seen(prepared: Prepared) -> Mapping[str, Sequence[tuple[int, ...]]]:
    return {split: prepared.rows[split] for split in SEEN}


def frozen_pools(prepared: Prepared, workshop: Workshop, progress: Progress) -> dict[str, Any]:
    """The frozen base's states ``(texts, hidden)`` of `SEEN`."""
    encoder = load_encoder(prepared.base, workshop.device)
    note = "reading with the frozen base"
    return _pools(encoder, _seen(prepared), prepared, workshop, progress, note)


def _training_seconds(encoder: Any, prepared: Prepared, workshop: Workshop) -> float:
    """Estimated time of the training steps."""
    texts = len(prepared.rows["train"]) * prepared.epochs
    return STEP_COST * texts * seconds_a_text(encoder, prepared, workshop)


@contextmanager
def _begun(
    model: PeftModel,
    tokens: Mapping[str, Sequence[tuple[int, ...]]],
    prepared: Prepared,
    workshop: Workshop,
    progress: Progress,
) -> Iterator[Mapping[str, Rows]]:
    """What the model is fed within the block, by split.

    Tokens, or where its lowest layers are frozen and there is room, what those make of them.
    """
    layers = frozen_layers(model)
    if not layers or not fits(tokens, prepared.base.hidden_size):
        yield tokens
        return
    note = f"running {_count(layers, 'frozen layer')} once"
    states = {
        split: frozen_states(
            model, layers, rows, prepared.base.pad_id, workshop, _ticking(progress, note, split)
        )
        for split, rows in tokens.items()
    }
    with above(model, layers):
        yield states


def _ticking(progress: Progress, note: str, split: str) -> Callable[[int, int], None]:
    return lambda done, total: progress.advance(done, total, f"{note} ({split})")


def _pools(
    encoder: Any,
    rows: Mapping[str, Rows],
    prepared: Prepared,
    workshop: Workshop,
    progress: Progress,
    note: str,
) -> dict[str, Any]:
    return {
        split: features(
            encoder,
            rows[split],
            prepared.pooling,
            prepared.base.pad_id,
            workshop,
            _ticking(progress, note, split),
        )
        for split in rows
    }


def _check_finite(pools: Mapping[str, Any]) -> None:
    if not all(np.isfinite(pool).all() for pool in pools.values()):
        raise TrainingDiverged(
            "training ran away: the adapted encoder gives no numbers any more",
            "lower learning_rate",
        )


def _peft_model(
    request: TrainingRequest,
    prepared: Prepared,
    config: PeftConfig,
    encoder: torch.nn.Module,
    progress: Progress,
) -> tuple[PeftModel, starts.Taken | None]:
    """The encoder with an adapter that is ready to be trained, and what that took out of it."""
    set_dropout(encoder, request.recipe.base_dropout)
    with building():
        model = wrap(encoder, config)
    taken = starts.begin(
        model,
        prepared.rows["train"],
        pad_id=prepared.base.pad_id,
        seed=request.recipe.seed,
        tick=lambda done, total: progress.advance(done, total, "looking for where EVA starts"),
    )
    return model, taken


def _classifier(
    model: PeftModel,
    prepared: Prepared,
    request: TrainingRequest,
    probe: Head,
    workshop: Workshop,
) -> Classifier:
    """The network, its head starting where the probe ended unless the recipe keeps the head."""
    recipe, scheme = request.recipe, prepared.scheme
    head = torch.nn.Linear(prepared.base.hidden_size, len(scheme.classes))
    if recipe.head != "trained":
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(probe.weight))
            head.bias.copy_(torch.from_numpy(probe.bias))
    return Classifier(
        model,
        head,
        prepared.pooling,
        multi=scheme.kind == "multi",
        class_weights=_class_weights(prepared) if prepared.balanced else None,
        label_smoothing=recipe.label_smoothing,
        contrastive=recipe.contrastive_share,
        temperature=recipe.contrastive_temperature,
        regulariser=(
            partial(adalora.orthogonality, model) if recipe.peft_method == adalora.METHOD else None
        ),
    ).to(workshop.device)


def _class_weights(prepared: Prepared) -> torch.Tensor:
    """Inverse frequency, mean 1 over texts; for multi-label, negatives over positives."""
    wanted = prepared.wanted["train"]
    if prepared.scheme.kind == "multi":
        positive = wanted.sum(axis=0)
        negative = np.maximum(len(wanted) - positive, 1)  # a label of every text still counts
        return torch.tensor(negative / positive, dtype=torch.float32)
    counts = np.bincount(wanted, minlength=len(prepared.scheme.classes))
    return torch.tensor(len(wanted) / (len(counts) * counts), dtype=torch.float32)


def _train_steps(
    classifier: Classifier,
    rows: Mapping[str, Rows],
    prepared: Prepared,
    request: TrainingRequest,
    workshop: Workshop,
    progress: Progress,
    state: Path,
    taken: starts.Taken | None,
    watch: Callable[[int, int], None] | None = None,
) -> bool:
    recipe = request.recipe
    logs = log_directory(workshop.cache, request.name) if recipe.report_to else None
    if logs:
        progress.say(f"logs of {', '.join(recipe.report_to)}: {logs}")
    start = time.perf_counter()

    def tick(done: int, total: int, loss: float | None) -> None:
        progress.advance(done, total, "training" if loss is None else f"training, loss {loss:.3f}")
        if watch:
            watch(done, total)

    classifier.train()
    resumed = fit(
        classifier,
        TrainingRows(rows["train"], prepared.wanted["train"]),
        recipe,
        prepared.epochs,
        prepared.batch_size,
        pad_id=prepared.base.pad_id,
        device=workshop.device,
        directory=state,
        logs=logs,
        tick=tick,
        say=progress.say,
        beside=taken,
    )
    seconds = time.perf_counter() - start
    how = "went on from a checkpoint and trained" if resumed else "trained"
    progress.say(f"{how} {_count(prepared.epochs, 'epoch')} in {seconds:.0f} s")
    return resumed


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _adapted_pools(
    classifier: Classifier,
    rows: Mapping[str, Rows],
    prepared: Prepared,
    workshop: Workshop,
    progress: Progress,
) -> dict[str, Any]:
    classifier.eval()
    note = "reading with the adapter"
    pools = _pools(classifier.encoder, rows, prepared, workshop, progress, note)
    _check_finite(pools)
    return pools


def _final_head(
    classifier: Classifier,
    pools: dict[str, Any],
    prepared: Prepared,
    request: TrainingRequest,
    progress: Progress,
) -> Judged:
    judged = _linear_head(classifier, pools, prepared, request, progress)
    with_bag = with_token_bag(judged, prepared, request.recipe)
    if with_bag.bag is not None:
        progress.say(f"{_count(len(with_bag.bag.tokens), 'token')} count by themselves too")
    return with_bag


def _linear_head(
    classifier: Classifier,
    pools: dict[str, Any],
    prepared: Prepared,
    request: TrainingRequest,
    progress: Progress,
) -> Judged:
    if request.recipe.head == "trained":
        return trained_along(classifier, pools, prepared)
    fresh = refitted(pools, prepared)
    if request.recipe.head == "refit" or len(pools["val"]) < ENOUGH:
        return fresh
    along = trained_along(classifier, pools, prepared)
    if along.scores.validation_loss(prepared) < fresh.scores.validation_loss(prepared):
        progress.say("validation keeps the head that was trained along")
        return along
    return fresh


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
        texts = _count(len(pooled), "validation text")
        notes.insert(0, f"{texts} cannot say how far is out of scope: {ENOUGH} are needed")
    return replace(manifest, postprocess=steps), notes
