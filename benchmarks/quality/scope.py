"""``python -m benchmarks.quality.scope DATA``: how well adapters tell what is out of their scope.

Each domain of CLINC150 becomes an adapter; its test texts are in scope, the set's own out-of-scope
texts are not. A second adapter learns ten of the fifteen intents, and the others' texts are near
out of scope. Every score is one of `scope_scores`; the one that the platform publishes is
``scope``. Coverage is told twice: at the best threshold on the judged texts themselves, and at the
one that is best on validation, with the errors that it makes on the judged texts. Intervals (95 %)
are of one bootstrap for all figures: a resample draws from each domain's texts and, once for all
domains, from the out-of-scope texts.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zlib import crc32

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ..machine import undisturbed
from .document import Judged
from .sets import CLINC, OUT, Row, Sample, adapters_of, read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adapter_platform.core.platform import Platform
    from adapter_platform.core.store.source import AdapterSource
    from adapter_platform.core.training.verdicts import Verdicts

    from .scope_scores import Known, Score

    Floats = NDArray[np.floating[Any]]
    Picks = NDArray[np.intp]
    Figure = Callable[[Picks, Picks], float]


class Kind(StrEnum):
    """Where texts out of scope come from: another subject, or a class that was not learnt."""

    FAR = "far"
    NEAR = "near"


HELD_OUT = 5  # intents of a domain that its second adapter does not learn
ERROR = 0.05  # among answered
KINDS: Mapping[Kind, str] = {Kind.FAR: "out of scope", Kind.NEAR: "near"}
RESAMPLES = 500
MEAN = "mean"
BIASED = ("ECE",)  # larger of resampled texts than of the texts, so that no percentile bounds it


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
    kind: Annotated[
        list[Kind] | None,
        typer.Option(help="What texts out of scope are; again for both. Else both."),
    ] = None,
    split: Annotated[
        Judged, typer.Option(help="What is judged; on val, where fits were made, to choose by.")
    ] = "test",
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
            bench = Bench(platform, Path(scratch), data, settings, split)
            ways = {Kind.FAR: bench.far, Kind.NEAR: bench.near}
            for name in names:
                for drawn in seed or [0]:
                    typer.echo(f"{name}, seed {drawn}", err=True)
                    for which in kind or KINDS:
                        measured += ways[which](name, drawn)
    measured = summed_up(measured)
    for line in measured:
        line |= {"base": base, "split": split}
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
        split: which is judged.
    """

    platform: Platform
    scratch: Path
    data: Path
    settings: Mapping[str, Any]
    split: Judged

    def far(self, name: str, seed: int) -> Iterator[dict[str, Any]]:
        """The domain's texts beside the out-of-scope ones."""
        out = read(self.data, OUT)
        inside = Sample(name, None, seed, read(self.data, name))
        own = drawn(name, len(inside.splits[self.split]))
        return self._measured(
            Kind.FAR, inside, out, zip(own, drawn(OUT, len(out[self.split])), strict=True)
        )

    def near(self, name: str, seed: int) -> Iterator[dict[str, Any]]:
        """The texts of ten intents beside those of the five that were never seen."""
        splits = read(self.data, name)
        labels = sorted({row["label"] for row in splits["train"]})
        held = set(np.random.default_rng(seed).permutation(labels)[:HELD_OUT].tolist())
        inside, out = (
            {
                split: [r for r in rows if (r["label"] in held) == is_out]
                for split, rows in splits.items()
            }
            for is_out in (False, True)
        )
        is_out = np.array([row["label"] in held for row in splits[self.split]])
        place = np.where(is_out, np.cumsum(is_out), np.cumsum(~is_out)) - 1
        draws = [
            (place[picks[~is_out[picks]]], place[picks[is_out[picks]]])
            for picks in drawn(name, len(is_out))
        ]
        return self._measured(Kind.NEAR, Sample(name, None, seed, inside), out, draws)

    def _measured(
        self,
        what: Kind,
        inside: Sample,
        out: Mapping[str, Sequence[Row]],
        draws: Iterable[tuple[Picks, Picks]],
    ) -> Iterator[dict[str, Any]]:
        """A line a figure, with what it is in each resample as ``draws``.

        Args:
            out: texts out of scope by split.
            draws: places among the judged texts in scope, and among those out of it.
        """
        from adapter_platform.core.examples import Example
        from adapter_platform.core.training.verdicts import Verdicts

        from .scope_scores import SCORES, Known

        source = self._adapter(what, inside)
        scheme = source.manifest.scheme
        states = {part: self._states(source, of) for part, of in inside.splits.items()}
        beyond = {part: self._states(source, out[part]) for part in ("val", self.split)}
        wanted = {
            part: np.array(scheme.indices([row["label"] for row in of]))
            for part, of in inside.splits.items()
        }
        head = load_head(source)
        temperature = source.manifest.calibration.temperature
        known = Known(scheme, states["train"], wanted["train"], states["val"], head, temperature)
        right = {part: known.logits(states[part]).argmax(axis=1) == wanted[part] for part in beyond}
        about = {"domain": inside.name.split("/")[1], "seed": inside.seed}
        whole = tuple(np.arange(len(of[self.split])) for of in (states, beyond))
        draws = list(draws)

        def line(kind: str, score: str, figure: Figure) -> dict[str, Any]:
            samples = np.array([figure(*picks) for picks in draws])
            place = {**about, "what": kind, "score": score}
            return {**place, "value": figure(*whole), "draws": samples}

        scores = {score: make(known) for score, make in SCORES.items()}
        scores["scope"] = published(source, known)
        for score, of in scores.items():
            by_split = {part: (of(states[part]), right[part], of(beyond[part])) for part in beyond}
            limit = None if self.split == "val" else coverage(*by_split["val"])[1]
            for kind, figure in scope_figures(*by_split[self.split], limit).items():
                yield line(f"{KINDS[what]}: {kind}", score, figure)
        if what is Kind.NEAR:
            return
        ok = right[self.split]
        yield line("accuracy", "the adapter", lambda i, _: float(ok[i].mean()))
        rows = inside.splits[self.split]
        plain, val = head.logits(states[self.split]), head.logits(states["val"])
        ways = dict(calibrations(scheme, val, wanted["val"], plain))
        texts = [row["text"] for row in rows]
        ways["as published"] = self.platform.logits(texts, source.manifest.reference) / temperature
        examples = [Example(row["text"], (row["label"],)) for row in rows]
        for how, logits in ways.items():
            verdicts = Verdicts.of(scheme.probabilities(logits), examples, scheme)
            yield line("ECE", how, partial(calibration_error, verdicts))

    def _adapter(self, what: Kind, inside: Sample) -> AdapterSource:
        from .learners import trained

        name = f"{inside.adapter}-near" if what is Kind.NEAR else inside.adapter
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


def drawn(name: str, count: int) -> list[Picks]:
    """The resamples of a set's texts, which are the same wherever the set is used."""
    dice = np.random.default_rng(crc32(name.encode()))
    return [dice.integers(0, count, count) for _ in range(RESAMPLES)]


def scope_figures(
    inside: Floats, right: NDArray[np.bool_], outside: Floats, limit: float | None
) -> dict[str, Figure]:
    """Figures of picked texts by scores in scope, which answers are right, and scores out of it.

    Args:
        limit: the threshold that was chosen on other texts, if one was.
    """
    found: dict[str, Figure] = {
        "AUROC": lambda i, o: auroc(inside[i], outside[o]),
        "coverage": lambda i, o: coverage(inside[i], right[i], outside[o])[0],
    }
    if limit is not None:
        found["coverage, threshold by validation"] = lambda i, o: answered(
            inside[i], right[i], outside[o], limit
        )[0]
        found["errors, threshold by validation"] = lambda i, o: answered(
            inside[i], right[i], outside[o], limit
        )[1]
    return found


def auroc(inside: Floats, outside: Floats) -> float:
    """The area under the ROC curve: how often a text in scope scores above one out of it."""
    outside = np.sort(outside)
    below = np.searchsorted(outside, inside, "left")
    upto = np.searchsorted(outside, inside, "right")
    return float((below + upto).mean() / 2 / len(outside))


def coverage(inside: Floats, right: NDArray[np.bool_], outside: Floats) -> tuple[float, float]:
    """The largest share of all texts that can be answered with at most 5 % of the answers wrong,
    where out-of-scope texts, whose answers are all wrong, weigh as much as those in scope; and the
    least score that is answered then, infinite where none can be.
    """
    scores = np.concatenate([inside, outside])
    weights = np.repeat([0.5 / len(inside), 0.5 / len(outside)], [len(inside), len(outside)])
    wrong = np.concatenate([~right, np.ones(len(outside), bool)])
    order = np.argsort(-scores, kind="stable")
    share = np.cumsum(weights[order])
    errors = np.cumsum((weights * wrong)[order]) / share
    ends = np.append(np.diff(scores[order]) != 0, True)  # texts of one score go together
    met = np.flatnonzero(ends & (errors <= ERROR))
    if not len(met):
        return 0.0, np.inf
    return float(share[met[-1]]), float(scores[order][met[-1]])


def answered(
    inside: Floats, right: NDArray[np.bool_], outside: Floats, limit: float
) -> tuple[float, float]:
    """The share of all texts that reach the limit, weighed as `coverage` does, and the share of
    wrong answers among them, 0 where there are none.
    """
    wrong = float((outside >= limit).mean()) + float(((inside >= limit) & ~right).mean())
    given = float((outside >= limit).mean()) + float((inside >= limit).mean())
    return given / 2, wrong / given if given else 0.0


def calibration_error(verdicts: Verdicts, picks: Picks, _: Picks) -> float:
    """ECE of the picked texts, as `adapters eval` has it."""
    from adapter_platform.core.training.reliability import reliability

    of = {
        name: getattr(verdicts, name)[picks]
        for name in ("probabilities", "wanted", "given", "confidence", "right")
    }
    return reliability(replace(verdicts, **of))["ece"]


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


def summed_up(measured: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The lines after each figure's mean over domains, with intervals in place of draws.

    `BIASED` figures have none.
    """
    by_figure: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for line in measured:
        by_figure[line["what"], line["score"]].append(line)
    found = []
    for (what, score), of_figure in by_figure.items():
        mean = {
            "domain": MEAN,
            "seed": None,
            "what": what,
            "score": score,
            "value": np.mean([line["value"] for line in of_figure]),
            "draws": np.mean([line["draws"] for line in of_figure], axis=0),
        }
        for line in (mean, *of_figure):
            plain = {key: value for key, value in line.items() if key != "draws"}
            if what not in BIASED:
                plain["interval"] = np.percentile(line["draws"], [2.5, 97.5]).tolist()
            found.append({**plain, "value": float(line["value"])})
    return found


def tables(lines: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """One for each kind of figure."""
    for what in dict.fromkeys(line["what"] for line in lines):
        yield table([line for line in lines if line["what"] == what], what)


def table(lines: Sequence[Mapping[str, Any]], what: str) -> Table:
    """Each score's mean over domains with its interval, and its lowest and highest domain."""
    shown = Table(what, MEAN, "95 % interval", "lowest", "highest", box=None, pad_edge=False)
    by_score: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines:
        by_score[line["score"]].append(line)
    for score, of_score in by_score.items():
        (mean,) = (line for line in of_score if line["domain"] == MEAN)
        by_domain: dict[str, list[float]] = defaultdict(list)
        for line in of_score:
            if line["domain"] != MEAN:
                by_domain[line["domain"]].append(line["value"])
        own = sorted((sum(found) / len(found), name) for name, found in by_domain.items())
        shown.add_row(
            score,
            f"{100 * mean['value']:.2f}",
            " to ".join(f"{100 * end:.2f}" for end in mean.get("interval", ())),
            *(f"{100 * value:.2f} {name}" for value, name in (own[0], own[-1])),
        )
    return shown


if __name__ == "__main__":
    typer.run(main)
