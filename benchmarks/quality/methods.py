"""``python -m benchmarks.quality.methods DATA``: each PEFT method on one data set.

For each method several learning rates are trained by the platform's own command, and validation
decides between them; the table has what the chosen one does on the test texts. Each training is
kept as soon as it is there and is not repeated, so a run may be stopped and gone on with.
``--show`` prints the table of a file that was kept, without data: a document shows it between
``<!-- $ python -m benchmarks.quality.methods --show FILE -->`` and the block below.
"""

from __future__ import annotations

import json
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..machine import undisturbed
from .sets import Sample, few, read

Object = dict[str, Any]

FILE = Path("benchmarks/results/methods.json")
SETTINGS = ("base", "domain", "shots")
RATES = (1e-3, 1e-2)
OWN_RATES: Mapping[str, Sequence[float]] = {
    "FOURIERFT": (1e-2, 1e-1),
    "VBLORA": (1e-3, 1e-2),
    "VERA": (1e-2, 1e-1),
    "WAVEFT": (1e-3, 1e-2),
    "OSF": (1e-4, 1e-3),
    "SHIRA": (1e-3, 1e-2),
    "PROMPT_TUNING": (1e-2, 1e-1),
    "P_TUNING": (1e-3, 1e-2),
    "PISSA": (1e-4, 1e-3),
    "OLORA": (1e-4, 1e-3),
}
"""Learning rates for methods whose tensors are of another size than LoRA's."""
OWN_SETTINGS: Mapping[str, Object] = {
    "C3A": {"block_size": 128},  # PEFT's 256 is no factor of 384, minilm's width
    "VBLORA": {"vector_length": 128},  # for the same reason
}
STARTS = {"PISSA": "pissa", "OLORA": "olora", "EVA": "eva"}
"""LoRA that begins otherwise, which has a name of its own in the field."""
FIGURES = {
    **{split: f"{split}.accuracy" for split in ("val", "test")},
    **{f"{s}_{who}": f"{s}.{who}.accuracy" for s in ("val", "test") for who in ("probe", "tfidf")},
}
LEFT_OUT = {"TRAINABLE_TOKENS": "it is told which tokens to train"}


def main(
    data: Annotated[
        Path | None, typer.Argument(help="The folder of data sets.", show_default=False)
    ] = None,
    json_file: Annotated[
        Path, typer.Option("--json", metavar="FILE", help="Trainings, added to.")
    ] = FILE,
    show: Annotated[
        Path | None, typer.Option("--show", metavar="FILE", help="Print a table that was kept.")
    ] = None,
    base: Annotated[str, typer.Option(metavar="ID", help="The base.")] = "minilm",
    domain: Annotated[str, typer.Option(help="Of clinc150.")] = "banking",
    shots: Annotated[int, typer.Option(min=2, help="Examples a class.")] = 10,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="METHOD", help="Methods; else all.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="torch's threads.")] = 1,
) -> None:
    """Train every PEFT method on few examples a class and say how good and how large it is."""
    if show is not None:
        typer.echo(tables(_read(show)))
        return
    if data is None:
        raise typer.BadParameter("the folder of data sets is missing")
    for method in only or ():
        if method not in methods():
            raise typer.BadParameter(f"--only {method}: there are {', '.join(methods())}")
    undisturbed()
    warnings.simplefilter("ignore")  # PEFT's, one by one in the tests
    from adapter_platform.plugins import open_platform

    settings = dict(zip(SETTINGS, (base, domain, shots), strict=True))
    found = _read(json_file)
    # What failed is tried again.
    found = [row for row in found if not (settings.items() <= row.items() and "error" in row)]
    done = {(r["method"], r["learning_rate"]) for r in found if settings.items() <= r.items()}
    with tempfile.TemporaryDirectory() as scratch:
        files = drawn(data, f"clinc150/{domain}", shots).write(Path(scratch))
        with open_platform(store=Path(scratch, "store"), base=base, threads=threads) as platform:
            for method in only or methods():
                for rate in OWN_RATES.get(method, RATES):
                    if (method, rate) in done:
                        continue
                    row = {**settings, "method": method, "learning_rate": rate}
                    row |= measured(platform, method, rate, files)
                    found.append(row)
                    _write(json_file, found)
                    typer.echo(json.dumps(row), err=True)
    typer.echo(tables(found))


def methods() -> list[str]:
    """PEFT's names of what can train an encoder and needs no setting of its own, DoRA, `STARTS`."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    from adapter_platform.core.engine.peft_groups import IMPOSSIBLE

    names = {kind.value for kind in PEFT_TYPE_TO_CONFIG_MAPPING} - IMPOSSIBLE.keys()
    return sorted({*names, "DORA", *STARTS} - LEFT_OUT.keys())


def drawn(data: Path, name: str, shots: int) -> Sample:
    """So many examples a class to train on, drawn by a fixed seed; validation and test whole."""
    splits = read(data, name)
    return Sample(name, shots, 0, {**splits, "train": few(splits["train"], shots, 0)})


def recipe_of(method: str) -> Object:
    """The recipe settings that make a method of the table."""
    if method in STARTS:
        return {"peft_method": "LORA", "peft": {"init_lora_weights": STARTS[method]}}
    return {"peft_method": method, "peft": OWN_SETTINGS.get(method, {})}


def measured(platform: Any, method: str, rate: float, files: Mapping[str, str]) -> Object:
    """One training: figures, the engine that runs it, its files' size, seconds; or why not."""
    from adapter_platform.core.errors import PlatformError

    began = time.perf_counter()
    settings = {**recipe_of(method), "learning_rate": rate}
    name = f"{method.lower()}-{rate:g}".replace(".", "-")
    try:
        outcome = platform.train(name, files, settings=settings, allow_worse=True)
        manifest = outcome.manifest
        answer = platform.classify("what is my balance", manifest.reference)
    except PlatformError as error:
        return {"error": error.message, "seconds": round(time.perf_counter() - began, 1)}
    metrics = manifest.metrics
    directory = platform.store.path(manifest.name, manifest.version)
    return {
        "engine": "packed" if answer.engine == "numpy" else answer.engine,
        "test_texts": outcome.report["splits"]["test"],
        "parameters": manifest.trainable_parameters,
        "bytes": (directory / "adapter_model.safetensors").stat().st_size,
        **{name: round(metrics[figure], 4) for name, figure in FIGURES.items()},
        "seconds": round(time.perf_counter() - began, 1),
    }


def tables(found: Sequence[Object]) -> str:
    """A table for each base, domain and number of examples."""
    by_settings: dict[tuple[Any, ...], list[Object]] = defaultdict(list)
    for row in found:
        by_settings[tuple(row[key] for key in SETTINGS)].append(row)
    return "\n\n".join(map(table, by_settings.values())) or table([])


def table(found: Sequence[Object]) -> str:
    """A line a method by name, at the learning rate that validation chose, with 95 % of chance.

    All are of one base, domain and number of examples. After them what cannot be
    trained, and why, and what has not been measured.
    """
    from adapter_platform.core.engine.peft_groups import IMPOSSIBLE

    best: dict[str, Object] = {}
    for row in found:
        if "error" not in row:
            held = best.get(row["method"])
            if held is None or row["val"] > held["val"]:
                best[row["method"]] = row
    others = {method: "not measured" for method in methods() if method not in best}
    others |= {method: f"not supported: it needs {what}" for method, what in IMPOSSIBLE.items()}
    others |= {method: f"left out: {why}" for method, why in LEFT_OUT.items()}
    others |= {r["method"]: r["error"] for r in found if r["method"] not in best}
    lines: list[tuple[str, ...]] = [
        ("method", "engine", "parameters", "file", "learning rate", "val", "test")
    ]
    for row in sorted(best.values(), key=lambda row: row["method"]):
        size = f"{row['bytes'] / 1e6:.2f} MB"
        scores = [f"{100 * row['val']:.1f} %", f"{100 * row['test']:.1f}{_spread(row)} %"]
        rate = f"{row['learning_rate']:g}"
        lines.append((row["method"], row["engine"], f"{row['parameters']:,}", size, rate, *scores))
    if best:
        one = next(iter(best.values()))
        for who, name in (("probe", "frozen base"), ("tfidf", "TF-IDF")):
            scores = [f"{100 * one[f'{split}_{who}']:.1f} %" for split in ("val", "test")]
            lines.append((name, "", "", "", "", *scores))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = (0, 1)
    shown = [
        "  ".join(
            cell.ljust(n) if i in left else cell.rjust(n)
            for i, (cell, n) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    shown += [f"{method}: {reason}" for method, reason in sorted(others.items())]
    if found:
        facts = "clinc150/{domain} on {base}, {shots} examples a class".format(**found[0])
        shown.append(f"\n{facts}; learning rates by validation, of two each")
    return "\n".join(shown)


def _spread(row: Object) -> str:
    """95 % of chance about the accuracy on test texts, where their number was kept."""
    if "test_texts" not in row:
        return ""
    error = (row["test"] * (1 - row["test"]) / row["test_texts"]) ** 0.5
    return f" +- {196 * error:.1f}"


def _read(path: Path) -> list[Object]:
    if not path.exists():
        return []
    rows: list[Object] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def _write(path: Path, rows: Sequence[Object]) -> None:
    """In the place of what was kept, at once: a run that is killed loses no training."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)


if __name__ == "__main__":
    typer.run(main)
