"""``python -m benchmarks`` as a whole, on the tiny base."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import benchmarks.rows
from benchmarks import report
from benchmarks.__main__ import main
from benchmarks.bench import Bench
from benchmarks.measured import Measured
from benchmarks.row import BOTH, NotHere, Row

Command = Callable[..., Result]


@pytest.fixture
def command(tiny_base: Path) -> Command:
    app = typer.Typer()
    app.command()(main)

    def run(*arguments: object, base: bool = True) -> Result:
        usual = ["--quick", "--rounds", "2", "--threads", "1"]
        usual += ["--base", str(tiny_base)] if base else []
        return CliRunner().invoke(app, [*usual, *(str(a) for a in arguments)])

    return run


def row(name: str, ours: float, judge: Any = "at most", must: float | None = 1.0) -> Row:
    def measure(bench: Bench) -> Measured:
        return Measured([ours], [1.0])

    return Row(name, f"the row {name}", "nobody", measure, judge, must)


def absent(name: str) -> Row:
    def measure(bench: Bench) -> Measured:
        raise NotHere("pip install nobody")

    return Row(name, f"the row {name}", "nobody", measure, "at most", 1.0)


def given(monkeypatch: pytest.MonkeyPatch, *rows: Row) -> None:
    monkeypatch.setattr(benchmarks.rows, "ROWS", rows)


def test_a_missed_must_is_said_and_ends_with_1(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, row("good", 0.5), row("bad", 2.0))
    done = command()
    assert done.exit_code == 1
    assert "MISSED" in done.stdout
    assert command("--only", "good").exit_code == 0


def test_a_speed_up_below_its_must_ends_with_1_too(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, row("slow", 0.5, "at least", 3.0))
    assert command().exit_code == 1


def test_a_peer_that_is_not_here_is_reported_and_misses_nothing(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given(monkeypatch, absent("gone"), row("good", 0.5))
    done = command("--json", tmp_path / "found.json", "--plot", tmp_path / "found.png")
    assert done.exit_code == 0
    assert "pip install nobody" in done.stdout
    first, second = json.loads((tmp_path / "found.json").read_text())
    assert (first["ratio"], first["meets"]) == (None, None)
    assert (second["ratio"], second["meets"]) == (0.5, True)


def test_rows_are_chosen_by_pattern_and_unknown_ones_named(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, row("floor-1", 0.5), row("floor-8", 0.5), row("error", 0.5))
    chosen = command("--only", "floor-*").stdout
    assert "floor-8" in chosen
    assert "the row error" not in chosen
    unknown = command("--only", "ceiling")
    assert unknown.exit_code == 2
    assert "ceiling" in unknown.stderr


def test_a_quick_run_leaves_out_what_no_must_judges_unless_it_is_asked_for(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, row("judged", 0.5), row("shown", 0.5, must=None))
    assert "the row shown" not in command().stdout
    asked = command("--only", "shown")
    assert "the row shown" in asked.stdout
    assert "  0.500, 0.0 s" in asked.stderr.splitlines()


def test_real_rows_run_and_are_written_down(command: Command, tmp_path: Path) -> None:
    names = ["floor-8", "padded-128", "error", "lru-4x", "hooks-5"]
    only = [part for name in names for part in ("--only", name)]
    done = command(*only, "--json", tmp_path / "r.json", "--plot", tmp_path / "r.png")
    assert done.exit_code in (0, 1), done.output  # a tiny base is not what the musts are for
    objects = json.loads((tmp_path / "r.json").read_text())
    assert sorted(found["name"].partition("/")[0] for found in objects) == sorted(names)
    for found in objects:
        assert {"name", "peer", "ratio", "must", "meets", "aim", "machine"} <= set(found)
        assert found["ratio"] > 0
        assert found["machine"]["threads"] == 1
        assert found["machine"]["versions"]["torch"]
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


def test_the_rows_that_are_asked_for_are_declared_once_and_with_reachable_aims() -> None:
    rows = benchmarks.rows.ROWS
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    for declared in rows:
        assert {*declared.bases, declared.quick_base} <= set(BOTH)
        if declared.must is not None and declared.aim is not None:
            closer = declared.aim < declared.must
            assert closer is (declared.judge == "at most"), declared.name


def test_a_kept_run_is_shown_again(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given(monkeypatch, row("bad", 2.0))
    shown = command("--json", tmp_path / "kept.json").stdout
    app = typer.Typer()
    app.command()(report.main)
    again = CliRunner().invoke(app, [str(tmp_path / "kept.json")])
    assert again.exit_code == 0
    table = again.stdout.strip()
    assert "the row bad" in table
    assert table in shown


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "does not exist"),
        ("", "is not JSON"),
        ('[{"name": ', "is not JSON"),
        ("\udcff", "is not JSON"),
        ("{}", "is not what"),
        ("[1]", "is not what"),
        ('[{"name": "bad"}]', "is not what"),
        ({"ratio": "0.9"}, "is not what"),
        ({"judge": "about"}, "is not what"),
        ({"machine": {}}, "is not what"),
    ],
)
def test_what_no_run_has_kept_is_refused_in_a_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: Any, says: str
) -> None:
    given(monkeypatch, row("good", 0.5))
    file = tmp_path / "kept.json"
    if isinstance(content, dict):
        command("--json", file)
        (kept,) = json.loads(file.read_text())
        file.write_text(json.dumps([kept | content]))
    elif content is not None:
        file.write_text(content, encoding="utf-8", errors="surrogateescape")
    app = typer.Typer()
    app.command()(report.main)
    done = CliRunner().invoke(app, [str(file)], env={"COLUMNS": "500"})
    assert done.exit_code == 2, done.output
    assert says in done.stderr
    assert isinstance(done.exception, SystemExit)


def test_figures_keep_the_places_that_matter() -> None:
    assert [report.figure(x) for x in (0.9874, 1.15, 12.34, 213.6)] == [
        "0.987",
        "1.15",
        "12.3",
        "214",
    ]


def test_a_row_that_fails_is_said_and_the_others_are_not_lost(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def measure(bench: Bench) -> Measured:
        raise RuntimeError("no such layer")

    broken = Row("broken", "the row broken", "nobody", measure, "at most", 1.0)
    given(monkeypatch, broken, row("good", 0.5))
    done = command("--json", tmp_path / "found.json")
    assert done.exit_code == 1
    assert "FAILED" in done.stdout
    assert "RuntimeError: no such layer" in " ".join(done.stdout.split())
    first, second = json.loads((tmp_path / "found.json").read_text())
    assert (first["ratio"], first["meets"]) == (None, False)
    assert (second["ratio"], second["meets"]) == (0.5, True)


def test_a_must_that_is_met_short_of_the_aim_is_said_to_be(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = replace(row("near", 0.9), aim=0.8)
    there = replace(row("there", 0.9), aim=0.95)
    given(monkeypatch, near, there)
    lines = command().stdout.splitlines()
    assert next(line for line in lines if "near" in line).endswith("met, not the aim")
    assert next(line for line in lines if "there" in line).rstrip().endswith("met")


def test_a_kept_run_is_shown_whole_or_in_part(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given(monkeypatch, row("fast-1", 0.5), row("fast-2", 0.5), row("small", 0.5))
    file = tmp_path / "found.json"
    command("--json", file)
    app = typer.Typer()
    app.command()(report.main)

    def shown(*options: str) -> set[str]:
        printed = CliRunner().invoke(app, [str(file), *options]).stdout
        return {name for name in ("fast-1", "fast-2", "small") if f"the row {name}" in printed}

    assert shown() == {"fast-1", "fast-2", "small"}
    assert shown("--only", "fast-*") == {"fast-1", "fast-2"}
    assert shown("--base", "another") == set()
    nothing = CliRunner().invoke(app, [str(file), "--only", "slow"])
    assert nothing.exit_code == 2
    assert "no row of the file is so called" in nothing.stderr
