"""The training loop: transformers' Trainer over the trained tensors, resumable after a kill."""

from __future__ import annotations

import json
import math
import shutil
import traceback
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.utils.data import Dataset, Sampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from transformers.trainer_callback import PrinterCallback

from ..errors import RecipeError, StoreError, TrainingError, unknown
from ..store.disk import staging_errors
from . import adalora
from .adalora import RankAllocation
from .frozen import Rows, feed
from .model import Classifier
from .recipe import Recipe

WEIGHTS = "model.safetensors"
STATE = "trainer_state.json"
ZIPPED = ("optimizer.pt", "scheduler.pt", "rng_state.pth")  # by torch.save, with checksums
BESIDE = "beside:"  # begins the names of what is no weight
STRETCH = 8  # batches
SAVE_EVERY = 100  # steps; what a kill can cost at most
PACKAGES = {"azure_ml": "azureml-mlflow", "comet_ml": "comet-ml", "flyte": "flytekit"}
"""What to install for an experiment tracker, where it is not called as the tracker is."""

Tick = Callable[[int, int, float | None], None]
"""Called with (steps done, steps in all, loss)."""
Say = Callable[[str], None]
"""Called with a line worth keeping."""


class Beside(Protocol):
    """What a training depends on besides the weights that it changes."""

    def state(self) -> dict[str, torch.Tensor]:
        """All of it, for a checkpoint."""
        ...

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Goes on from a `state`."""
        ...


class TrainingRows(Dataset[dict[str, Any]]):
    """Rows with their targets: a class index, or for multi-label a 0/1 row."""

    def __init__(self, rows: Rows, wanted: np.ndarray) -> None:
        self._rows = rows
        self._wanted = wanted

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""
        return [len(row) for row in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"row": self._rows[index], "wanted": self._wanted[index]}


class LikeLengths(Sampler[int]):
    """Every text once an epoch, in batches of like lengths: padding would be most of the work.

    Texts are shuffled, sorted by length within stretches of `STRETCH` batches, and the batches are
    shuffled. The order depends on seed and epoch alone, so a resumed run sees the same.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = np.array(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        """Trainer says which epoch comes."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self._seed, self._epoch))
        order = random.permutation(len(self._lengths))
        stretch = self._batch_size * STRETCH
        batches = []
        for start in range(0, len(order), stretch):
            part = order[start : start + stretch]
            part = part[np.argsort(-self._lengths[part], kind="stable")]
            batches += np.split(part, range(self._batch_size, len(part), self._batch_size))
        # Only the last can be short; anywhere else it would shift the batches behind it.
        last = [batches.pop()] if len(batches[-1]) < self._batch_size else []
        random.shuffle(batches)
        return iter(np.concatenate([*batches, *last]).tolist())


class AdapterTrainer(Trainer):  # type: ignore[misc]  # transformers is untyped
    """Trainer whose checkpoints hold only what is trained, not another copy of the base."""

    model: Classifier
    beside: Beside | None = None

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.args.checkpoints)

    def _get_train_sampler(self, train_dataset: TrainingRows | None = None) -> LikeLengths:
        rows = train_dataset or self.train_dataset
        return LikeLengths(rows.lengths, self.args.train_batch_size, self.args.seed)

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        directory = Path(output_dir or str(self.args.checkpoints))
        directory.mkdir(parents=True, exist_ok=True)
        state = {n: t.contiguous() for n, t in self.model.trained_state().items()}
        if self.beside:
            state |= {BESIDE + n: t.contiguous() for n, t in self.beside.state().items()}
        save_file(state, directory / WEIGHTS)

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: torch.nn.Module | None = None
    ) -> None:
        state = load_file(Path(resume_from_checkpoint) / WEIGHTS, device=str(self.args.device))
        names = [name for name in state if name.startswith(BESIDE)]
        beside = {name.removeprefix(BESIDE): state.pop(name) for name in names}
        if self.beside:
            self.beside.restore(beside)
        trained = self.model.trained_state()
        if set(state) != set(trained):
            raise ValueError(f"{resume_from_checkpoint} belongs to another model")
        for name, tensor in trained.items():
            tensor.copy_(state[name])


@dataclass
class OneDevice(TrainingArguments):  # type: ignore[misc]  # transformers is untyped
    """Trainer's arguments for a training on one device.

    By itself Trainer takes the first CUDA device and, where there are more, wraps the model in
    `DataParallel`, under which the contrastive loss would see a part of its batch at a time. It
    asks these two properties.

    Attributes:
        on: the device, with its number.
        checkpoints: where they are written. They go when the training has ended, and what
            experiment trackers write into the `output_dir` stays.
    """

    on: str = "cpu"
    checkpoints: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if torch.device(self.on).type == "cuda":
            torch.cuda.set_device(self.on)  # to accelerate, "cuda" is the current device

    @property
    def device(self) -> torch.device:
        super().device  # noqa: B018 - sets accelerate up
        return torch.device(self.on)

    @property
    def n_gpu(self) -> int:
        seen: int = super().n_gpu
        return min(1, seen)


class _Report(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    def __init__(self, tick: Tick) -> None:
        self._tick = tick
        self._loss: float | None = None

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        self._loss = (logs or {}).get("loss", self._loss)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._tick(state.global_step, state.max_steps, self._loss)


def fit(
    model: Classifier,
    rows: TrainingRows,
    recipe: Recipe,
    epochs: int,
    batch_size: int,
    *,
    pad_id: int,
    device: torch.device,
    directory: Path,
    logs: Path | None,
    tick: Tick,
    say: Say,
    beside: Beside | None = None,
) -> bool:
    """Trains the model in place.

    Args:
        directory: holds checkpoints; the last whole one in it is resumed from.
        logs: where the recipe's experiment trackers write; None where it names none.
        beside: belongs into checkpoints.

    Returns:
        whether it went on from a checkpoint.
    """

    def collate(batch: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        inputs, mask = feed([item["row"] for item in batch], pad_id, torch.device("cpu"))
        labels = torch.tensor(np.stack([item["wanted"] for item in batch]))
        return {"inputs": inputs, "attention_mask": mask, "labels": labels}

    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        trainer = AdapterTrainer(
            model=model,
            args=arguments(recipe, epochs, batch_size, len(rows), device, directory, logs),
            train_dataset=rows,
            data_collator=collate,
            callbacks=[_Report(tick), *_trackers(recipe)],
        )
        trainer.beside = beside
        if recipe.peft_method == adalora.METHOD:
            trainer.beside = allocation = RankAllocation(model.encoder)
            trainer.add_callback(allocation)
        # It prints each log entry; progress goes through `tick` alone.
        trainer.remove_callback(PrinterCallback)
        with _checkpoint_errors(directory):
            checkpoint = last_checkpoint(directory, say)
            if checkpoint and not _fits(checkpoint, model):
                say("the checkpoints are of other ranks than EVA gives on this machine: deleted")
                shutil.rmtree(directory)
                checkpoint = None
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return checkpoint is not None


def arguments(
    recipe: Recipe,
    epochs: int,
    batch_size: int,
    texts: int,
    device: torch.device,
    directory: Path,
    logs: Path | None,
) -> OneDevice:
    """Trainer's arguments. A ``cuda`` without a number is the current device.

    Trainer makes its `output_dir`, so without a tracker it is that of the checkpoints.
    """
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    steps = math.ceil(texts / batch_size)
    return OneDevice(
        on=str(device),
        use_cpu=device.type == "cpu",
        checkpoints=str(directory),
        output_dir=str(logs or directory),
        per_device_train_batch_size=batch_size,
        num_train_epochs=epochs,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup,
        lr_scheduler_type="linear",
        seed=recipe.seed,
        data_seed=recipe.seed,
        save_strategy="steps",
        save_steps=max(1, min(steps, SAVE_EVERY)),
        save_total_limit=2,
        logging_strategy="steps",
        logging_steps=max(1, min(steps, 10)),
        report_to="none",  # see `_trackers`
        remove_unused_columns=False,
        disable_tqdm=True,
        dataloader_pin_memory=device.type != "cpu",
    )


@contextmanager
def _checkpoint_errors(directory: Path) -> Iterator[None]:
    """Turns errors of writing checkpoints, however they are reported, into `TrainingError`."""
    try:
        with staging_errors(directory, directory):
            yield
    except (StoreError, RuntimeError) as error:
        # On a full disk torch.save says only, in one of several ways, that its writer failed.
        frames = (frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__))
        if isinstance(error, RuntimeError) and torch.save.__code__ not in frames:
            raise
        raise TrainingError(
            f"checkpoints cannot be written to {directory}, so the training was stopped",
            "free some space, or name another place with PLATFORM_CACHE",
        ) from error


def check_trackers(recipe: Recipe) -> None:
    """Raises `RecipeError` where an experiment tracker that the recipe names cannot be used."""
    _trackers(recipe)


def _trackers(recipe: Recipe) -> list[TrainerCallback]:
    """The experiment trackers that the recipe names. Raises `RecipeError`."""
    found = []
    for name in recipe.report_to:
        if name not in INTEGRATION_TO_CALLBACK:
            raise unknown("experiment tracker", name, INTEGRATION_TO_CALLBACK, RecipeError)
        try:
            found.append(INTEGRATION_TO_CALLBACK[name]())
        # Each raises whatever its own package, or the want of it, happens to raise.
        except Exception as error:
            raise RecipeError(
                f"the experiment tracker {name!r} of report_to cannot be used: "
                f"{str(error).strip() or type(error).__name__}",
                f"install what it needs (pip install {PACKAGES.get(name, name)}), or leave it out "
                "of report_to",
            ) from error
    return found


def last_checkpoint(directory: Path, say: Say) -> Path | None:
    """The newest checkpoint that is whole; any after it, of no use, is deleted and told of."""
    found = [p for p in directory.glob("checkpoint-*") if p.name.rpartition("-")[2].isdigit()]
    for path in sorted(found, key=lambda p: -int(p.name.rpartition("-")[2])):
        file = _unreadable(path)
        if file is None:
            return path
        say(f"the checkpoint of step {path.name.rpartition('-')[2]} is not whole ({file}): deleted")
        shutil.rmtree(path)
    return None


def _fits(checkpoint: Path, model: Classifier) -> bool:
    """Whether a checkpoint has the model's tensors, each of the model's shape."""
    saved = load_file(checkpoint / WEIGHTS)
    return all(
        name in saved and saved[name].shape == tensor.shape
        for name, tensor in model.trained_state().items()
    )


def _unreadable(checkpoint: Path) -> str | None:
    """The first of a checkpoint's files that is not there or is damaged; None if it is whole."""
    try:
        json.loads((checkpoint / STATE).read_text(encoding="utf-8"))  # Trainer writes it last
    except (OSError, ValueError):
        return STATE
    try:
        load_file(checkpoint / WEIGHTS)
    except (OSError, SafetensorError):
        return WEIGHTS
    for name in ZIPPED:
        try:
            with zipfile.ZipFile(checkpoint / name) as file:
                if file.testzip() is not None:
                    return name
        except (OSError, zipfile.BadZipFile):
            return name
    return None
