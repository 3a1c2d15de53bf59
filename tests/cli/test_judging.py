"""`platform adapters eval` and `compare` on a tiny base: tables, JSON, and the HTML report."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter_platform.core.store.manifest import StepRecord
from adapter_platform.core.store.store import Store

Run = Callable[..., Result]
Answer = Callable[..., str]
Json = Callable[..., Any]

LABELS = ("refund", "delivery", "invoice")


@pytest.fixture
def texts(tmp_path: Path, store_dir: Path) -> Path:
    """Labelled texts in two scripts, with a split column that leaves most of them to the test."""
    path = tmp_path / "texts.csv"
    rows = [
        f"{word} {chr(97 + i) * (1 + i % 5)}{i},{LABELS[i % 3]},{'val' if i % 4 == 0 else 'test'}"
        for i in range(24)
        for word in ("money back please", "退款到账")
    ]
    path.write_text("\n".join(["text,label,split", *rows]), encoding="utf-8")
    return path


def test_an_evaluation_says_how_far_its_figures_go(answer: Answer, texts: Path) -> None:
    said = answer("adapters", "eval", "desk", "--data", texts)
    (accuracy,) = [line for line in said.splitlines() if line.startswith("accuracy ")]
    assert " to " in accuracy
    for part in ("calibration error (ECE)", "a row for each expected one", "claimed", "answered"):
        assert part in said
    assert "text length" in said
    assert "Chinese or Japanese" in said


def test_the_json_of_an_evaluation_is_whole(as_json: Json, texts: Path) -> None:
    found = as_json("adapters", "eval", "desk", "--data", texts, "--json")
    assert found["n"] == 36
    assert (found["seen"], found["unknown"]) == (0, ["desk@2"])
    assert sum(cell["n"] for cell in found["confusion"]) == 36
    assert sum(found_bin["n"] for found_bin in found["calibration"]["bins"]) == 36
    assert found["intervals"].keys() >= {"accuracy", "macro_f1", "brier", "aurc"}
    assert found["coverage"]["curve"][-1]["coverage"] == 1
    assert set(found["slices"]) == {"text length", "script"}
    assert (
        as_json("adapters", "eval", "desk", "--data", texts, "--split", "val", "--json")["n"] == 12
    )


@pytest.mark.parametrize(
    "command", [("eval", "desk"), ("compare", "desk", "desk@1")], ids=["eval", "compare"]
)
def test_rows_that_cannot_be_used_are_told_of(
    run: Run, as_json: Json, texts: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    whole, page = texts.read_text(encoding="utf-8"), tmp_path / "page.html"
    texts.write_text(f"{whole}\nbook me a table,booking,test\n", encoding="utf-8")
    line = ("adapters", *command, "--data", texts)
    (note,) = as_json(*line, "--json")["notes"]
    assert note.startswith("1 of 49 rows cannot be used: texts.csv:50: ")
    assert "'booking'" in note
    assert note in run(*line, "--html", page).stderr
    assert "1 of 49 rows cannot be used" in page.read_text(encoding="utf-8")
    texts.write_text(whole, encoding="utf-8")
    assert as_json(*line, "--json")["notes"] == []


@pytest.mark.parametrize("name", ["topics", "tags"])
def test_other_kinds_are_shown_too(
    answer: Answer, tmp_path: Path, store_dir: Path, name: str
) -> None:
    labels = {"topics": ["data/cleaning", "chat"], "tags": ["price", '"battery|screen"']}[name]
    path = tmp_path / "texts.csv"
    rows = [f"text number {i},{labels[i % 2]}" for i in range(12)]
    path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    said = answer("adapters", "eval", name, "--data", path, "--html", tmp_path / "page.html")
    assert ("top levels: a row for each" in said) == (name == "topics")
    assert "claimed" in said
    assert "<svg" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_what_an_adapters_own_steps_answer_is_said_beside_its_own_figures(
    answer: Answer,
    as_json: Json,
    texts: Path,
    tmp_path: Path,
    store_dir: Path,
    publish_random: Callable[..., Any],
) -> None:
    plain = as_json("adapters", "eval", "desk", "--data", texts, "--json")
    curve = plain["coverage"]["curve"]
    threshold = curve[len(curve) // 2]["confidence"]
    step = StepRecord("abstain", {"threshold": threshold}, "postprocess")
    publish_random(Store(store_dir), "careful", seed=1, postprocess=(step,))
    line, page = ("adapters", "eval", "careful", "--data", texts), tmp_path / "page.html"
    found = as_json(*line, "--json", "--html", page)
    assert "after_steps" not in plain
    assert found["metrics"] == plain["metrics"]
    after = found["after_steps"]
    rows = [row.split(",") for row in texts.read_text(encoding="utf-8").splitlines()]
    asked = [text for text, _, split in rows if split == "test"]
    own = answer("classify", "--adapter", "careful", *asked, "--json").splitlines()
    assert after["withheld"]["n"] == sum(json.loads(one)["abstained"] for one in own) > 0
    assert after["answered"]["n"] + after["withheld"]["n"] == after["answered"]["of"] == 36
    right = after["answered"]["n"] - after["wrong"]["n"] + after["withheld_right"]["n"]
    assert right / 36 == pytest.approx(found["metrics"]["accuracy"])
    said = answer(*line)
    assert "what is answered after the adapter's own steps (abstain)" in said
    assert "would have been right, of those" in said
    assert "What is answered after its own steps" in page.read_text(encoding="utf-8")
    assert "own steps" not in answer("adapters", "eval", "desk", "--data", texts)


def test_an_adapter_whose_step_is_not_here_is_judged_without_it_and_it_is_said(
    run: Run, texts: Path, store_dir: Path, publish_random: Callable[..., Any]
) -> None:
    step = StepRecord("keywords", {}, "acme", "1.0")
    publish_random(Store(store_dir), "foreign", postprocess=(step,))
    result = run("adapters", "eval", "foreign", "--data", texts)
    assert result.exit_code == 0
    assert "what its own steps answer is not judged" in result.stderr
    assert "'keywords', which is not installed" in result.stderr
    assert "own steps (" not in result.stdout


def test_the_report_is_one_file_beside_what_is_printed(
    run: Run, as_json: Json, texts: Path, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    line = ("adapters", "eval", "desk", "--data", texts, "--json")
    done = run(*line, "--html", page)
    assert f"report written to {page}" in done.stderr
    assert json.loads(done.stdout) == as_json(*line)
    written = page.read_text(encoding="utf-8")
    assert written.startswith("<!DOCTYPE html>")
    assert "desk@2, judged on 36 texts" in written
    assert "退款到账" in written


def test_the_json_of_an_evaluation_is_written_to_a_file_as_well(
    run: Run, as_json: Json, texts: Path, tmp_path: Path
) -> None:
    line, kept = ("adapters", "eval", "desk", "--data", texts), tmp_path / "found.json"
    done = run(*line, "--output", kept)
    assert f"figures written to {kept}" in done.stderr
    assert done.stdout == run(*line).stdout
    assert json.loads(kept.read_text(encoding="utf-8")) == as_json(*line, "--json")


@pytest.mark.parametrize(
    "line",
    [
        ("adapters", "eval", "desk@1", "--output"),
        ("adapters", "compare", "desk@1", "desk@2", "--html"),
        ("adapters", "tune", "desk", "--output"),
        ("data", "suggest", "pool.csv", "--adapter", "desk", "--output"),
    ],
)
def test_a_domains_own_data_are_not_overwritten(
    line: tuple[str, ...], run: Run, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "plugins" / "desk"
    folder.mkdir(parents=True)
    data = Path(shutil.copy(texts, folder / "desk.csv"))
    (folder / "domain.toml").write_text('name = "desk"\ndata = { all = "desk.csv" }\n')
    monkeypatch.setenv("PLATFORM_PLUGINS_DIR", str(folder.parent))
    Path("pool.csv").write_text("text\nwhere is it\n", encoding="utf-8")
    refused = run(*line, data)
    assert refused.exit_code == 2, refused.output
    assert f"{data} is the input too, and is not overwritten" in refused.stderr
    assert data.read_bytes() == texts.read_bytes()


def test_no_text_is_classified_for_a_report_that_cannot_be_drawn(
    run: Run, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = tmp_path / "report.html"
    result = run("adapters", "eval", "desk", "--data", texts, "--html", page)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "error: an HTML report needs matplotlib, which is not installed",
        "hint: pip install 'adapter-platform[report]'",
    ]
    assert result.stdout == ""
    assert not page.exists()


def test_matplotlib_is_imported_for_a_report_alone(texts: Path) -> None:
    code = "\n".join(
        [
            "import sys",
            "from typer.testing import CliRunner",
            "from adapter_platform.cli.main import app",
            f"line = ['adapters', 'eval', 'desk', '--data', {str(texts)!r}]",
            "assert CliRunner().invoke(app, line).exit_code == 0",
            "print('matplotlib' in sys.modules)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_two_versions_are_compared_on_the_same_texts(
    answer: Answer, as_json: Json, texts: Path, tmp_path: Path
) -> None:
    line = ("adapters", "compare", "desk@1", "desk", "--data", texts)
    kept, page = tmp_path / "found.json", tmp_path / "report.html"
    found = as_json(*line, "--json", "--output", kept, "--html", page)
    assert (found["a"], found["b"], found["n"], found["split"]) == ("desk@1", "desk@2", 36, "test")
    assert json.loads(kept.read_text(encoding="utf-8")) == found
    for side in ("a", "b"):
        alone = as_json("adapters", "eval", found[side], "--data", texts, "--json")
        assert found["figures"]["accuracy"][side] == pytest.approx(alone["metrics"]["accuracy"])
        assert found["figures"]["ece"][side] == pytest.approx(alone["calibration"]["ece"])
    test = found["mcnemar"]
    assert sum(test[key] for key in ("both_right", "only_a", "only_b", "both_wrong")) == 36
    assert len(found["differ"]) >= test["only_a"] + test["only_b"]
    said = answer(*line)
    assert said.startswith(("36 texts cannot tell", "desk@1 is better", "desk@2 is better"))
    assert "McNemar's exact test: p " in said
    assert f"{len(found['differ'])} texts answered differently" in said
    assert "desk@1 and desk@2 compared" in page.read_text(encoding="utf-8")
    assert as_json(*line, "--split", "val", "--json")["n"] == 12


def test_a_comparison_reads_the_columns_that_are_named(
    as_json: Json, run: Run, texts: Path, tmp_path: Path
) -> None:
    _, *rows = texts.read_text(encoding="utf-8").splitlines()
    other = tmp_path / "other.csv"
    other.write_text("\n".join(["words,kind,split", *rows]), encoding="utf-8")
    line = ("adapters", "compare", "desk@1", "desk@2", "--data", other, "--json")
    assert run(*line).exit_code == 1
    found = as_json(*line, "--text-column", "words", "--label-column", "kind")
    assert found["n"] == 36


def test_a_split_is_left_out_where_the_data_has_none_and_it_is_said(
    run: Run, texts: Path, tmp_path: Path
) -> None:
    rows = [line.rpartition(",")[0] for line in texts.read_text(encoding="utf-8").splitlines()]
    whole = tmp_path / "whole.csv"
    whole.write_text("\n".join(rows), encoding="utf-8")
    result = run("adapters", "compare", "desk@1", "desk@2", "--data", whole)
    assert result.exit_code == 0
    assert "judged on all the texts" in result.stderr
    assert "not known which texts desk@1 and desk@2 learned from" in result.stderr
