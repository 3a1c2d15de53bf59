"""`--adapter auto` and `platform adapters profile`: texts find their adapters from the terminal."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter_platform.cli.rows import answering, partial
from adapter_platform.core.store.store import Store

Run = Callable[..., Result]
Answer = Callable[..., str]
Json = Callable[..., Any]

# The random base knows again the texts that it has seen.
TEXTS = {
    "desk": {
        label: [f"{word} {i} of order {7 * i + at}" for i in range(8)]
        for at, (label, word) in enumerate(
            {"refund": "money", "delivery": "parcel", "invoice": "paper"}.items()
        )
    },
    "topics": {
        label: [f"数据 {a}{b} {at} 清洗" for a in "hijk" for b in "xyz"]
        for at, label in enumerate(("data/cleaning", "data/quality", "chat"))
    },
}
AUTO = "auto:desk,topics,tags"  # the starters would want the base that they are on
DESK, TOPIC, STRANGE = TEXTS["desk"]["refund"][3], TEXTS["topics"]["chat"][5], "@@ ## && @@ !!! (("


def write_csv(path: Path, name: str) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text", "label"])
        table.writerows((text, label) for label, of in TEXTS[name].items() for text in of)
    return path


@pytest.fixture
def profiled(run: Run, store_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store, in which `desk` and `topics` have profiles and `tags` has none."""
    for name in TEXTS:
        made = run("adapters", "profile", name, "--data", write_csv(tmp_path / "of.csv", name))
        assert made.exit_code == 0, made.output
    monkeypatch.setenv("PLATFORM_ROUTE_REJECT", "0.5")
    return store_dir


def test_a_profile_is_the_next_version_and_answers_stay_as_they_are(
    run: Run, as_json: Json, store_dir: Path, tmp_path: Path
) -> None:
    data = write_csv(tmp_path / "desk.csv", "desk")
    before = as_json("classify", "-a", "desk", "--json", "x")
    made = run("adapters", "profile", "desk", "--data", data)
    assert made.stdout == "published desk@3, which is now current\n"
    after = as_json("classify", "-a", "desk", "--json", "x")
    assert before | {"version": 3} == after
    manifest = as_json("adapters", "show", "desk", "--json")
    assert (manifest["parent"], "routing.safetensors" in manifest["files"]) == (2, True)
    published = b"".join(path.read_bytes() for path in (store_dir / "desk" / "3").iterdir())
    assert not any(text.encode() in published for of in TEXTS["desk"].values() for text in of)
    again = run("adapters", "profile", "desk", "--data", data)
    assert again.stdout == "desk@3 has this profile already\n"
    assert as_json("adapters", "verify", "desk", "--json") == {"desk": {"problems": []}}
    older = as_json("adapters", "profile", "desk@1", "--data", data, "--json")
    assert older == {"adapter": "desk@4", "published": True, "current": False}


def test_a_version_of_an_adapter_that_has_no_current_one_gets_a_profile(
    run: Run, as_json: Json, store_dir: Path, tmp_path: Path
) -> None:
    (store_dir / "desk" / "current").unlink()
    data = write_csv(tmp_path / "desk.csv", "desk")
    made = as_json("adapters", "profile", "desk@1", "--data", data, "--json")
    assert made == {"adapter": "desk@3", "published": True, "current": False}
    again = as_json("adapters", "profile", "desk@3", "--data", data, "--json")
    assert again == {"adapter": "desk@3", "published": False, "current": False}


def test_a_profile_is_made_of_the_columns_that_are_named_on_a_base_that_lies_elsewhere(
    run: Run,
    store_dir: Path,
    tmp_path: Path,
    tiny_base: Path,
    publish_random: Callable[..., Any],
) -> None:
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    publish_random(Store(store_dir), "mover", base=base)
    moved = base.rename(tmp_path / "moved")
    data, other = write_csv(tmp_path / "desk.csv", "desk"), tmp_path / "other.csv"
    rows = data.read_text(encoding="utf-8").partition("\n")[2]
    other.write_text(f"words,kind\n{rows}", encoding="utf-8")
    columns = ("--text-column", "words", "--label-column", "kind")
    line = ("adapters", "profile", "mover", "--data", other)
    assert "has no column for the text" in run(*line, *columns[2:], "--base", moved).stderr
    assert "has no column for the label" in run(*line, *columns[:2], "--base", moved).stderr
    assert f"needs the base '{base}'" in run(*line, *columns).stderr
    made = run(*line, *columns, "--base", moved)
    assert made.stdout == "published mover@2, which is now current\n"
    again = run("adapters", "profile", "mover", "--data", data, "--base", moved)
    assert again.stdout == "mover@2 has this profile already\n"


def test_data_without_training_texts_make_no_profile_and_it_is_said_how_they_would(
    run: Run, store_dir: Path, tmp_path: Path
) -> None:
    data = tmp_path / "tests.csv"
    data.write_text("text,label,split\nmoney back,refund,test\n", encoding="utf-8")
    refused = run("adapters", "profile", "desk", "--data", data)
    assert refused.exit_code == 1
    assert refused.stderr.splitlines() == [
        "error: there are no texts in the split 'train'",
        "hint: give the file as --data train=FILE",
    ]
    made = run("adapters", "profile", "desk", "--data", f"train={data}")
    assert made.stdout == "published desk@3, which is now current\n"


def test_one_text_says_whose_it_is_and_who_is_next(profiled: Path, answer: Answer) -> None:
    first, found, *_ = answer("classify", "-a", AUTO, DESK).splitlines()
    label = first.split()[0]
    assert label in TEXTS["desk"]
    assert found.split()[:2] == ["nearest", "desk"]
    assert found.split()[3:5] == ["next", "topics"]


def test_texts_of_several_adapters_give_one_table(profiled: Path, answer: Answer) -> None:
    heading, *rows = answer("classify", "-a", AUTO, "-k", "1", DESK, TOPIC, STRANGE).splitlines()
    assert heading.split() == ["text", "answer", "confidence", "adapter", "top", "1"]
    assert [row.split("  ")[0] for row in rows] == [DESK, TOPIC, STRANGE]
    assert "  desk  " in rows[0]
    assert "  topics  " in rows[1]
    assert rows[2].split("  ")[1].strip() == "no answer (no adapter for it)"


def test_a_text_of_nobodys_has_its_reason_on_standard_error(profiled: Path, run: Run) -> None:
    result = run("classify", "-a", AUTO, STRANGE)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "no answer (no adapter for it)"
    assert "warning: the text is unlike those that any adapter was trained on" in result.stderr


def test_who_takes_no_part_is_said(profiled: Path, run: Run) -> None:
    said = run("classify", "-a", AUTO, DESK).stderr
    assert "warning: auto leaves out " in said
    assert "tags" in said
    assert "platform adapters profile NAME" in said


def test_json_says_how_sure_the_choice_is(profiled: Path, as_json: Json) -> None:
    said = as_json("classify", "-a", AUTO, "--json", TOPIC)
    assert (said["adapter"], said["version"]) == ("topics", 2)
    assert said["routing"]["nearest"] == "topics"
    assert said["routing"]["runner_up"] == "desk"
    assert said["routing"]["similarity"] > said["routing"]["runner_up_similarity"]
    assert 0.5 <= said["routing"]["typicality"] <= 1
    nobodys = as_json("classify", "-a", AUTO, "--json", STRANGE)
    assert (nobodys["adapter"], nobodys["label"], nobodys["abstained"]) == (None, None, True)
    assert as_json("classify", "-a", "topics", "--json", TOPIC)["routing"] is None


def test_the_share_that_is_turned_away_is_set_in_the_environment(
    profiled: Path, as_json: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_ROUTE_REJECT", "0")
    assert as_json("classify", "-a", AUTO, "--json", STRANGE)["adapter"] is not None


def test_auto_may_be_the_default(profiled: Path, as_json: Json) -> None:
    said = as_json("classify", "--json", DESK, PLATFORM_DEFAULT_ADAPTER=AUTO)
    assert said["adapter"] == "desk"


def test_a_prompt_finds_the_adapter_for_each_line(
    profiled: Path, on_a_terminal: Callable[..., str]
) -> None:
    shown = on_a_terminal(["classify", "-a", AUTO], typed=f"{DESK}\n{TOPIC}\n{STRANGE}\n\x04")
    assert "auto finds an adapter for each text; one text a line, Ctrl-D ends" in shown
    *answers, _ = shown.split("\n> ")[1:]
    assert [answer.splitlines()[0] for answer in answers] == [DESK, TOPIC, STRANGE]
    for answer, found in zip(answers, ("nearest desk", "nearest topics", "no answer"), strict=True):
        assert found in answer


def test_a_pipe_finds_the_adapter_for_each_line(profiled: Path, run: Run) -> None:
    result = run("classify", "-a", AUTO, stdin=f"{DESK}\n{STRANGE}\n")
    rows = list(csv.DictReader(io.StringIO(result.stdout), delimiter="\t"))
    assert [row["adapter"] for row in rows] == ["desk", ""]


@pytest.fixture
def mixed(profiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of texts of both adapters and of neither, some with their adapter's name."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mixed.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text", "who"])
        names = ("", AUTO, "tags", "nobody")
        texts = (DESK, TOPIC, STRANGE)
        table.writerows([texts[i % 3], names[i % 4]] for i in range(600))
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_file_gains_who_answered_each_row_and_how_sure_that_is(mixed: Path, run: Run) -> None:
    result = run("classify", "-a", AUTO, "-i", mixed, "-o", "out.csv")
    assert result.exit_code == 0, result.output
    rows = rows_of(Path("out.csv"))
    assert [row["adapter"] for row in rows] == ["desk", "topics", ""] * 200
    assert json.loads(rows[0]["routing"])["nearest"] == "desk"
    assert [row["version"] for row in rows[:3]] == ["3", "2", ""]
    assert json.loads(rows[2]["warnings"]) == ["no_adapter"]
    assert "200 rows with the warning 'no_adapter'" in result.stderr
    assert not any(row["error"] for row in rows)


def test_a_column_may_name_adapters_and_auto(mixed: Path, run: Run) -> None:
    line = ("classify", "-i", mixed, "--adapter-field", "who", "-o")
    assert run(*line, "auto.csv", "-a", AUTO).exit_code == 0
    found = ["desk", "topics", ""]
    for i, row in enumerate(rows_of(Path("auto.csv"))):
        assert row["adapter"] == (found[i % 3], found[i % 3], "tags", "")[i % 4]
        assert ("there is no adapter named 'nobody'" in row["error"]) == (i % 4 == 3)
    assert run(*line, "desk.csv", "-a", "desk").exit_code == 0
    for i, row in enumerate(rows_of(Path("desk.csv"))):
        assert row["adapter"] == ("desk", found[i % 3], "tags", "")[i % 4]


def test_rows_that_say_auto_where_nobody_can_be_found_say_why(
    store_dir: Path, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "in.csv"
    path.write_text('text,who\nx,desk\ny,"auto:desk,tags"\n', encoding="utf-8")
    result = run("classify", "-i", path, "--adapter-field", "who", "--json")
    assert result.exit_code == 0
    one, other = (json.loads(line) for line in result.stdout.splitlines())
    assert (one["adapter"], one["error"]) == ("desk", None)
    assert "none has a routing profile" in other["error"]


def test_a_run_that_was_stopped_goes_on_unless_there_are_other_adapters_now(
    mixed: Path,
    profiled: Path,
    run: Run,
    publish_random: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partial, "SECONDS", 0.0)
    monkeypatch.setattr(answering, "CHUNK", 256)
    line = ("classify", "-a", AUTO, "-i", mixed, "-o")
    assert run(*line, "whole.csv").exit_code == 0
    answer, left = answering.answer, 300

    def stops(*arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return answer(*arguments)

    def stop() -> None:
        nonlocal left
        left = 300
        monkeypatch.setattr(answering, "answer", stops)
        run(*line, "out.csv")
        monkeypatch.setattr(answering, "answer", answer)

    stop()
    assert "going on after them" in run(*line, "out.csv").stderr
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()
    stop()
    again = run(*line, "out.csv", PLATFORM_ROUTE_REJECT="0.6")
    assert "it was asked otherwise: starting over" in again.stderr
    stop()
    publish_random(Store(profiled), "desk", seed=9)
    assert "other adapters to choose among now: starting over" in run(*line, "out.csv").stderr
