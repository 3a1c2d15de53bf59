"""The published sets as samples, their figures, and the table of them."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from adapter_platform.plugins import open_platform
from benchmarks import quality
from benchmarks.quality import learners
from benchmarks.quality.score import scored
from benchmarks.quality.sets import sample
from benchmarks.quality.table import app, mean, tables


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two labels with 8 texts in each split, in the sets' own form; xsid with one more label."""

    def write(name: str, rows: list[dict[str, Any]]) -> None:
        path = tmp_path / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(map(json.dumps, rows)) + "\n")

    write(
        "clinc150/bank",
        [
            {"text": f"{split} {label} {i}", "label": label, "split": split}
            for split in ("train", "val", "test")
            for label in ("pay", "owe")
            for i in range(8)
        ],
    )
    write(
        "xsid/xsid",
        [
            {"text": f"{lang} {split}", "label": label, "split": split, "lang": lang}
            for split in ("dev", "test")
            for lang in ("en", "zh", "id")
            for label in ("play", "stop" if split == "test" else "play")
        ],
    )
    return tmp_path


SCRIPTS = [
    path.stem
    for path in sorted(Path(quality.__file__).parent.glob("*.py"))
    if "__main__" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_what_it_takes(name: str) -> None:
    script = import_module(f"benchmarks.quality.{name}")
    app = getattr(script, "app", None) or typer.Typer()
    if not app.registered_commands:
        app.command()(script.main)
    done = CliRunner().invoke(app, ["--help"])
    assert done.exit_code == 0
    assert "Usage:" in done.output


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("accuracy", ("--json", "found.jsonl", "--method", "nope")),
        ("accuracy", ("--json", "found.jsonl", "--shots", "4")),
        ("legacy", ("--only", "nope")),
    ],
)
def test_what_a_script_does_not_know_is_refused_before_anything_is_learnt(
    name: str, arguments: tuple[str, ...], data: Path
) -> None:
    app = typer.Typer()
    app.command()(import_module(f"benchmarks.quality.{name}").main)
    given = [str(data), *arguments] if name == "accuracy" else list(arguments)
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 2
    assert arguments[-1] in done.output
    assert "there are" in done.output


def test_so_many_examples_a_class_are_drawn_the_same_for_the_same_seed(data: Path) -> None:
    drawn = sample(data, "clinc150/bank", 3, seed=1)
    assert drawn == sample(data, "clinc150/bank", 3, seed=1)
    assert drawn != sample(data, "clinc150/bank", 3, seed=2)
    for split, count in (("train", 3), ("val", 3), ("test", 8)):
        labels = Counter(row["label"] for row in drawn.splits[split])
        assert labels == {"pay": count, "owe": count}
        assert all(row["text"].startswith(split) for row in drawn.splits[split])


def test_xsid_is_learnt_in_english_and_judged_in_languages_on_what_was_taught(data: Path) -> None:
    splits = sample(data, "xsid/xsid").splits
    assert {row["lang"] for row in splits["train"]} == {"en"}
    assert {(row["lang"], row["label"]) for row in splits["test"]} == {
        ("en", "play"),
        ("zh", "play"),
    }


def test_files_hold_the_rows_of_their_splits(data: Path, tmp_path: Path) -> None:
    drawn = sample(data, "clinc150/bank", 2)
    files = drawn.write(tmp_path / "written")
    rows = [json.loads(line) for line in Path(files["val"]).read_text().splitlines()]
    assert [row["text"] for row in rows] == [row["text"] for row in drawn.splits["val"]]
    assert "split" not in rows[0]


def test_figures_have_the_error_that_chance_makes() -> None:
    wanted = np.zeros(400, int)
    given = np.array([1] * 40 + [0] * 360)
    found = scored("accuracy", wanted, given)
    assert found["value"] == pytest.approx(0.9)
    assert found["error"] == pytest.approx(np.sqrt(0.9 * 0.1 / 400), rel=0.1)
    halves = scored("macro_f1", np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]))
    assert halves["value"] == pytest.approx((0.8 + 2 / 3) / 2)


def run(value: float, error: float = 0.01, **place: Any) -> dict[str, Any]:
    usual = {"set": "clinc150/banking", "shots": 3, "seed": 0, "method": "ours", "part": ""}
    draws = [value - error, value + error]
    return {**usual, "metric": "accuracy", "value": value, "error": error, "draws": draws, **place}


def test_the_mean_over_sets_is_of_their_means_over_seeds() -> None:
    found = mean([[run(0.8), run(0.9)], [run(0.95)]])
    assert found.value == pytest.approx(0.9)
    assert found.error == pytest.approx(np.sqrt(0.05**2 + 2 * 0.01**2) / 2)


def test_a_mean_stands_only_where_every_set_has_been_measured() -> None:
    results = [run(0.8, set=f"clinc150/{name}") for name in ("banking", "travel", "work")]
    results += [run(0.7, method="probe")]
    printed = io.StringIO()
    Console(width=120, file=printed).print(*tables(results))
    figures, _, gains = printed.getvalue().partition("ours over")
    (mean_of_3,) = (line for line in figures.splitlines() if line.startswith("clinc150, mean of 3"))
    (banking,) = (line for line in figures.splitlines() if line.startswith("banking"))
    assert "80.0" in mean_of_3
    assert "70.0" not in mean_of_3
    assert "70.0" in banking
    assert "+10.0" in gains
    assert "mean" not in gains


def test_a_gain_is_of_the_same_seeds_and_texts() -> None:
    results = [run(0.8), run(0.9, seed=1), run(0.7, seed=2)]  # of the last the other has no run
    results += [run(0.75, method="probe"), run(0.85, method="probe", seed=1)]
    printed = io.StringIO()
    Console(width=120, file=printed).print(*tables(results))
    *_, line = (line for line in printed.getvalue().splitlines() if line.startswith("banking"))
    # By as much with either seed, and on either draw of texts: nothing is left to chance.
    assert "+5.0 ± 0.0" in line


@pytest.fixture
def measured(data: Path, tiny_base: Path, tmp_path: Path, private_home: Path) -> Any:
    """``measured(name, method=..., ...)``: all results in a file after a run of the script."""
    from benchmarks.quality import accuracy

    def measure(name: str, **options: Any) -> list[dict[str, Any]]:
        usual = {"sets": ["clinc150/bank"], "shots": ["3"], "seeds": 1, "method": ["ours"]}
        own = {"base": str(tiny_base), "store": tmp_path / "kept", "threads": 1}
        accuracy.main(data, tmp_path / name, **{**usual, **own, **options})
        lines = (tmp_path / name).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    return measure


def test_adapters_that_are_kept_are_judged_again_and_trained_again_only_by_another_recipe(
    measured: Any,
) -> None:
    (first,) = measured("first.jsonl", recipe=["epochs=1"])
    (second,) = measured("second.jsonl", recipe=["epochs=1"])
    assert first.pop("seconds") > 0
    assert second.pop("seconds") is None
    assert first == second
    again, other = measured("first.jsonl", recipe=["epochs=2"])
    assert again["digest"] == first["digest"] != other["digest"]
    assert other["seconds"] > 0
    assert len(measured("first.jsonl", recipe=["epochs=2"])) == 2


def test_a_preset_is_measured_by_its_own_name_and_shown_where_it_is_asked_for(
    measured: Any, tmp_path: Path
) -> None:
    (found,) = measured("kept.jsonl", preset="fast", recipe=["epochs=1"])
    kept = tmp_path / "kept.jsonl"
    assert found["method"] == "fast"
    assert found["recipe"]["epochs"] == 1  # what is said goes over the preset
    assert found["recipe"]["base_dropout"] == 0.0
    usual = CliRunner().invoke(app, ["accuracy", str(kept)])
    asked = CliRunner().invoke(app, ["accuracy", str(kept), "--column", "fast"])
    assert f"{100 * found['value']:.1f}" in asked.stdout
    assert "fast" not in usual.stdout


def test_few_examples_a_class_are_refused_where_they_cannot_be_drawn(data: Path) -> None:
    with pytest.raises(typer.BadParameter, match="cannot be drawn from xsid/xsid"):
        sample(data, "xsid/xsid", 3)


def test_a_set_that_is_not_in_the_folder_is_named(data: Path) -> None:
    with pytest.raises(typer.BadParameter, match=r"there is no .*it_tickets\.jsonl"):
        sample(data, "it_tickets")


def test_of_two_results_for_one_place_the_later_stands() -> None:
    printed = io.StringIO()
    Console(width=120, file=printed).print(*tables([run(0.8), run(0.6)]))
    assert "60.0" in printed.getvalue()
    assert "80.0" not in printed.getvalue()


@pytest.mark.parametrize("method", ["tfidf", "probe", "probe-names", *learners.FULL_RATES])
def test_what_ours_has_to_be_better_than_is_learnt_and_judged(method: str, measured: Any) -> None:
    (found,) = measured("quality.jsonl", shots=["all"], method=[method])
    assert (found["method"], found["metric"], found["texts"]) == (method, "accuracy", 16)
    assert found["value"] > 0.75  # each text has its label's name in it; a guess has half right
    assert found["seconds"] >= 0  # TF-IDF takes less than a tenth of one


def test_fine_tuning_is_the_same_without_the_rows_that_no_text_reads(
    data: Path, tiny_base: Path, tmp_path: Path, private_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = sample(data, "clinc150/bank")
    platform = open_platform(store=tmp_path / "kept", base=str(tiny_base), threads=1)
    task = learners.Task(drawn, drawn.write(tmp_path / "rows"), platform, {})
    fewer = learners.full(task, rate=2e-4).scores.logits["test"]
    monkeypatch.setattr(learners, "UsedRows", lambda table, _: table)
    whole = learners.full(task, rate=2e-4).scores.logits["test"]
    other = learners.full(task, rate=1e-4).scores.logits["test"]
    assert np.abs(fewer - whole).max() < 1e-4 < np.abs(other - whole).max()


def test_the_two_trainings_that_are_timed_are_of_the_same_texts_and_both_are_judged(
    data: Path, tiny_base: Path, tmp_path: Path, private_home: Path
) -> None:
    from benchmarks.quality import speed

    target = tmp_path / "speed.json"
    speed.main(
        data,
        set_name="clinc150/bank",
        rounds=2,
        base=str(tiny_base),
        threads=1,
        recipe=["epochs=2", "batch_size=4"],
        must=0.0,
        json_file=target,
    )
    shown = CliRunner().invoke(app, ["speed", str(target)])
    assert shown.exit_code == 0
    assert "on " in shown.stdout
    assert "the plain Trainer" in shown.stdout
    found = json.loads(target.read_text(encoding="utf-8"))
    assert f"{found['ratio']:.2f} times as fast" in shown.stdout
    assert found["examples"] == 2 * (16 + 2)  # two epochs, of the labels' names too
    for name in ("ours", "plain"):
        assert len(found["seconds"][name]) == len(found["accuracy"][name]) == 2
        for whole, steps in zip(found["seconds"][name], found["steps"][name], strict=True):
            assert whole > steps > 0
    apart = np.subtract(found["accuracy"]["ours"], found["accuracy"]["plain"])
    mean, low, high = found["gain"]
    assert mean == pytest.approx(apart.mean())
    assert low <= mean <= high
    assert f"accuracy {100 * mean:+.1f} points beside the plain Trainer" in shown.stdout
    steps = {name: sum(seconds) for name, seconds in found["steps"].items()}
    assert f"in the steps alone {steps['plain'] / steps['ours']:.2f} times" in shown.stdout
    assert found["ratio"] == pytest.approx(
        sum(found["seconds"]["plain"]) / sum(found["seconds"]["ours"])
    )


def test_a_training_that_is_too_slow_is_an_error(
    data: Path, tiny_base: Path, tmp_path: Path, private_home: Path
) -> None:
    from benchmarks.quality import speed

    with pytest.raises(typer.Exit) as left:
        speed.main(
            data,
            set_name="clinc150/bank",
            rounds=1,
            base=str(tiny_base),
            threads=1,
            recipe=["epochs=1"],
            must=1000.0,
        )
    assert left.value.exit_code == 1


def test_accuracy_is_compared_text_by_text() -> None:
    from benchmarks.quality.speed import gained

    half = np.arange(400) % 2 == 0
    assert gained({"ours": [half, half], "plain": [half, half]}) == [0, 0, 0]
    fewer = half & (np.arange(400) >= 80)  # 40 texts that the peer has right, and we have not
    mean, low, high = gained({"ours": [fewer, half], "plain": [half, half]})
    assert mean == pytest.approx(-0.05)
    assert low < mean < high < 0
    assert (high - low) / 3.92 == pytest.approx(0.5 * np.sqrt(0.1 * 0.9 / 400), rel=0.1)


def test_speed_does_not_make_up_for_accuracy() -> None:
    from benchmarks.quality.speed import falls_short

    def short(ratio: float, high: float) -> bool:
        return falls_short({"ratio": ratio, "must": 1.3, "gain": [-0.01, -0.02, high]})

    assert not short(1.3, 0.001)
    assert short(1.2, 0.001)
    assert short(9.0, -0.001)


def test_macro_f1_is_what_an_evaluation_says() -> None:
    from adapter_platform.core.examples import Example
    from adapter_platform.core.labels import Label, LabelScheme
    from adapter_platform.core.training.verdicts import Verdicts, all_once, metrics
    from benchmarks.quality.score import macro_f1

    single = LabelScheme("single", tuple(map(Label, ("a", "b", "c", "nobody"))))
    wanted, given = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 2])
    texts = [Example("x", (single.classes[k],)) for k in wanted]
    verdicts = Verdicts.of(np.eye(4)[given], texts, single)
    (eval_says,) = metrics(verdicts, all_once(verdicts))["macro_f1"]
    assert macro_f1(wanted, given) == pytest.approx(eval_says)
    assert macro_f1(verdicts.wanted, verdicts.given) == pytest.approx(eval_says)
    assert macro_f1(np.zeros((2, 3), int), np.zeros((2, 3), int)) == 1


def test_a_document_is_shown_when_it_is_measured_as_it_is_when_it_was_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks.quality.document import present, show

    def lines(document: Mapping[str, Any]) -> Iterator[str]:
        for name, value in document.items():
            yield f"{name}: {value:.2f}"

    document, target = {"one": 0.125, "two": 2.0}, tmp_path / "kept.json"
    present(document, lines, None)
    assert not list(tmp_path.iterdir())
    measured = capsys.readouterr().out
    present(document, lines, target)
    assert target.read_text(encoding="utf-8") == '{\n  "one": 0.125,\n  "two": 2.0\n}\n'
    assert capsys.readouterr().out == measured == "one: 0.12\ntwo: 2.00\n"
    show(target, lines)
    assert capsys.readouterr().out == measured


def test_kept_figures_are_shown_as_they_were_measured(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    figures = {"the right one": [0.9864, 0.9831, 0.9898]}
    kept.write_text(json.dumps({"figures": figures, "inside": 4500, "outside": 1000}))
    shown = CliRunner().invoke(app, ["routing", str(kept)]).stdout
    assert "0.9864  (0.9831 to 0.9898)" in shown
    assert "4500 texts in scope, 1000 out of scope" in shown
    figures = {"base": "minilm", "reject": 0.02, "figures": figures, "inside": 1, "outside": 1}
    kept.write_text(json.dumps(figures))
    shown = CliRunner().invoke(app, ["routing", str(kept)]).stdout
    assert "minilm, turned away below typicality 0.02" in shown
    lines = [
        {"what": "ECE", "score": "temperature", "domain": domain, "value": value, "interval": ends}
        for domain, value, ends in (
            ("mean", 0.03, [0.01, 0.06]),
            ("banking", 0.02, [0.01, 0.04]),
            ("work", 0.04, [0.03, 0.06]),
        )
    ]
    kept.write_text("".join(json.dumps(line) + "\n" for line in lines))
    shown = CliRunner().invoke(app, ["scope", str(kept)]).stdout
    assert shown.split() == [
        *("ECE", "mean", "95", "%", "interval", "lowest", "highest"),
        *("temperature", "3.00", "1.00", "to", "6.00", "2.00", "banking", "4.00", "work"),
    ]


def test_imported_checkpoints_of_hand_written_lora_are_as_exact_as_the_old_model(
    tmp_path: Path, private_home: Path
) -> None:
    from benchmarks.quality import legacy

    target = tmp_path / "legacy.json"
    legacy.main(target, only=["tiny, rank 4"])
    found = json.loads(target.read_text(encoding="utf-8"))["lines"]
    assert [line["engine"] for line in found] == list(legacy.ENGINES)
    for line in found:
        assert 0 < line["own"] < 1e-4
        assert line["ratio"] == line["error"] / line["own"] <= legacy.MUST
    shown = CliRunner().invoke(app, ["legacy", str(target)])
    assert f"{found[0]['ratio']:.2f}" in shown.stdout


def test_labels_put_wrong_are_counted_as_found_where_they_stand(
    data: Path, tiny_base: Path, tmp_path: Path, private_home: Path
) -> None:
    from benchmarks.quality import label_errors

    target = tmp_path / "label_errors.json"
    label_errors.main(
        data, domain=["bank"], base=str(tiny_base), share=0.125, seeds=2, json_file=target
    )
    document = json.loads(target.read_text(encoding="utf-8"))
    (found,) = document["domains"]
    assert found["texts"] == 2 * 3 * 8
    assert [draw["wrong"] for draw in found["draws"]] == [6, 6]
    for draw in found["draws"]:
        assert draw["precision"] * draw["found"] == pytest.approx(draw["recall"] * draw["wrong"])
        assert draw["recall"] > 0.125  # as a random guess at so many would be
    one, other = (draw["precision"] for draw in found["draws"])
    assert found["figures"]["precision"] == pytest.approx([(one + other) / 2, abs(one - other) / 2])
    shown = CliRunner().invoke(app, ["label-errors", str(target)]).stdout
    assert f"{(one + other) / 2:.3f} ± {abs(one - other) / 2:.3f}" in shown
    assert "12.5 % of the labels wrong, draws: 2" in shown


def test_a_wrong_label_that_is_not_found_lowers_recall_and_a_false_alarm_precision() -> None:
    from adapter_platform.core.care.label_errors import LabelError
    from adapter_platform.core.examples import Example
    from benchmarks.quality.label_errors import figures, spoil

    examples = [Example(str(i), ("ab"[i % 2],), where=f"file:{i}") for i in range(40)]
    spoiled, wrong = spoil(examples, ("a", "b"), 0.1, seed=0)
    assert {was.where for was, now in zip(examples, spoiled, strict=True) if was != now} == wrong
    assert len(wrong) == 4
    right = next(example.where for example in examples if example.where not in wrong)
    alarms = [
        LabelError("", where, ("a",), ("b",), confidence=0.9, given_confidence=0.1)
        for where in (*sorted(wrong)[:2], right)
    ]
    assert figures(alarms, wrong) == {
        "found": 3,
        "precision": pytest.approx(2 / 3),
        "recall": 0.5,
        "surer_half": 1.0,
    }


def test_texts_that_are_suggested_are_judged_beside_as_many_at_random(
    data: Path, tiny_base: Path, tmp_path: Path, private_home: Path
) -> None:
    from benchmarks.quality import suggest

    target = tmp_path / "suggest.json"
    suggest.main(
        data, domain=["bank"], base=str(tiny_base), each=2, added=4, seeds=2, json_file=target
    )
    document = json.loads(target.read_text(encoding="utf-8"))
    (found,) = document["domains"]
    assert len(found["draws"]) == 2
    for draw in found["draws"]:
        assert set(draw) == set(suggest.WAYS)
        assert all(16 * value == round(16 * value) for value in draw.values())  # of 16 test texts
    gains = [draw["suggested"] - draw["random"] for draw in found["draws"]]
    mean, error = sum(gains) / 2, abs(gains[0] - gains[1]) / 2
    assert found["figures"]["gain"] == pytest.approx([mean, error])
    shown = CliRunner().invoke(app, ["suggest", str(target)]).stdout
    assert f"{100 * mean:+.1f} ± {100 * error:.1f}" in shown
    assert "2 texts a label to begin with, 4 added, draws: 2" in shown


def test_a_single_draw_has_no_error() -> None:
    from benchmarks.quality import suggest
    from benchmarks.quality.draws import over_draws

    assert over_draws([0.8, 0.9, 1.0]) == pytest.approx((0.9, 0.1 / np.sqrt(3)))
    draw = dict.fromkeys(suggest.WAYS, 0.5) | {"suggested": 0.75}
    about = {"each": 3, "added": 45, "seeds": 1, "base": "multilingual"}
    document = {**about, "domains": [{"domain": "bank", **suggest.summary([draw])}]}
    shown_line = list(suggest.lines(document))[1]
    assert shown_line.split()[1:] == ["50.0", "50.0", "75.0", "+25.0", "50.0", "50.0", "+0.0"]
