"""`platform data check` judges data as training does: same counts, notes and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from .sorts import SORTS

Run = Callable[..., Result]

TEXTS = (
    *("how do I return this", "where is my parcel", "the code does not work", "退货要几天到账"),
    *("my login is locked", "please send the invoice", "包裹什么时候到", "I want my money back"),
    *("reset my password now", "courier did not come", "发票在哪里下载", "refund not received"),
)


def table(labels: Sequence[str], *more: str, head: str = "text,label") -> str:
    return (
        "\n".join([head, *(f"{t},{x}" for t, x in zip(TEXTS, labels, strict=True)), *more]) + "\n"
    )


def lines(labels: Sequence[Any]) -> str:
    rows = [{"text": t, "label": x} for t, x in zip(TEXTS, labels, strict=True)]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.fixture(autouse=True)
def small_base(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_BASE", str(tiny_base))


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("single.csv", table(["a", "b", "c"] * 4), None),
        ("single_as_multi.csv", table(["a", "b", "c"] * 4), "multi"),
        ("bars.csv", table(["a|b", "a", "b"] * 4), None),
        ("bars_as_single.csv", table(["a|b", "a", "b"] * 4), "single"),
        ("wide_bars.csv", table(["a｜b", "a", "b"] * 4), "multi"),
        ("commas.csv", table(['"a,b"', "a", "b"] * 4), None),
        ("commas_as_multi.csv", table(['"a,b"', "a", "b"] * 4), "multi"),
        ("empty.csv", table(["a", "", "b"] * 4), None),
        ("empty_in_multi.csv", table(["a", "", "b"] * 4), "multi"),
        ("lists.jsonl", lines([["a", "b"], ["a"], [], None] * 3), None),
        ("lists_as_single.jsonl", lines([["a", "b"], ["a"], ["b"], ["b"]] * 3), "single"),
        ("numbers.jsonl", lines([1, 1.0, 2, 2.5] * 3), None),
        ("paths.csv", table(["x/a", "x/b", "y/a"] * 4), None),
        ("no_paths.csv", table(["a", "b", "c"] * 4), "hierarchical"),
        ("two_marks.csv", table(["a|b", "a;b", "a", "b"] * 3), None),
        ("alike.csv", table(["Refund", "refund", "ＲＥＦＵＮＤ"] * 4), None),
        ("bad_rows.csv", table(["a", "b", "c"] * 4, "one,two,three", ",a", "no label,"), None),
        ("conflicts.csv", table(["a", "b", "c"] * 4, f"{TEXTS[0]},c", f"{TEXTS[1]},c"), None),
        ("one_answer.csv", table(["a"] * 12), None),
        ("one_each.csv", table([f"l{i}" for i in range(12)]), None),
        ("nowhere.csv", table(["a,train", "b,train", "c,test"] * 4, head="text,label,split"), None),
        ("only_test.csv", table(["a,test", "b,test"] * 6, head="text,label,split"), None),
    ],
)
def test_check_and_train_say_the_same(
    run: Run, tmp_path: Path, name: str, content: str, kind: str | None
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    kinds = ["--kind", kind] if kind else []
    checked = run("data", "check", path, *kinds, "--json")
    trained = run("adapters", "train", "mine", "--data", path, *kinds, "--dry-run", "--json")
    assert checked.exit_code == trained.exit_code
    assert checked.stderr == trained.stderr
    if trained.exit_code:
        assert trained.stderr.startswith("error: ")
        return
    plan, found = json.loads(trained.stdout), json.loads(checked.stdout)
    assert (found["kind"], found["labels"]) == (plan["kind"], plan["labels"])
    named = sum(int(note.split()[0]) for note in plan["notes"] if "the labels' names" in note)
    assert found["examples"] == sum(plan["splits"].values()) - named
    about_rows = [note for note in plan["notes"] if "cannot be used" in note]
    about_base = [note for note in plan["notes"] if note.startswith("the base ")]
    conflicts = [note for note in plan["notes"] if "with different labels" in note]
    rest = [n for n in plan["notes"] if n not in (*about_rows, *about_base, *conflicts)]
    assert rest == found["notes"]
    assert bool(about_rows) == bool(found["bad_rows"])
    assert sum(int(note.split()[0]) for note in conflicts) == len(found["conflicts"])


def test_a_kind_that_is_said_outranks_a_domains_scheme_in_both(run: Run) -> None:
    checked = run("data", "check", "support", "--kind", "multi", "--json")
    trained = run("adapters", "train", "support", "--kind", "multi", "--dry-run", "--json")
    plan, found = json.loads(trained.stdout), json.loads(checked.stdout)
    assert (found["kind"], found["labels"]) == (plan["kind"], plan["labels"])


def test_a_label_that_nothing_teaches_is_refused_by_both(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One with a description is taught by that; what is found is shown before the error."""
    folder = tmp_path / "plugins" / "mail"
    folder.mkdir(parents=True)
    (folder / "mail.csv").write_text(table(["a", "b", "a"] * 4), encoding="utf-8")
    domain = 'name = "mail"\ndata = { train = "mail.csv" }\nscheme.labels = ["a", "b", '
    monkeypatch.setenv("PLATFORM_PLUGINS_DIR", str(folder.parent))
    for entry, code in (('"c"]\n', 1), ('{ name = "c", description = "Anything else" }]\n', 0)):
        (folder / "domain.toml").write_text(domain + entry, encoding="utf-8")
        checked = run("data", "check", "mail")
        trained = run("adapters", "train", "mail", "--dry-run")
        assert (checked.exit_code, trained.exit_code) == (code, code), checked.output
        assert checked.stderr == trained.stderr
        assert ("'c' has no training example" in checked.stderr) == bool(code)
        assert checked.stdout.startswith("12 texts")


def test_what_would_be_refused_stands_in_the_document(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "same.csv"
    path.write_text(table(["a"] * 12), encoding="utf-8")
    document = json.loads(run("data", "check", path, "--json").stdout)
    assert document["refused"].startswith("every example has the same answer")
    assert document["examples"] == 12


def sorted_table(path: Path, **wrong: str) -> Path:
    """Twelve texts of each of four sorts, labelled by it, but for `row3="another"`."""
    texts = [(text, sort) for sort, own in SORTS.items() for text in own]
    rows = [(text, wrong.get(f"row{i}", sort)) for i, (text, sort) in enumerate(texts)]
    lines = ["text,label", *(f"{text},{label}" for text, label in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_wrong_label_is_found_with_its_place_and_the_right_one(run: Run, tmp_path: Path) -> None:
    path = sorted_table(tmp_path / "sorts.csv", row3="music", row30="weather")
    line = ("data", "check", path, "--label-errors", "--base", "minilm")
    found = json.loads(run(*line, "--json").stdout)["label_errors"]
    assert found["judged"] == 48
    first = {(e["where"], *e["given"], *e["likely"]) for e in found["errors"][:2]}
    assert first == {
        (f"{path}:5", "music", "weather"),
        (f"{path}:32", "weather", "banking"),
    }
    shown = run(*line).stdout
    assert f"{len(found['errors'])} labels likely wrong" in shown
    assert f"{path}:5   music    weather" in shown
    assert "tell me the forecast for the weekend" in shown


def test_right_labels_are_left_alone_and_nothing_is_judged_unasked(
    run: Run, tmp_path: Path
) -> None:
    path = sorted_table(tmp_path / "sorts.csv")
    asked = run("data", "check", path, "--label-errors", "--base", "minilm")
    assert "no label looks wrong: 48 texts judged by the base 'minilm'" in asked.stdout
    document = json.loads(run("data", "check", path, "--json").stdout)
    assert document["label_errors"] is None
    assert document["reading"] is None


def test_the_base_that_training_would_use_judges_where_none_is_named(
    run: Run, tmp_path: Path, tiny_base: Path
) -> None:
    path = sorted_table(tmp_path / "sorts.csv")
    found = json.loads(run("data", "check", path, "--label-errors", "--json").stdout)
    assert found["label_errors"]["base"] == found["reading"]["base"] == str(tiny_base)


def test_labels_with_one_text_are_not_judged_and_said(run: Run, tmp_path: Path) -> None:
    path = sorted_table(tmp_path / "sorts.csv", row3="alone")
    shown = run("data", "check", path, "--label-errors", "--base", "minilm").stdout
    assert "labels with too few texts to be judged: alone\n" in shown
    assert "47 texts judged" in shown


def test_a_text_that_the_base_cannot_read_is_not_judged(run: Run, tmp_path: Path) -> None:
    path = sorted_table(tmp_path / "sorts.csv")
    with path.open("a", encoding="utf-8") as file:
        file.write("Завтра в горах будет дождь,music\n")
    shown = run("data", "check", path, "--label-errors", "--base", "minilm").stdout
    assert f"{path}:50: Завтра в горах будет дождь: the base 'minilm' does not read" in shown
    assert "no label looks wrong: 48 texts judged" in shown


def test_a_base_says_how_it_reads_the_texts(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mail.csv"
    path.write_text(
        table(["a", "b", "c"] * 4, f"{'word ' * 200},a", "Где мой заказ и где деньги,b"),
        encoding="utf-8",
    )
    plain, shown = run("data", "check", path).stdout, run("data", "check", path, "--base", "minilm")
    assert "tokens" not in plain
    assert "tokens a text, by the base 'minilm': " in shown.stdout
    assert "1 text longer than the 128 tokens that are read" in shown.stdout
    assert "4 texts that the base 'minilm' cannot read:" in shown.stdout
    assert f"{path}:15: Где мой заказ и где деньги: the base" in shown.stdout
    reading = json.loads(run("data", "check", path, "--base", "minilm", "--json").stdout)["reading"]
    assert reading["cut"] == 1
    assert [found["where"] for found in reading["unreadable"]] == [
        f"{path}:{line}" for line in (5, 8, 12, 15)
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (table(["a"] * 12), "every example has the same answer"),
        (table([f"l{i}" for i in range(12)]), "every class has one example"),
    ],
)
def test_what_training_refuses_is_refused_before_labels_are_judged(
    run: Run, tmp_path: Path, content: str, says: str
) -> None:
    path = tmp_path / "few.csv"
    path.write_text(content, encoding="utf-8")
    result = run("data", "check", path, "--label-errors", "--base", "minilm")
    assert result.exit_code == 1
    assert says in result.stderr
    assert "judged" not in result.stdout


def test_too_few_texts_to_judge_by_is_one_sentence(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "copies.csv"
    rows = [f"{text},{label},train" for text, label in zip(TEXTS[:2], "ab", strict=True)]
    path.write_text("\n".join(["text,label,split", *rows, *rows]) + "\n", encoding="utf-8")
    result = run("data", "check", path, "--label-errors")
    assert result.exit_code == 1
    assert "too few texts to judge the labels by: 0 of 2 labels" in result.stderr


def test_messages_speak_of_arguments_not_of_an_option_that_there_is_not(
    run: Run, tmp_path: Path
) -> None:
    path = sorted_table(tmp_path / "sorts.csv")
    for line, says in (
        ((path, path), "data is given twice without a split"),
        ((f"train={path}", f"train={path}"), "data is given twice for the split 'train'"),
        ((f"train={path}", path), f"{path} does not say which split it is"),
    ):
        result = run("data", "check", *line)
        assert result.exit_code == 2
        assert f"error: {says}" in result.stderr
        assert "hint: say which: train=A test=B" in result.stderr
        assert "--data" not in result.stderr
