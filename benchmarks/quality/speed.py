"""``python -m benchmarks.quality.speed DATA``: how fast a training is, beside the plain Trainer.

The peer is PEFT's LoRA of the same rank, scaling, dropout and target modules, on every layer, with
a linear head and cross-entropy, under transformers' Trainer as it comes: the same texts, batch
size, epochs and learning rate, and each batch padded to its longest text. Ours is the default
recipe as ``platform adapters train`` runs it. The two take turns. The clock of each runs while it
trains: ours from before its frozen layers read the texts to the last step, the peer's over
``Trainer.train``. Neither is charged for reading files, tokenisation, or judging what it has
learnt. Accuracy is that of the test texts, by the head that each ends with.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..machine import facts, undisturbed
from ..timing import bootstrap
from .document import JsonFile, present

if TYPE_CHECKING:
    from .learners import Task

    Run = Callable[[Task], tuple[float, Any]]

MUST, AIM = 1.3, 2.0


class Stopwatch:
    """A training's progress, of which it keeps how long the training steps took."""

    seconds: float
    _began = 0.0

    def say(self, message: str) -> None:
        """Steps begin after their time has been estimated, and end by saying what they took."""
        if ", about " in message:
            self._began = time.perf_counter()
        elif message.startswith("trained "):
            self.seconds = time.perf_counter() - self._began

    def advance(self, done: int, total: int, note: str) -> None:
        """Of no interest."""


def ours(task: Task) -> tuple[float, Any]:
    """Seconds of training, and what came of it."""
    from .learners import Learnt, published_scores

    watch = Stopwatch()
    outcome = task.platform.train(
        task.sample.adapter,
        task.files,
        settings={"seed": task.sample.seed, **task.settings},
        allow_worse=True,
        progress=watch,
    )
    prepared, _ = task.prepared()
    return watch.seconds, Learnt(
        prepared, published_scores(task, outcome.manifest, prepared), watch.seconds
    )


def plain(task: Task) -> tuple[float, Any]:
    """The same of the peer."""
    from transformers import set_seed

    from adapter_platform.core.engine.encoder import load_encoder
    from adapter_platform.core.training.model import peft_config, wrap
    from adapter_platform.core.training.recipe import make_recipe

    from .learners import Learnt, PlainClassifier, fit_plainly

    prepared, workshop = task.prepared()
    recipe = make_recipe(task.settings, {"layers": "all"})
    set_seed(task.sample.seed)
    config = peft_config(recipe, prepared.pooling, prepared.base.record(), prepared.steps)
    model = PlainClassifier(wrap(load_encoder(prepared.base, workshop.device), config), prepared)
    began = time.perf_counter()
    fit_plainly(
        model,
        prepared,
        epochs=prepared.epochs,
        rate=recipe.learning_rate,
        seed=task.sample.seed,
        batch_size=prepared.batch_size,
    )
    seconds = time.perf_counter() - began
    return seconds, Learnt(prepared, model.scores(prepared, workshop), seconds)


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The figures as they are shown: medians over the trainings, accuracy as their mean."""
    yield f"{document['set']} on {document['base']}, {document['machine']['threads']} threads"
    for name, called in (("ours", "ours"), ("plain", "the plain Trainer")):
        rate = document["examples"] / median(document["seconds"][name])
        accuracy = fmean(document["accuracy"][name])
        yield (
            f"{called:18} {rate:7.1f} examples/s   accuracy {100 * accuracy:.1f} "
            f"+- {196 * document['error']:.1f}"
        )
    low, high = document["interval"]
    yield (
        f"{document['ratio']:.2f} times as fast ({low:.2f} to {high:.2f}); "
        f"must {document['must']}, aim {AIM}"
    )


def main(
    data: Annotated[Path, typer.Argument(help="The folder of data sets.")],
    set_name: Annotated[str, typer.Option("--set", help="Which of them.")] = "clinc150/banking",
    rounds: Annotated[int, typer.Option(min=1, help="Trainings of each, each of its seed.")] = 3,
    base: Annotated[str, typer.Option(help="The base.")] = "multilingual",
    threads: Annotated[int, typer.Option(min=1, help="torch's threads.")] = os.cpu_count() or 1,
    recipe: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A setting of both recipes.")
    ] = None,
    must: Annotated[float, typer.Option(help="The ratio that is called for.")] = MUST,
    json_file: JsonFile = None,
) -> None:
    """Trains the two in turns; exit code 1 where ours is not fast enough."""
    undisturbed()
    from adapter_platform.cli.adapters.train import recipe_settings
    from adapter_platform.plugins import open_platform

    from .learners import Task
    from .score import scored
    from .sets import sample

    settings = recipe_settings(None, recipe or [], None)
    contestants: dict[str, Run] = {"ours": ours, "plain": plain}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    accuracies: dict[str, list[float]] = {name: [] for name in contestants}
    error, examples = 0.0, 0
    scratch = Path(tempfile.mkdtemp(prefix="speed-"))
    try:
        platform = open_platform(store=scratch / "store", base=base, threads=threads)
        for seed in range(rounds):
            drawn = sample(data, set_name, None, seed)
            files = drawn.write(scratch / "data")
            for name in list(contestants)[:: 1 if seed % 2 == 0 else -1]:
                took, learnt = contestants[name](Task(drawn, files, platform, settings))
                figure = scored("accuracy", learnt.prepared.wanted["test"], learnt.given)
                examples = len(learnt.prepared.rows["train"]) * learnt.prepared.epochs
                error = figure["error"]
                seconds[name].append(took)
                accuracies[name].append(figure["value"])
                typer.echo(
                    f"seed {seed} {name}: {examples / took:.1f} examples/s, "
                    f"accuracy {100 * figure['value']:.1f} +- {196 * error:.1f}"
                )
    finally:
        shutil.rmtree(scratch)
    ratio = median(seconds["plain"]) / median(seconds["ours"])
    low, high = bootstrap(seconds["plain"], seconds["ours"])
    document = {
        "set": set_name,
        "base": base,
        "recipe": settings,
        "examples": examples,
        "seconds": seconds,
        "accuracy": accuracies,
        "error": error,
        "ratio": ratio,
        "interval": [low, high],
        "must": must,
        "machine": facts(threads),
    }
    present(document, lines, json_file)
    if ratio < must:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
