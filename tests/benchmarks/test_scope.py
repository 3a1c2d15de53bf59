"""What tells texts in scope from others: its figures counted by hand, and each measured once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from benchmarks.quality.document import Judged
from benchmarks.quality.scope import answered, auroc, coverage, drawn, summed_up
from benchmarks.quality.sets import CLINC, OUT

LABELS = tuple("abcdefg")
EACH = 16


@pytest.fixture
def clinc(tmp_path: Path) -> Path:
    """The ten domains, of seven intents each, and what belongs to none."""
    (tmp_path / "clinc150").mkdir()
    for name in (*CLINC, OUT):
        rows = [
            {"text": f"{name} {label} {i} {split}", "label": label, "split": split}
            for split in ("train", "val", "test")
            for label in (("oos",) if name == OUT else LABELS)
            for i in range(EACH)
        ]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return tmp_path


def test_auroc_counts_pairs_in_their_order_and_ties_for_half() -> None:
    assert auroc(np.array([3.0, 2.0]), np.array([1.0, 0.0])) == 1
    # 3 over both, 1 over 0 and level with 1: 3.5 of 4
    assert auroc(np.array([3.0, 1.0]), np.array([1.0, 0.0])) == 3.5 / 4


def test_coverage_goes_as_low_as_errors_stay_under_a_twentieth() -> None:
    # Of 40 texts in scope each is 1/80 of the whole, of 20 out of it each 1/40.
    inside, right = np.arange(40.0)[::-1] + 10, np.ones(40, bool)
    outside = np.array([9.0, 8.0, *[0.0] * 18])
    share, limit = coverage(inside, right, outside)  # 1/40 of 21/40 is 4.8 %, the next 9.1 %
    assert (share, limit) == (pytest.approx(0.525), 9)
    right[-1] = False  # 1/80 of 1/2 is 2.5 %, with a text out of scope 3/80 of 21/40 are 7.1 %
    share, limit = coverage(inside, right, outside)
    assert (share, limit) == (pytest.approx(0.5), 10)
    right[-1] = True
    # Texts of one score are answered together: at 9 there are now two, which are too many.
    share, limit = coverage(inside, right, np.array([9.0, 9.0, *[0.0] * 18]))
    assert (share, limit) == (pytest.approx(0.5), 10)
    assert coverage(np.array([1.0]), np.array([False]), np.array([0.0])) == (0, np.inf)


def test_a_threshold_from_elsewhere_is_counted_as_it_falls() -> None:
    inside, right = np.array([3.0, 2.0, 1.0, 0.0]), np.array([True, False, True, True])
    outside = np.array([2.0, 0.0])
    # Answered: 2 of 4 in scope, 1 of 2 out of it; wrong: 1 of 4 and 1 of 2.
    assert answered(inside, right, outside, 2.0) == (0.5, 0.75)
    assert answered(inside, right, outside, np.inf) == (0, 0)


def test_domains_that_share_texts_do_not_count_them_as_new_evidence() -> None:
    assert all(np.array_equal(a, b) for a, b in zip(drawn(OUT, 9), drawn(OUT, 9), strict=True))
    assert not np.array_equal(drawn(OUT, 9), drawn("clinc150/banking", 9))
    noise = np.random.default_rng(0).normal(size=(2, 4000))

    def width(draws: list[np.ndarray[Any, Any]]) -> float:
        lines = [
            {"domain": str(k), "seed": 0, "what": "x", "score": "y", "value": 0.0, "draws": of}
            for k, of in enumerate(draws)
        ]
        mean, *_ = summed_up(lines)
        assert mean["domain"] == "mean"
        return float(np.diff(mean["interval"])[0])

    assert width([noise[0], noise[0]]) == pytest.approx(3.92, rel=0.1)
    assert width([noise[0], noise[1]]) == pytest.approx(3.92 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("split", ["val", "test"])
def test_scores_of_the_split_that_was_asked_for_have_intervals(
    split: Judged, clinc: Path, tiny_base: Path, tmp_path: Path, private_home: Path
) -> None:
    from benchmarks.quality import scope

    target = tmp_path / "scope.jsonl"
    domains = ["banking", "work"] if split == "test" else ["banking"]
    app = typer.Typer()
    app.command()(scope.main)
    options: list[object] = [clinc, "--base", tiny_base, "--recipe", "epochs=1", "--threads", 1]
    options += ["--split", split, "--json", target]
    for domain in domains:
        options += ["--domain", domain]
    if split == "val":
        options += ["--kind", "far"]
    done = CliRunner().invoke(app, [str(option) for option in options])
    assert done.exit_code == 0, done.output
    found = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert {line["split"] for line in found} == {split}
    assert {line["domain"] for line in found} == {"mean", *domains}
    for line in found:
        assert 0 <= line["value"] <= 1
        assert ("interval" in line) == (line["what"] != "ECE")
        low, high = line.get("interval", (0, 1))
        assert 0 <= low <= high <= 1
    kinds = {line["what"] for line in found}
    threshold = {"coverage, threshold by validation", "errors, threshold by validation"}
    expected = {f"out of scope: {kind}" for kind in ("AUROC", "coverage")} | {"accuracy", "ECE"}
    if split == "test":
        expected |= {f"out of scope: {kind}" for kind in threshold}
        expected |= {f"near: {kind}" for kind in ("AUROC", "coverage", *threshold)}
    assert kinds == expected
    ways = {line["score"] for line in found if line["what"] == "ECE"}
    assert ways == {"none", "temperature", "vector scaling", "as published"}


def test_routing_is_judged_on_the_split_that_was_asked_for(
    clinc: Path, tiny_base: Path, tmp_path: Path, private_home: Path
) -> None:
    from benchmarks.quality import routing

    path = clinc / f"{OUT}.jsonl"
    rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(rows[: 2 * EACH + 8]) + "\n", encoding="utf-8")
    found = {}
    for split, outside in (("val", EACH), ("test", 8)):
        target = tmp_path / f"{split}.json"
        routing.main(clinc, base=str(tiny_base), split=split, json_file=target)
        found[split] = json.loads(target.read_text(encoding="utf-8"))
        assert found[split]["split"] == split
        assert found[split]["outside"] == outside
        assert found[split]["inside"] == 10 * len(LABELS) * EACH
    right, low, high = found["test"]["figures"]["nearest adapter is the right one"]
    assert 0.1 < low <= right <= high <= 1  # by chance it were a tenth
