"""What a training publishes: the report, the manifest and the files of an adapter."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import unknown
from ..examples import SPLITS
from ..postprocess import build_step
from ..seen import Seen
from ..store.manifest import Manifest, StepRecord
from . import report as reports
from .card import FILE as CARD
from .card import write_card
from .checkpoints import library_versions
from .judged import Judged, Scores
from .linear import tfidf_logits
from .prepare import Prepared
from .requests import TrainingRequest
from .typos import PLACE as MISTYPED

if TYPE_CHECKING:
    from peft import PeftModel

    from ..labels import LabelScheme
    from ..registry import Registry
    from ..scope import Scope


def make_report(
    request: TrainingRequest, prepared: Prepared, ours: Scores, probe: Scores
) -> dict[str, Any]:
    """What `report.json` holds: our figures beside the probe's and TF-IDF's."""
    return reports.assemble(
        name=request.name,
        sizes={split: len(prepared.rows[split]) for split in SPLITS},
        notes=prepared.notes,
        ours=ours.evaluations(prepared),
        probe=probe.metrics(prepared),
        tfidf=_tfidf(prepared).metrics(prepared),
    )


def _tfidf(prepared: Prepared) -> Scores:
    texts = {split: [e.text for e in prepared.examples(split)] for split in SPLITS}
    val, test = tfidf_logits(
        prepared.scheme,
        (texts["train"], prepared.wanted["train"]),
        (texts["val"], prepared.wanted["val"]),
        (texts["val"], texts["test"]),
        balanced=prepared.balanced,
    )
    return Scores.of({"val": val, "test": test}, prepared)


def make_manifest(
    request: TrainingRequest,
    prepared: Prepared,
    judged: Judged,
    report: Mapping[str, Any],
    model: PeftModel,
    steps: tuple[StepRecord, ...],
) -> Manifest:
    """The manifest but for what publishing adds: version, parent and the files' hashes."""
    trainable, _ = model.get_nb_trainable_parameters()
    return Manifest(
        name=request.name,
        base=prepared.base.record(),
        scheme=prepared.scheme,
        peft_method=str(model.active_peft_config.peft_type.value),
        pooling=prepared.pooling,
        max_length=prepared.max_length,
        long_text=request.recipe.long_text,
        stride=min(request.recipe.stride, prepared.max_length // 2),
        description=request.description,
        postprocess=steps,
        calibration=judged.scores.calibration,
        token_bag=0 if judged.bag is None else len(judged.bag.tokens),
        metrics=reports.flat_metrics(report),
        worse_than_probe=reports.is_worse(report),
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
        build_step(step.name, step.settings, scheme, brought)
        records.append(StepRecord(step.name, dict(step.settings), brought.plugin, brought.version))
    return tuple(records)


def typical_text(prepared: Prepared) -> str:
    """A text to try the adapter with, from the test side if there is one."""
    return (*prepared.splits.test, *prepared.splits.train)[0].text


def seen_texts(prepared: Prepared) -> Seen:
    """The training and validation texts, labels' own too; mistyped copies are nobody's texts."""
    train, val = (
        [example.text for example in prepared.examples(split) if example.where != MISTYPED]
        for split in ("train", "val")
    )
    return Seen.of(train, val)


def write_files(
    directory: Path,
    request: TrainingRequest,
    prepared: Prepared,
    model: PeftModel,
    judged: Judged,
    scope: Scope | None,
    manifest: Manifest,
    report: Mapping[str, Any],
) -> None:
    """Writes all of an adapter but its manifest into a staged directory."""
    with warnings.catch_warnings():
        # AdaLoRA may leave a site no rank at all, and PEFT suspects tensors that were not gathered.
        warnings.filterwarnings("ignore", ".* have invalid shape", UserWarning)
        model.save_pretrained(str(directory), safe_serialization=True, save_embedding_layers=False)
    judged.head.save(directory)
    if judged.bag is not None:
        judged.bag.save(directory)
    if scope is not None:
        scope.save(directory)
    seen_texts(prepared).save(directory)
    recipe = request.recipe.model_copy(update={"base": prepared.base.id})
    recipe.write(directory)
    reports.write(directory, report)
    example = typical_text(prepared)
    card = write_card(manifest, request.recipe, report, example)
    (directory / CARD).write_text(card, encoding="utf-8")
