"""``python -m benchmarks.quality.speed DATA``: how fast a training is, beside the plain Trainer.

The peer is PEFT's LoRA of the same rank, scaling, dropout and target modules, on every layer, with
a linear head and cross-entropy, under transformers' Trainer as it comes: the same texts, batch
size, epochs and learning rate, and each batch padded to its longest text. Ours is the default
recipe as ``platform adapters train`` runs it. The two take turns. The clock of each runs from when
the texts are tokens until it has its final head: ours also reads the texts with the frozen base
and with the adapted one (test texts among them), fits a head on each, and makes its routing
profile. The training steps alone are a second figure; ours include what the frozen layers make of
the texts. Accuracy is that of the test texts, by the head that each ends with.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ..machine import facts, undisturbed
from ..timing import bootstrap, ratio_of_medians
from .document import JsonFile, present

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .learners import Learnt, Task

    Run = Callable[[Task], "Timed"]
    Figures = dict[str, list[float]]

MUST, AIM = 1.3, 2.0
DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Timed:
    """A training.

    Attributes:
        seconds: from tokens to the final head.
        steps: seconds of the training steps alone.
    """

    learnt: Learnt
    seconds: float
    steps: float


def ours(task: Task) -> Timed:
    """The platform's own training."""
    from .learners import Learnt, published_scores

    outcome = task.platform.train(
        task.sample.adapter,
        task.files,
        settings={"seed": task.sample.seed, **task.settings},
        allow_worse=True,
    )
    seconds = sum(outcome.seconds.values())
    prepared, _ = task.prepared()
    scores = published_scores(task, outcome.manifest, prepared)
    return Timed(Learnt(prepared, scores, seconds), seconds, outcome.seconds["steps"])


def plain(task: Task) -> Timed:
    """The peer's."""
    from transformers import set_seed

    from adapter_platform.core.engine.encoder import load_encoder
    from adapter_platform.core.training.model import peft_config, wrap
    from adapter_platform.core.training.recipe import make_recipe

    from .learners import Learnt, PlainClassifier, fit_plainly

    prepared, workshop = task.prepared()
    began = time.perf_counter()
    recipe = make_recipe(task.settings, {"layers": "all"})
    set_seed(task.sample.seed)
    config = peft_config(recipe, prepared.pooling, prepared.base.record(), prepared.steps)
    model = PlainClassifier(wrap(load_encoder(prepared.base, workshop.device), config), prepared)
    ready = time.perf_counter()
    fit_plainly(
        model,
        prepared,
        workshop.device,
        epochs=prepared.epochs,
        rate=recipe.learning_rate,
        seed=task.sample.seed,
        batch_size=prepared.batch_size,
    )
    ended = time.perf_counter()
    learnt = Learnt(prepared, model.scores(prepared, workshop), ended - began)
    return Timed(learnt, ended - began, ended - ready)


def gained(right: Mapping[str, Sequence[NDArray[np.bool_]]]) -> list[float]:
    """Our accuracy less the peer's, and its 95 % interval: the bootstrap over texts, in pairs.

    Args:
        right: which test texts ``(texts,)`` were answered right, by contestant and seed; the texts
            are the same for every seed.
    """
    each = (np.mean(right["ours"], axis=0) - np.mean(right["plain"], axis=0)).astype(float)
    dice = np.random.default_rng(0)
    draws = [each[dice.integers(0, len(each), len(each))].mean() for _ in range(DRAWS)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return [float(each.mean()), float(low), float(high)]


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The figures as they are shown: medians over the trainings, accuracy as their mean."""
    yield f"{document['set']} on {document['base']}, {document['machine']['threads']} threads"
    for name, called in (("ours", "ours"), ("plain", "the plain Trainer")):
        rate, steps = (
            document["examples"] / median(document[what][name]) for what in ("seconds", "steps")
        )
        accuracy = fmean(document["accuracy"][name])
        yield (
            f"{called:18} {rate:7.1f} examples/s, in the steps alone {steps:7.1f}   "
            f"accuracy {100 * accuracy:.1f} +- {196 * document['error']:.1f}"
        )
    yield (
        f"{document['ratio']:.2f} times as fast{_between(document['interval'])}; "
        f"must {document['must']}, aim {AIM}"
    )
    steps = document["steps"]
    ratio = ratio_of_medians(steps["plain"], steps["ours"])
    yield (
        f"in the steps alone {ratio:.2f} times{_between(bootstrap(steps['plain'], steps['ours']))}"
    )
    gain, low, high = (100 * share for share in document["gain"])
    yield f"accuracy {gain:+.1f} points beside the plain Trainer ({low:+.1f} to {high:+.1f})"


def _between(interval: Sequence[float]) -> str:
    """The interval in words; of a single training each, which says nothing of chance, none."""
    low, high = interval
    return f" ({low:.2f} to {high:.2f})" if low < high else ""


def falls_short(document: Mapping[str, Any]) -> bool:
    """Whether ours is not fast enough, or less accurate than chance would have an equal."""
    return bool(document["ratio"] < document["must"] or document["gain"][2] < 0)


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
    """Trains the two in turns; exit code 1 where ours is slow or less accurate."""
    undisturbed()
    from adapter_platform.cli.adapters.train import recipe_settings
    from adapter_platform.plugins import open_platform

    from .learners import Task
    from .score import are_right, scored
    from .sets import sample

    settings = recipe_settings(None, recipe or [], None)
    contestants: dict[str, Run] = {"ours": ours, "plain": plain}
    seconds: Figures = {name: [] for name in contestants}
    steps: Figures = {name: [] for name in contestants}
    accuracies: Figures = {name: [] for name in contestants}
    right: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in contestants}
    error, examples = 0.0, 0
    scratch = Path(tempfile.mkdtemp(prefix="speed-"))
    try:
        platform = open_platform(store=scratch / "store", base=base, threads=threads)
        for seed in range(rounds):
            drawn = sample(data, set_name, None, seed)
            files = drawn.write(scratch / "data")
            for name in list(contestants)[:: 1 if seed % 2 == 0 else -1]:
                timed = contestants[name](Task(drawn, files, platform, settings))
                prepared, given = timed.learnt.prepared, timed.learnt.given
                wanted = prepared.wanted["test"]
                figure = scored("accuracy", wanted, given)
                examples = len(prepared.rows["train"]) * prepared.epochs
                error = figure["error"]
                seconds[name].append(timed.seconds)
                steps[name].append(timed.steps)
                accuracies[name].append(figure["value"])
                right[name].append(are_right(wanted, given))
                typer.echo(
                    f"seed {seed} {name}: {examples / timed.seconds:.1f} examples/s, "
                    f"accuracy {100 * figure['value']:.1f} +- {196 * error:.1f}"
                )
    finally:
        shutil.rmtree(scratch)
    ratio = median(seconds["plain"]) / median(seconds["ours"])
    low, high = bootstrap(seconds["plain"], seconds["ours"])
    gain = gained(right)
    document = {
        "set": set_name,
        "base": base,
        "recipe": settings,
        "examples": examples,
        "seconds": seconds,
        "steps": steps,
        "accuracy": accuracies,
        "gain": gain,
        "error": error,
        "ratio": ratio,
        "interval": [low, high],
        "must": must,
        "machine": facts(threads),
    }
    present(document, lines, json_file)
    if falls_short(document):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
