"""``python -m benchmarks.quality.scope DATA``: how well adapters tell what is out of their scope.

Each domain of CLINC150 becomes an adapter; its test texts are in scope, the set's own out-of-scope
texts are not. A second adapter learns ten of the fifteen intents, and the others' texts are near
out of scope. Every score is one of `scope_scores`; the one that the platform publishes is
``scope``.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ..machine import undisturbed
from .sets import CLINC, OUT, Row, Sample, adapters_of, read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adapter_platform.core.labels import LabelScheme
    from adapter_platform.core.platform import Platform
    from adapter_platform.core.store.source import AdapterSource

    from .scope_scores import Known, Score

    Floats = NDArray[np.floating[Any]]

HELD_OUT = 5  # intents of a domain that its second adapter does not learn
ERROR = 0.05  # among answered
KINDS = {"far": "out of scope", "near": "near"}
RESAMPLES = 500


def main(
    data: Annotated[Path, typer.Argument(help="The folder of data sets, with clinc150 in it.")],
    domain: Annotated[
        list[str] | None, typer.Option(help="Domains; again for more. Else all.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Seeds; again for more. Else 0.")] = None,
    base: Annotated[str, typer.Option(help="The base.")] = "multilingual",
    store: Annotated[
        Path | None,
        typer.Option(help="Adapters of the recipe, kept and reused."),
    ] = None,
    recipe: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A setting of the recipe.")
    ] = None,
    near: Annotated[bool, typer.Option(help="Train the second adapter too.")] = True,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write a line a figure.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="torch's threads.")] = os.cpu_count() or 1,
) -> None:
    """Measure the scores that say whether a text is in an adapter's scope."""
    undisturbed()
    from adapter_platform.cli.adapters.train import recipe_settings
    from adapter_platform.plugins import open_platform

    names = [f"clinc150/{name}" for name in domain] if domain else CLINC
    with tempfile.TemporaryDirectory(prefix="scope-") as scratch:
        kept = adapters_of(base, store or Path(scratch, "store"))
        measured: list[dict[str, Any]] = []
        with open_platform(store=kept, base=base, threads=threads) as platform:
            settings = recipe_settings(None, recipe or [], None)
            bench = Bench(platform, Path(scratch), data, settings)
            for name in names:
                for drawn in seed or [0]:
                    typer.echo(f"{name}, seed {drawn}", err=True)
                    measured += bench.far(name, drawn)
                    if near:
                        measured += bench.near(name, drawn)
    for line in measured:
        line["base"] = base
    if json_file is not None:
        lines = "".join(json.dumps(line) + "\n" for line in measured)
        json_file.write_text(lines, encoding="utf-8")
    for drawn_table in tables(measured):
        Console().print(drawn_table)


@dataclass(frozen=True, slots=True)
class Bench:
    """Trains adapters, or finds them trained, and measures them.

    Args:
        scratch: where training data is written.
        data: the folder of data sets.
        settings: of the recipe.
    """

    platform: Platform
    scratch: Path
    data: Path
    settings: Mapping[str, Any]

    def far(self, name: str, seed: int) -> Iterator[dict[str, Any]]:
        """The domain's test texts beside the out-of-scope ones."""
        out = read(self.data, OUT)["test"]
        return self._measured("far", Sample(name, None, seed, read(self.data, name)), out)

    def near(self, name: str, seed: int) -> Iterator[dict[str, Any]]:
        """The test texts of ten intents beside those of the five that were never seen."""
        splits = read(self.data, name)
        labels = sorted({row["label"] for row in splits["train"]})
        held = set(np.random.default_rng(seed).permutation(labels)[:HELD_OUT].tolist())
        out = [row for row in splits["test"] if row["label"] in held]
        inside = {
            split: [row for row in rows if row["label"] not in held]
            for split, rows in splits.items()
        }
        return self._measured("near", Sample(name, None, seed, inside), out)

    def _measured(self, what: str, inside: Sample, out: Sequence[Row]) -> Iterator[dict[str, Any]]:
        from .scope_scores import SCORES, Known

        source = self._adapter(what, inside)
        scheme = source.manifest.scheme
        states = {part: self._states(source, of) for part, of in inside.splits.items()}
        beyond = self._states(source, out)
        wanted = {
            part: np.array(scheme.indices([row["label"] for row in of]))
            for part, of in inside.splits.items()
        }
        head = load_head(source)
        temperature = source.manifest.calibration.temperature
        known = Known(scheme, states["train"], wanted["train"], states["val"], head, temperature)
        logits = known.logits(states["test"])
        right = logits.argmax(axis=1) == wanted["test"]
        about = {"domain": inside.name.split("/")[1], "seed": inside.seed}
        scores = {score: make(known) for score, make in SCORES.items()}
        scores["scope"] = published(source, known)
        for score, of in scores.items():
            yield {**about, "what": f"{KINDS[what]}: AUROC", "score": score} | auroc(
                of(states["test"]), of(beyond)
            )
        for score, of in scores.items():
            covered = coverage(of(states["test"]), right, of(beyond))
            yield {**about, "what": f"{KINDS[what]}: coverage", "score": score, "value": covered}
        if what == "near":
            return
        yield {**about, "what": "accuracy", "score": "the adapter", "value": float(right.mean())}
        plain = head.logits(states["test"])
        val = head.logits(states["val"])
        for how, rows in calibrations(scheme, val, wanted["val"], plain).items():
            error = calibration_error(scheme, rows, inside.splits["test"])
            yield {**about, "what": "ECE", "score": how, "value": error}

    def _adapter(self, what: str, inside: Sample) -> AdapterSource:
        from .learners import trained

        name = f"{inside.adapter}-near" if what == "near" else inside.adapter
        files = inside.write(self.scratch / name)
        trained(self.platform, name, files, {"seed": inside.seed, **self.settings})
        return self.platform.resolve(name)

    def _states(self, source: AdapterSource, rows: Sequence[Row]) -> Floats:
        """``(texts, hidden)``."""
        return self.platform.pooled([row["text"] for row in rows], source.manifest.reference)


def load_head(source: AdapterSource) -> Any:
    from adapter_platform.core.heads import Head

    return Head.load(source.path)


def published(source: AdapterSource, known: Known) -> Score:
    """What predictions carry as `scope`."""
    from adapter_platform.core.scope import read_scope

    scope = read_scope(source)
    return lambda x: scope.shares(x, known.energies(x))


def auroc(inside: Floats, outside: Floats) -> dict[str, float]:
    """The area under the ROC curve with the bootstrap's standard error over texts."""
    draw = np.random.default_rng(0)

    def area(a: Floats, b: Floats) -> float:
        b = np.sort(b)
        below, upto = np.searchsorted(b, a, "left"), np.searchsorted(b, a, "right")
        return float((below + upto).mean() / 2 / len(b))

    areas = [
        area(draw.choice(inside, len(inside)), draw.choice(outside, len(outside)))
        for _ in range(RESAMPLES)
    ]
    return {"value": area(inside, outside), "error": float(np.std(areas))}


def coverage(inside: Floats, right: NDArray[np.bool_], outside: Floats) -> float:
    """The largest share of all texts that can be answered with at most 5 % of the answers wrong,
    where out-of-scope texts, whose answers are all wrong, weigh as much as those in scope.
    """
    scores = np.concatenate([inside, outside])
    weights = np.repeat([0.5 / len(inside), 0.5 / len(outside)], [len(inside), len(outside)])
    wrong = np.concatenate([~right, np.ones(len(outside), bool)])
    order = np.argsort(-scores, kind="stable")
    answered = np.cumsum(weights[order])
    errors = np.cumsum((weights * wrong)[order]) / answered
    ends = np.append(np.diff(scores[order]) != 0, True)  # texts of one score go together
    met = ends & (errors <= ERROR)
    return float(answered[met].max()) if met.any() else 0.0


def calibration_error(scheme: LabelScheme, logits: Floats, rows: Sequence[Row]) -> float:
    """ECE, as `adapters eval` has it."""
    from adapter_platform.core.examples import Example
    from adapter_platform.core.training.reliability import reliability
    from adapter_platform.core.training.verdicts import Verdicts

    examples = [Example(row["text"], (row["label"],)) for row in rows]
    return reliability(Verdicts.of(scheme.probabilities(logits), examples, scheme))["ece"]


def calibrations(
    scheme: Any, val: Floats, wanted: NDArray[np.int64], test: Floats
) -> Mapping[str, Floats]:
    """Test logits by ways to calibrate them on validation."""
    from adapter_platform.core.training.linear import fit_temperature

    temperature = fit_temperature(scheme, val, wanted)
    scale, shift = vector_scaling(val / temperature, wanted)
    return {
        "none": test,
        "temperature": test / temperature,
        "vector scaling": test / temperature * scale + shift,
    }


def vector_scaling(
    logits: Floats, wanted: NDArray[np.int64], strength: float = 0.05
) -> tuple[Floats, Floats]:
    """A factor and a term for each class (Guo et al. 2017, section 4.2), drawn to 1 and 0."""
    from scipy.optimize import minimize

    classes = logits.shape[1]
    hot = np.eye(classes)[wanted]

    def loss(x: Floats) -> tuple[float, Floats]:
        scale, shift = x[:classes], x[classes:]
        rows = logits * scale + shift
        rows = rows - rows.max(axis=1, keepdims=True)
        p = np.exp(rows)
        p /= p.sum(axis=1, keepdims=True)
        nll = -np.log(np.maximum(p[hot == 1], 1e-12)).mean()
        over = (p - hot) / len(wanted)
        gradient = np.concatenate([(over * logits).sum(axis=0), over.sum(axis=0)])
        pull = np.concatenate([scale - 1, shift])
        return float(nll + strength * (pull**2).sum()), gradient + 2 * strength * pull

    start = np.concatenate([np.ones(classes), np.zeros(classes)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return found[:classes], found[classes:]


def tables(lines: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """One for each kind of figure."""
    for what in dict.fromkeys(line["what"] for line in lines):
        yield table([line for line in lines if line["what"] == what], what)


def table(lines: Sequence[Mapping[str, Any]], what: str) -> Table:
    """The mean over domains for each score, with the standard error over texts, and each domain."""
    domains = list(dict.fromkeys(line["domain"] for line in lines))
    drawn = Table(what, "mean", *domains, box=None, pad_edge=False)
    by_score: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines:
        by_score[line["score"]].append(line)
    for score, of_score in by_score.items():
        mean = np.mean([line["value"] for line in of_score])
        errors = [line["error"] for line in of_score if "error" in line]
        spread = f" +- {196 * np.sqrt(np.square(errors).sum()) / len(errors):.1f}" if errors else ""
        own = [
            np.mean([line["value"] for line in of_score if line["domain"] == domain])
            for domain in domains
        ]
        drawn.add_row(score, f"{100 * mean:.2f}{spread}", *(f"{100 * x:.2f}" for x in own))
    return drawn


if __name__ == "__main__":
    typer.run(main)
