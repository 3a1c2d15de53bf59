"""``python -m benchmarks.quality.accuracy DATA``: how good answers are, beside the baselines.

Each result is a line of the JSON file as soon as it is there; those that stand in it are not
measured again, so a run may be stopped and gone on with. Ours are measured again where the recipe
is another; after a change of the code a file is begun anew.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..machine import undisturbed
from ..row import NotHere

OURS = "ours"
METHODS = ("tfidf", "probe", "probe-names", "full-5e-5", "full-2e-4", OURS)
WHOLE = ("goemotions/goemotions", "crosswoz/crosswoz_domain", "xsid/xsid", "it_tickets/it_tickets")
F1 = ("goemotions", "it_tickets")
KEY = ("set", "shots", "seed", "method", "base", "digest")
SHOTS = {"all": None, "10": 10, "3": 3}
SEEDS = {None: 3, 10: 5, 3: 5}


def main(
    data: Annotated[Path, typer.Argument(help="The folder of data sets.")],
    json_file: Annotated[
        Path, typer.Option("--json", metavar="FILE", help="Results, one a line; added to.")
    ],
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME", help="Sets; else all.")
    ] = None,
    shots: Annotated[
        list[str] | None, typer.Option(metavar="N", help="Examples a class, or all.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Seeds; else what a set asks for.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="Methods; else all but setfit, a package of its own.")
    ] = None,
    recipe: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A setting of our recipe.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="A preset of our recipe, which is then called so.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What our recipe is called; else ours, or as the preset.")
    ] = None,
    base: Annotated[str, typer.Option(help="The base.")] = "multilingual",
    store: Annotated[
        Path | None,
        typer.Option(help="Adapters of the recipe, kept and reused."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="torch's threads.")] = os.cpu_count() or 1,
) -> None:
    """Learns the data sets by several methods, and says how good each is on the test split."""
    undisturbed()
    from adapter_platform.cli.adapters.train import recipe_settings
    from adapter_platform.core.training.recipe import PRESETS
    from adapter_platform.plugins import open_platform

    from .learners import LEARNERS, Task, digest
    from .sets import adapters_of, sample

    settings = {**PRESETS[preset or "default"], **recipe_settings(None, recipe or [], None)}
    name = name or preset or OURS
    _check("--method", method, LEARNERS)
    _check("--shots", shots, SHOTS)
    done = _keys(json_file)
    wanted = [SHOTS[number] for number in shots or SHOTS]
    scratch = Path(tempfile.mkdtemp(prefix="quality-"))
    try:
        kept = adapters_of(base, store or scratch / "store")
        platform = open_platform(store=kept, base=base, threads=threads)
        for set_name, number, seed in _asked(sets, wanted, seeds):
            for kind in method or METHODS:
                called = name if kind == OURS else kind
                which = digest(settings) if kind == OURS else None
                values = (set_name, number, seed, called, base, which)
                place: dict[str, Any] = dict(zip(KEY, values, strict=True))
                if tuple(place.values()) in done:
                    continue
                drawn = sample(data, set_name, number, seed)
                files = drawn.write(scratch / "data")
                own = settings if kind == OURS else {}
                try:
                    learnt = LEARNERS[kind](Task(drawn, files, platform, own))
                except NotHere as absent:
                    raise typer.BadParameter(f"{kind} is not installed: {absent}") from absent
                seconds = None if learnt.seconds is None else round(learnt.seconds, 1)
                said = {**place, "recipe": own, "seconds": seconds}
                _append(json_file, [said | result for result in _results(learnt, set_name)])
    finally:
        shutil.rmtree(scratch)


def _check(option: str, given: Sequence[str] | None, known: Collection[str]) -> None:
    for value in given or ():
        if value not in known:
            raise typer.BadParameter(f"{option} {value}: there are {', '.join(known)}")


def _asked(
    sets: list[str] | None, shots: list[int | None], seeds: int | None
) -> Iterator[tuple[str, int | None, int]]:
    from .sets import CLINC, FEW_SHOT

    for number in shots:
        for name in sets or ([*CLINC, *WHOLE] if number is None else FEW_SHOT):
            usual = SEEDS[number] if name in FEW_SHOT else 1
            for seed in range(seeds or usual):
                yield name, number, seed


def _results(learnt: Any, name: str) -> Iterator[dict[str, Any]]:
    """The figure of the test split; of a set in several languages, of each."""
    from .score import scored

    metric = "macro_f1" if name.startswith(F1) else "accuracy"
    wanted, given = learnt.prepared.wanted["test"], learnt.given
    languages = [e.fields.get("lang", "") for e in learnt.prepared.examples("test")]
    for language in sorted(set(languages)):
        rows = [i for i, found in enumerate(languages) if found == language]
        part = {"part": language} if language else {}
        yield {**part, "metric": metric, **scored(metric, wanted[rows], given[rows])}


def _keys(path: Path) -> set[tuple[Any, ...]]:
    if not path.exists():
        return set()
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {tuple(row.get(k) for k in KEY) for row in lines}


def _append(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """All at once: a set in several languages is measured whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as out:
        out.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    for line in lines:
        time = "" if line["seconds"] is None else f", {line['seconds']} s"
        typer.echo(
            f"{line['set']} {line['shots'] or 'all'} seed {line['seed']} {line['method']}"
            f"{' ' + line['part'] if 'part' in line else ''}: "
            f"{100 * line['value']:.1f} +- {196 * line['error']:.1f}{time}"
        )


if __name__ == "__main__":
    typer.run(main)
