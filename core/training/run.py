"""One training, from data to a published adapter: prepare, probe, train, refit, judge, publish."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import set_seed

from ..engine.encoder import building, load_encoder
from ..errors import TrainingError, unknown
from ..examples import SPLITS
from ..heads import Head
from ..store.manifest import Calibration, Manifest, StepRecord
from ..store.names import check_name
from . import report as reports
from .calibrate import ENOUGH, calibrate
from .card import FILE as CARD
from .card import write_card
from .checkpoints import checkpoints, library_versions
from .evaluate import evaluate, primary_value
from .linear import LinearFit, fit_head, log_loss, tfidf_logits
from .model import Classifier, peft_config, set_dropout, wrap
from .prepare import (
    Prepared,
    Progress,
    Workshop,
    features,
    prepare,
    seconds_a_text,
)
from .requests import TrainingRequest
from .trainer import TokenRows, auto_epochs, fit

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from ..labels import LabelScheme
    from ..registry import Registry

STEP_COST = 4.0  # a training step's time over a frozen forward pass of the same texts, measured


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training came to.

    Attributes:
        report: what `report.json` holds.
        promoted: whether the new version is the current one.
        resumed: whether it went on from where an earlier run was stopped.
        example: a text of the data to try the adapter with, from the test side if there is one.
    """

    manifest: Manifest
    report: Mapping[str, Any]
    promoted: bool
    resumed: bool
    example: str


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
    prepared = prepare(request, workshop)
    step_records(request, prepared.scheme, workshop.registry)
    config = peft_config(request.recipe, prepared.pooling, prepared.base.id)
    encoder = load_encoder(prepared.base, workshop.device)
    each = seconds_a_text(encoder, prepared, workshop)
    model = _peft_model(request, config, encoder)
    texts = len(prepared.rows["train"])
    epochs = auto_epochs(request.recipe, texts, len(prepared.scheme.classes))
    steps = epochs * -(-texts // request.recipe.batch_size)
    return Plan(
        prepared=prepared,
        sizes={split: len(prepared.rows[split]) for split in SPLITS},
        epochs=epochs,
        steps=steps,
        trainable=trainable_line(model),
        seconds=each * texts * epochs * STEP_COST,
    )


def train(request: TrainingRequest, workshop: Workshop, progress: Progress) -> Outcome:
    """Trains, judges and publishes one adapter.

    A run that was stopped goes on from its last checkpoint when the same request comes again.

    Raises:
        PlatformError: data, scheme, base, recipe or store are not fit; nothing was published.
    """
    with workshop.store.stage(request.name):
        pass  # a name or a store that cannot be is refused before the work, not after it
    workshop.listener.before_training(request.name, request.recipe)
    prepared = prepare(request, workshop)
    steps = step_records(request, prepared.scheme, workshop.registry)
    config = peft_config(request.recipe, prepared.pooling, prepared.base.id)
    with checkpoints(workshop.cache, request, prepared) as state:
        for note in prepared.notes:
            progress.say(note)
        progress.say("texts: " + ", ".join(f"{s} {len(prepared.rows[s])}" for s in SPLITS))
        set_seed(request.recipe.seed)
        encoder = load_encoder(prepared.base, workshop.device)
        each = seconds_a_text(encoder, prepared, workshop)
        pools = _pools(encoder, prepared, workshop, progress, "reading with the frozen base")
        probe = _fit_on(pools, prepared)
        model = _peft_model(request, config, encoder)
        progress.say(trainable_line(model))
        texts = len(prepared.rows["train"])
        epochs = auto_epochs(request.recipe, texts, len(prepared.scheme.classes))
        seconds = each * texts * epochs * STEP_COST
        progress.say(f"{epochs} epochs, about {max(1, round(seconds))} seconds")
        classifier = _classifier(model, prepared, request, probe.fit, workshop)
        resumed = _train_steps(classifier, prepared, request, workshop, progress, state)
        judged = _final_head(classifier, prepared, request, workshop, progress)
        report = _report(request, prepared, judged, probe)
        manifest = _manifest(request, prepared, judged, report, model, steps)
        workshop.listener.after_training(manifest)
        promote = request.promote and (request.allow_worse or not manifest.worse_than_probe)
        with workshop.store.stage(request.name) as directory:
            _write(directory, request, prepared, model, judged.head, manifest, report)
            published = workshop.store.publish(directory, manifest, promote=promote)
    workshop.listener.after_adapter_published(published)
    return Outcome(published, report, promote, resumed, _example(prepared))


@dataclass(frozen=True, slots=True)
class _Judged:
    """A head over fixed features, with its logits by split and their calibration."""

    head: Head
    logits: Mapping[str, Any]
    calibration: Calibration
    fit: LinearFit


def _fit_on(pools: Mapping[str, Any], prepared: Prepared) -> _Judged:
    """Logistic regression on an encoder's pooled states by split."""
    linear = fit_head(
        prepared.scheme,
        (pools["train"], prepared.wanted["train"]),
        (pools["val"], prepared.wanted["val"]),
        balanced=prepared.balanced,
    )
    head = Head(prepared.pooling, linear.weight.copy(), linear.bias.copy())
    return _judge(head, pools, prepared, linear)


def _judge(head: Head, pools: Mapping[str, Any], prepared: Prepared, linear: LinearFit) -> _Judged:
    logits = {s: head.logits(p) for s, p in pools.items() if len(p)}
    fitted = Calibration()
    if "val" in logits:
        fitted = calibrate(prepared.scheme, logits["val"], prepared.wanted["val"])
    return _Judged(head, logits, fitted, linear)


def _pools(
    encoder: Any, prepared: Prepared, workshop: Workshop, progress: Progress, note: str
) -> dict[str, Any]:
    return {
        split: features(
            encoder,
            prepared.rows[split],
            prepared.pooling,
            prepared.base.pad_id,
            workshop,
            lambda done, total, s=split: progress.advance(done, total, f"{note} ({s})"),  # type: ignore[misc]  # mypy cannot type a defaulted lambda
        )
        for split in SPLITS
    }


def _peft_model(
    request: TrainingRequest, config: PeftConfig, encoder: torch.nn.Module
) -> PeftModel:
    set_dropout(encoder, request.recipe.base_dropout)
    with building():
        return wrap(encoder, config)


def _classifier(
    model: PeftModel,
    prepared: Prepared,
    request: TrainingRequest,
    probe: LinearFit,
    workshop: Workshop,
) -> Classifier:
    """The network, its head starting where the probe ended unless the recipe keeps the head."""
    recipe, scheme = request.recipe, prepared.scheme
    head = torch.nn.Linear(prepared.base.hidden_size, len(scheme.classes))
    if recipe.head != "trained":
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(probe.weight))
            head.bias.copy_(torch.from_numpy(probe.bias))
    contrastive = recipe.loss == "contrastive" or (recipe.loss == "auto" and scheme.kind != "multi")
    return Classifier(
        model,
        head,
        prepared.pooling,
        multi=scheme.kind == "multi",
        class_weights=_class_weights(prepared) if prepared.balanced else None,
        label_smoothing=recipe.label_smoothing,
        contrastive=recipe.contrastive_weight if contrastive else 0.0,
        temperature=recipe.contrastive_temperature,
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
    prepared: Prepared,
    request: TrainingRequest,
    workshop: Workshop,
    progress: Progress,
    state: Path,
) -> bool:
    recipe = request.recipe
    rows = TokenRows(prepared.rows["train"], prepared.wanted["train"])
    epochs = auto_epochs(recipe, len(rows), len(prepared.scheme.classes))
    start = time.perf_counter()

    def tick(done: int, total: int, loss: float | None) -> None:
        progress.advance(done, total, "training" if loss is None else f"training, loss {loss:.3f}")

    classifier.train()
    resumed = fit(
        classifier,
        rows,
        recipe,
        epochs,
        pad_id=prepared.base.pad_id,
        device=workshop.device,
        directory=state,
        tick=tick,
    )
    seconds = time.perf_counter() - start
    how = "went on from a checkpoint and trained" if resumed else "trained"
    progress.say(f"{how} {epochs} epochs in {seconds:.0f} s")
    return resumed


def _final_head(
    classifier: Classifier,
    prepared: Prepared,
    request: TrainingRequest,
    workshop: Workshop,
    progress: Progress,
) -> _Judged:
    classifier.eval()
    pools = _pools(classifier.encoder, prepared, workshop, progress, "reading with the adapter")
    if not all(np.isfinite(pool).all() for pool in pools.values()):
        raise TrainingError(
            "training ran away: the adapted encoder gives no numbers any more",
            "lower learning_rate",
        )
    if request.recipe.head == "trained":
        return _trained_along(classifier, pools, prepared)
    refitted = _fit_on(pools, prepared)
    if request.recipe.head == "refit" or len(pools["val"]) < ENOUGH:
        return refitted
    along = _trained_along(classifier, pools, prepared)
    if _validation_loss(along, prepared) < _validation_loss(refitted, prepared):
        progress.say("validation keeps the head that was trained along")
        return along
    return refitted


def _trained_along(classifier: Classifier, pools: Mapping[str, Any], prepared: Prepared) -> _Judged:
    weight = classifier.head.weight.detach().cpu().numpy().copy()
    bias = classifier.head.bias.detach().cpu().numpy().copy()
    head = Head(prepared.pooling, weight, bias)
    return _judge(head, pools, prepared, LinearFit(weight, bias, 0.0))


def _validation_loss(judged: _Judged, prepared: Prepared) -> float:
    """Log loss of the calibrated probabilities, in nats a text."""
    logits = judged.logits["val"] / judged.calibration.temperature
    return log_loss(prepared.scheme, logits, prepared.wanted["val"])


def _evaluations(judged: _Judged, prepared: Prepared) -> dict[str, dict[str, Any]]:
    calibration = judged.calibration
    return {
        split: evaluate(
            prepared.scheme.probabilities(logits, calibration.temperature),
            prepared.examples(split),
            prepared.scheme,
            calibration.thresholds,
        )
        for split, logits in judged.logits.items()
        if split != "train"
    }


def _report(
    request: TrainingRequest, prepared: Prepared, judged: _Judged, probe: _Judged
) -> dict[str, Any]:
    texts = {s: [e.text for e in prepared.examples(s)] for s in SPLITS}
    plain = dict(
        zip(
            ("val", "test"),
            tfidf_logits(
                prepared.scheme,
                (texts["train"], prepared.wanted["train"]),
                (texts["val"], prepared.wanted["val"]),
                (texts["val"], texts["test"]),
                balanced=prepared.balanced,
            ),
            strict=True,
        )
    )
    tfidf = _judge_logits({s: x for s, x in plain.items() if len(x)}, probe, prepared)
    return reports.assemble(
        name=request.name,
        sizes={split: len(prepared.rows[split]) for split in SPLITS},
        notes=prepared.notes,
        ours=_evaluations(judged, prepared),
        probe=_evaluations(probe, prepared),
        tfidf=_evaluations(tfidf, prepared),
    )


def _judge_logits(logits: Mapping[str, Any], like: _Judged, prepared: Prepared) -> _Judged:
    fitted = Calibration()
    if "val" in logits:
        fitted = calibrate(prepared.scheme, logits["val"], prepared.wanted["val"])
    return _Judged(like.head, logits, fitted, like.fit)


def _manifest(
    request: TrainingRequest,
    prepared: Prepared,
    judged: _Judged,
    report: Mapping[str, Any],
    model: PeftModel,
    steps: tuple[StepRecord, ...],
) -> Manifest:
    trainable, _ = model.get_nb_trainable_parameters()
    limit = min(request.recipe.max_length, prepared.base.max_positions)
    return Manifest(
        name=request.name,
        base=prepared.base.record(),
        scheme=prepared.scheme,
        peft_method=str(model.active_peft_config.peft_type.value),
        pooling=prepared.pooling,
        max_length=limit,
        long_text=request.recipe.long_text,
        stride=min(request.recipe.stride, limit // 2),
        description=request.description,
        postprocess=steps,
        calibration=judged.calibration,
        metrics=reports.flat_metrics(report),
        worse_than_probe=is_worse(report),
        data_fingerprint=prepared.dataset.fingerprint(),
        tokens_per_character=round(prepared.tokens_per_character, 4),
        trainable_parameters=int(trainable),
        platform_version=version("adapter-platform"),
        libraries=library_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def step_records(
    request: TrainingRequest, scheme: LabelScheme, registry: Registry
) -> tuple[StepRecord, ...]:
    """The request's post-processing steps with who brings them, their settings checked.

    Raises:
        UnknownName: no plugin brings a step.
        PlatformError: a step does not take its settings.
    """
    records = []
    for step in request.postprocess:
        brought = registry.postprocessors.get(step.name)
        if brought is None:
            raise unknown("post-processing step", step.name, registry.postprocessors)
        brought.value.build(step.settings, scheme)
        records.append(StepRecord(step.name, dict(step.settings), brought.plugin, brought.version))
    return tuple(records)


def is_worse(report: Mapping[str, Any]) -> bool:
    """Whether the probe beats the adapter by more than one text.

    On validation; on test where the data was too small for a validation split.
    """
    split = "val" if report["val"] else "test"
    ours = primary_value(report[split])
    if ours is None:
        return False
    probe = float(report["baselines"]["probe"][split][report[split]["primary"]])
    return bool(ours + 1 / report[split]["n"] < probe)


def trainable_line(model: PeftModel) -> str:
    """What PEFT's `print_trainable_parameters` prints."""
    trainable, total = model.get_nb_trainable_parameters()
    share = 100 * trainable / total
    return f"trainable params: {trainable:,d} || all params: {total:,d} || trainable%: {share:.4f}"


def _example(prepared: Prepared) -> str:
    return (*prepared.splits.test, *prepared.splits.train)[0].text


def _write(
    directory: Path,
    request: TrainingRequest,
    prepared: Prepared,
    model: PeftModel,
    head: Head,
    manifest: Manifest,
    report: Mapping[str, Any],
) -> None:
    model.save_pretrained(str(directory), safe_serialization=True, save_embedding_layers=False)
    head.save(directory)
    recipe = request.recipe.model_copy(update={"base": prepared.base.id})
    recipe.write(directory)
    reports.write(directory, report)
    card = write_card(manifest, request.recipe, report, _example(prepared))
    (directory / CARD).write_text(card, encoding="utf-8")
