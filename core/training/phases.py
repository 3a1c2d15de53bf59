"""The phases of one training, which `run` puts in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..engine.encoder import building, load_encoder
from ..errors import TrainingDiverged
from . import adalora, starts
from .checkpoints import log_directory
from .frozen import Rows, above, fits, frozen_layers, frozen_states
from .judged import Judged, refitted, trained_along
from .linear import ENOUGH
from .model import Classifier, peft_config, set_dropout, wrap
from .prepare import Prepared, features, seconds_a_text
from .token_bags import with_token_bag
from .trainer import TrainingRows, fit

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from ..heads import Head
    from .requests import TrainingRequest
    from .workshop import Progress, Workshop

STEP_COST = 4.0  # a training step's time over a frozen forward pass of the same texts, measured


@dataclass(frozen=True, slots=True)
class Phases:
    """What is done in one training, on its data and in its workshop."""

    request: TrainingRequest
    prepared: Prepared
    workshop: Workshop
    progress: Progress

    def config(self) -> PeftConfig:
        """PEFT's configuration of the adapter. Raises `RecipeError`."""
        base = self.prepared.base.record()
        return peft_config(self.request.recipe, self.prepared.pooling, base, self.prepared.steps)

    def encoder(self) -> torch.nn.Module:
        """The base's, of this training alone."""
        return load_encoder(self.prepared.base, self.workshop.device)

    def seconds(self, encoder: Any) -> float:
        """Estimated time of the training steps."""
        texts = len(self.prepared.rows["train"]) * self.prepared.epochs
        return STEP_COST * texts * seconds_a_text(encoder, self.prepared, self.workshop)

    def frozen_pools(
        self, encoder: Any, tokens: Mapping[str, Sequence[tuple[int, ...]]]
    ) -> dict[str, Any]:
        """The frozen base's states ``(texts, hidden)`` of texts' tokens, by split."""
        return self._pools(encoder, tokens, "reading with the frozen base")

    def adapted_pools(self, classifier: Classifier, rows: Mapping[str, Rows]) -> dict[str, Any]:
        """The adapted base's states ``(texts, hidden)``. Raises `TrainingDiverged`."""
        classifier.eval()
        pools = self._pools(classifier.encoder, rows, "reading with the adapter")
        if not all(np.isfinite(pool).all() for pool in pools.values()):
            raise TrainingDiverged(
                "training ran away: the adapted encoder gives no numbers any more",
                "lower learning_rate",
            )
        return pools

    def peft_model(
        self, encoder: torch.nn.Module, config: PeftConfig
    ) -> tuple[PeftModel, starts.Taken | None]:
        """The encoder with an adapter that is ready to be trained, and what that took out of it."""
        set_dropout(encoder, self.request.recipe.base_dropout)
        with building():
            model = wrap(encoder, config)
        taken = starts.begin(
            model,
            self.prepared.rows["train"],
            pad_id=self.prepared.base.pad_id,
            seed=self.request.recipe.seed,
            tick=lambda done, total: self.progress.advance(
                done, total, "looking for where EVA starts"
            ),
        )
        return model, taken

    def classifier(self, model: PeftModel, probe: Head) -> Classifier:
        """The network, its head starting where the probe ended unless the recipe keeps the head."""
        recipe, scheme = self.request.recipe, self.prepared.scheme
        head = torch.nn.Linear(self.prepared.base.hidden_size, len(scheme.classes))
        if recipe.head != "trained":
            with torch.no_grad():
                head.weight.copy_(torch.from_numpy(probe.weight))
                head.bias.copy_(torch.from_numpy(probe.bias))
        return Classifier(
            model,
            head,
            self.prepared.pooling,
            multi=scheme.kind == "multi",
            class_weights=_class_weights(self.prepared) if self.prepared.balanced else None,
            label_smoothing=recipe.label_smoothing,
            contrastive=recipe.contrastive_share,
            temperature=recipe.contrastive_temperature,
            regulariser=(
                partial(adalora.orthogonality, model)
                if recipe.peft_method == adalora.METHOD
                else None
            ),
        ).to(self.workshop.device)

    @contextmanager
    def begun(
        self, model: PeftModel, tokens: Mapping[str, Sequence[tuple[int, ...]]]
    ) -> Iterator[Mapping[str, Rows]]:
        """What the model is fed within the block, by split.

        Tokens, or where its lowest layers are frozen and there is room, what those make of them.
        """
        layers, base = frozen_layers(model), self.prepared.base
        if not layers or not fits(tokens, base.hidden_size):
            yield tokens
            return
        note = f"running {count(layers, 'frozen layer')} once"
        states = {
            split: frozen_states(
                model, layers, rows, base.pad_id, self.workshop, self._ticking(note, split)
            )
            for split, rows in tokens.items()
        }
        with above(model, layers):
            yield states

    def steps(
        self,
        classifier: Classifier,
        rows: Mapping[str, Rows],
        state: Path,
        taken: starts.Taken | None,
        watch: Callable[[int, int], None] | None = None,
    ) -> bool:
        """Trains; whether it went on from a checkpoint.

        Args:
            state: the directory of this training's checkpoints.
            watch: called after a step with (steps done, steps in all); may end it by an exception.
        """
        prepared, recipe, progress = self.prepared, self.request.recipe, self.progress
        logs = log_directory(self.workshop.cache, self.request.name) if recipe.report_to else None
        if logs:
            progress.say(f"logs of {', '.join(recipe.report_to)}: {logs}")
        start = time.perf_counter()

        def tick(done: int, total: int, loss: float | None) -> None:
            note = "training" if loss is None else f"training, loss {loss:.3f}"
            progress.advance(done, total, note)
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
            device=self.workshop.device,
            directory=state,
            logs=logs,
            tick=tick,
            say=progress.say,
            beside=taken,
        )
        seconds = time.perf_counter() - start
        how = "went on from a checkpoint and trained" if resumed else "trained"
        progress.say(f"{how} {count(prepared.epochs, 'epoch')} in {seconds:.0f} s")
        return resumed

    def final_head(self, classifier: Classifier, pools: dict[str, Any]) -> Judged:
        """What is published: the head on adapted states, and a token bag where one is worth it."""
        head = self._linear_head(classifier, pools)
        judged = with_token_bag(head, self.prepared, self.request.recipe)
        if judged.bag is not None:
            self.progress.say(f"{count(len(judged.bag.tokens), 'token')} count by themselves too")
        return judged

    def _linear_head(self, classifier: Classifier, pools: dict[str, Any]) -> Judged:
        prepared, wanted = self.prepared, self.request.recipe.head
        if wanted == "trained":
            return trained_along(classifier, pools, prepared)
        fresh = refitted(pools, prepared)
        if wanted == "refit" or len(pools["val"]) < ENOUGH:
            return fresh
        along = trained_along(classifier, pools, prepared)
        if along.scores.validation_loss(prepared) < fresh.scores.validation_loss(prepared):
            self.progress.say("validation keeps the head that was trained along")
            return along
        return fresh

    def _pools(self, encoder: Any, rows: Mapping[str, Rows], note: str) -> dict[str, Any]:
        return {
            split: features(
                encoder,
                rows[split],
                self.prepared.pooling,
                self.prepared.base.pad_id,
                self.workshop,
                self._ticking(note, split),
            )
            for split in rows
        }

    def _ticking(self, note: str, split: str) -> Callable[[int, int], None]:
        return lambda done, total: self.progress.advance(done, total, f"{note} ({split})")


def count(number: int, thing: str) -> str:
    """``1 epoch``, ``2 epochs``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _class_weights(prepared: Prepared) -> torch.Tensor:
    """Inverse frequency, mean 1 over texts; for multi-label, negatives over positives."""
    wanted = prepared.wanted["train"]
    if prepared.scheme.kind == "multi":
        positive = wanted.sum(axis=0)
        negative = np.maximum(len(wanted) - positive, 1)  # a label of every text still counts
        return torch.tensor(negative / positive, dtype=torch.float32)
    counts = np.bincount(wanted, minlength=len(prepared.scheme.classes))
    return torch.tensor(len(wanted) / (len(counts) * counts), dtype=torch.float32)
