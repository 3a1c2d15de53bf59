"""A training from data to a published adapter: what comes out, and what is refused."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from safetensors.numpy import load_file
from transformers import TrainerCallback
from transformers.integrations import integration_utils

from adapter_platform.core.engine.peft_groups import IMPOSSIBLE
from adapter_platform.core.errors import (
    PlatformError,
    PluginError,
    RecipeError,
    StoreError,
    TrainingError,
    UnknownName,
    UsageError,
)
from adapter_platform.core.hashes import sha256
from adapter_platform.core.labels import Label, LabelScheme
from adapter_platform.core.registry import Brought, NullListener, Step
from adapter_platform.core.scope import read_scope
from adapter_platform.core.store.manifest import Manifest, StepRecord
from adapter_platform.core.training.linear import log_loss
from adapter_platform.core.training.prepare import prepare
from adapter_platform.core.training.run import plan, train
from adapter_platform.core.training.workshop import Quiet, Workshop
from adapter_platform.plugins.postprocess.abstain import Abstain

from .conftest import TOPICS, MakeRequest, WriteTexts, write_rows
from .outcomes import (
    TENSORS,
    Said,
    adapter_of,
    assert_same_adapter,
    plain_logits,
    platform_logits,
    tensors,
)

MULTI = {"refund": 10, "delivery": 10, "login": 10, "refund|delivery": 6, "refund|login": 6}
HIERARCHY = {"shop/refund": 14, "shop/delivery": 14, "account/login": 14}


# What comes out


@pytest.mark.parametrize(
    ("kind", "counts", "pooling", "has_pooler"),
    [
        ("single", dict.fromkeys(TOPICS, 14), "mean", False),
        ("multi", MULTI, "cls", True),
        ("hierarchical", HIERARCHY, "pooler", True),
    ],
    ids=["single mean", "multi cls", "hierarchical pooler"],
)
def test_every_kind_and_head_gives_an_adapter_that_plain_peft_runs(
    ask: MakeRequest,
    workshop: Workshop,
    write_texts: WriteTexts,
    tiny_base: Path,
    tiny_base_without_pooler: Path,
    kind: str,
    counts: dict[str, int],
    pooling: str,
    has_pooler: bool,
) -> None:
    base = tiny_base if has_pooler else tiny_base_without_pooler
    request = ask(data=write_texts(counts), pooling=pooling, base=base)
    outcome = train(request, workshop, Quiet())
    manifest = outcome.manifest
    assert (manifest.scheme.kind, manifest.pooling) == (kind, pooling)
    assert set(manifest.scheme.classes) == {label for key in counts for label in key.split("|")}
    test = prepare(request, workshop).splits.test
    texts = [example.text for example in test]
    logits = plain_logits(base, adapter_of(outcome, workshop), pooling, texts)
    np.testing.assert_allclose(platform_logits(workshop, "support", texts), logits, atol=1e-4)
    # The figures in the manifest are of these very logits.
    calibration, right = manifest.calibration, 0
    for row, example in zip(manifest.scheme.probabilities(logits), test, strict=True):
        decision = manifest.scheme.decide(row, calibration.thresholds)
        given = {n for n, _ in decision.labels} if kind == "multi" else {decision.label}
        right += given == set(example.labels)
    assert manifest.metrics["test.accuracy"] == pytest.approx(right / len(test), abs=1e-6)


SMALL: Mapping[str, Mapping[str, Any]] = {
    "C3A": {"block_size": 8},
    "MISS": {"r": 4},
    "ROAD": {"group_size": 8},
    "SHIRA": {"r": 4},
    "TRAINABLE_TOKENS": {"token_indices": [10, 11, 12]},
    "VBLORA": {"num_vectors": 16, "vector_length": 8},
    "WAVEFT": {"n_frequency": 20},
}
"""Settings of methods whose defaults are for wider bases than the tiny one."""


@pytest.mark.parametrize(
    "method", ["DORA", *sorted({m.value for m in PEFT_TYPE_TO_CONFIG_MAPPING} - set(IMPOSSIBLE))]
)
def test_any_peft_method_by_name_gives_an_adapter_that_plain_peft_and_the_platform_run(
    ask: MakeRequest, workshop: Workshop, tiny_base: Path, method: str
) -> None:
    settings = SMALL.get(method, {})
    request = ask(
        request={"allow_worse": True},
        peft_method=method,
        pooling="mean",
        learning_rate=0.01,
        peft=settings,
    )
    outcome = train(request, workshop, Quiet())
    assert outcome.manifest.peft_method == ("LORA" if method == "DORA" else method)
    config = json.loads((adapter_of(outcome, workshop) / "adapter_config.json").read_text())
    assert config.get("use_dora", False) == (method == "DORA")
    texts = ["my money was charged", "late parcel", "reset the password please"]
    logits = plain_logits(tiny_base, adapter_of(outcome, workshop), "mean", texts)
    np.testing.assert_allclose(platform_logits(workshop, "support", texts), logits, atol=1e-4)


def test_the_seed_preset_trains_exactly_as_the_seed(
    ask: MakeRequest, workshop: Workshop, tiny_base: Path
) -> None:
    said = Said()
    outcome = train(ask(preset="seed"), workshop, said)
    directory = adapter_of(outcome, workshop)
    config = json.loads((directory / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA"
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (8, 16, 0.1)
    assert set(config["target_modules"]) == {"query", "key", "value", "dense"}
    assert config["bias"] == "none"
    assert not config["modules_to_save"]
    assert not config["use_rslora"]
    assert not config["use_dora"]
    recipe = json.loads((directory / "training_config.json").read_text())
    assert recipe["learning_rate"] == 1e-4
    assert (recipe["epochs"], recipe["batch_size"], recipe["warmup"]) == (5, 8, 0.1)
    assert outcome.manifest.max_length == 128
    steps = 5 * -(-outcome.report["splits"]["train"] // 8)
    assert said.steps[-1] == (steps, steps)
    # The tiny base has a pooler, so the head reads it, and LoRA is on its dense layer too.
    assert outcome.manifest.pooling == "pooler"
    parts = ["attention.self.query", "attention.self.key", "attention.self.value"]
    parts += ["attention.output.dense", "intermediate.dense", "output.dense"]
    sites = {f"encoder.layer.{i}.{part}" for i in range(2) for part in parts} | {"pooler.dense"}
    found = {name.removeprefix("base_model.model.") for name in load_file(directory / TENSORS)}
    assert found == {f"{site}.lora_{half}.weight" for site in sites for half in "AB"}


def test_what_is_published_is_whole_and_says_how_it_was_made(
    ask: MakeRequest, workshop: Workshop, tiny_base: Path
) -> None:
    said = Said()
    request = ask(epochs=2, request={"description": "What customers ask."})
    first = train(request, workshop, said)
    manifest = first.manifest
    assert workshop.store.resolve("support").manifest == manifest
    assert workshop.store.verify("support") == []
    assert set(manifest.files) == {
        "README.md",
        "adapter_config.json",
        TENSORS,
        "head.json",
        "head.safetensors",
        "report.json",
        "routing.safetensors",
        "seen.safetensors",
        "training_config.json",
    }
    assert (manifest.version, manifest.parent, manifest.max_length) == (1, None, 32)
    assert (manifest.long_text, manifest.window_stride) == ("truncate", None)
    assert manifest.description == "What customers ask."
    assert manifest.base == workshop.bases.resolve(str(tiny_base)).record()
    assert manifest.scheme == LabelScheme.of("single", sorted(TOPICS))
    assert manifest.tokens_per_character == 1, "the tiny base has a token for each character"
    assert {"torch", "transformers", "peft"} <= set(manifest.libraries)
    line = next(line for line in said.lines if line.startswith("trainable params: "))
    assert f"{manifest.trainable_parameters:,d} ||" in line
    report = json.loads((adapter_of(first, workshop) / "report.json").read_text())
    assert report == first.report
    assert manifest.data_fingerprint == prepare(request, workshop).dataset.fingerprint()
    assert first.promoted
    assert not first.resumed
    second = train(replace(request, promote=False), workshop, Quiet())
    assert (second.manifest.version, second.manifest.parent, second.promoted) == (2, 1, False)
    assert workshop.store.current("support") == 1


def test_the_report_has_the_probe_and_tfidf_beside_the_adapter(
    ask: MakeRequest, workshop: Workshop
) -> None:
    outcome = train(ask(), workshop, Quiet())
    for split in ("val", "test"):
        ours = outcome.report[split]
        assert ours["n"] == outcome.report["splits"][split] > 0
        for baseline in ("probe", "tfidf"):
            assert set(outcome.report["baselines"][baseline][split]) == set(ours["metrics"])
            key = f"{split}.{baseline}.accuracy"
            assert 0 <= outcome.manifest.metrics[key] <= 1
    assert outcome.manifest.metrics["test.tfidf.accuracy"] == 1, "each topic has its own words"


def test_the_base_is_not_touched(ask: MakeRequest, workshop: Workshop, tiny_base: Path) -> None:
    before = {path.name: sha256(path) for path in tiny_base.iterdir() if path.is_file()}
    outcome = train(ask(peft={"bias": "all"}), workshop, Quiet())
    assert {p.name: sha256(p) for p in tiny_base.iterdir() if p.is_file()} == before
    names = load_file(adapter_of(outcome, workshop) / TENSORS)
    assert all("lora_" in name or name.endswith(".bias") for name in names)


def test_the_same_seed_gives_the_same_adapter_and_another_seed_another(
    ask: MakeRequest, workshop: Workshop
) -> None:
    one, same, other = (train(ask(seed=seed), workshop, Quiet()) for seed in (1, 1, 2))
    assert one.manifest.metrics == same.manifest.metrics
    assert_same_adapter(tensors(one, workshop), tensors(same, workshop))
    left, right = tensors(one, workshop), tensors(other, workshop)
    assert any(not np.allclose(left[name], right[name]) for name in left)


def test_listeners_hear_of_a_training_in_order(ask: MakeRequest, workshop: Workshop) -> None:
    heard: list[tuple[str, Any]] = []

    class Listener(NullListener):
        def before_training(self, name: str, recipe: Any) -> None:
            heard.append(("before", name))

        def after_training(self, manifest: Manifest) -> None:
            heard.append(("after", manifest.version))
            assert workshop.store.names() == []

        def after_adapter_published(self, manifest: Manifest) -> None:
            heard.append(("published", manifest.version))
            assert workshop.store.current("support") == 1

    train(ask(), replace(workshop, listener=Listener()), Quiet())
    assert heard == [("before", "support"), ("after", 0), ("published", 1)]


def test_rows_may_be_json_with_lists_of_labels(
    ask: MakeRequest, workshop: Workshop, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [
        {"text": f"{' '.join(TOPICS[topic][i : i + 4])} {other}", "label": labels}
        for i in range(5)
        for topic, labels in (("refund", ["refund"]), ("login", ["login"]), ("delivery", []))
        for other in ("why", "how")
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    manifest = train(ask(data=f"jsonl:{path}"), workshop, Quiet()).manifest
    assert manifest.scheme == LabelScheme.of("multi", ["login", "refund"])


def test_data_too_small_to_judge_by_is_trained_on_and_said_to_be(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts
) -> None:
    said = Said()
    data = {"train": write_texts(dict.fromkeys(TOPICS, 1))}
    scores = {"test": write_texts(dict.fromkeys(TOPICS, 2), name="test", seed=5)}
    outcome = train(ask(data={**data, **scores}), workshop, said)
    assert outcome.report["val"] is None
    assert not [key for key in outcome.manifest.metrics if key.startswith("val.")]
    assert outcome.manifest.metrics["test.probe.accuracy"] >= 0
    note = "too few examples to hold any back for a validation split"
    assert note in said.lines
    assert note in outcome.report["notes"]


def test_rows_that_cannot_be_used_are_told_of_in_the_report(
    ask: MakeRequest, workshop: Workshop, texts: str
) -> None:
    with Path(texts.removeprefix("csv:")).open("a", encoding="utf-8") as file:
        file.write("a text without a label,\n")
    said = Said()
    outcome = train(ask(), workshop, said)
    note = next(note for note in outcome.report["notes"] if "cannot be used" in note)
    assert note.startswith("1 of 49 rows cannot be used: texts.csv:50: ")
    assert note in said.lines


def test_texts_with_different_labels_are_told_of_in_the_report(
    ask: MakeRequest, workshop: Workshop, texts: str
) -> None:
    path = Path(texts.removeprefix("csv:"))
    first = path.read_text(encoding="utf-8").splitlines()[1]
    text, label = first.rsplit(",", 1)
    other = next(topic for topic in TOPICS if topic != label)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{text},{other}\n")
    said = Said()
    outcome = train(ask(), workshop, said)
    note = next(note for note in outcome.report["notes"] if "different labels" in note)
    assert note.startswith(f"1 text stands with different labels, {text!r}: ")
    assert f"{label} at texts.csv:2, {other} at texts.csv:50" in note
    assert said.lines.count(note) == 1


# Against the probe


@pytest.fixture
def ruined(ask: MakeRequest, write_texts: WriteTexts) -> Any:
    """``ruined(allow_worse=...)``: a request whose learning rate breaks what the base can do."""
    parts = {"train": 16, "val": 12, "test": 4}
    data = {
        split: write_texts(dict.fromkeys(TOPICS, n), name=split, seed=n)
        for split, n in parts.items()
    }

    def make(**request: Any) -> Any:
        return ask(
            data=data,
            pooling="mean",
            learning_rate=50,
            head="trained",
            loss="cross_entropy",
            request=request,
        )

    return make


def test_an_adapter_that_is_worse_than_the_probe_says_so_and_does_not_become_current(
    ask: MakeRequest, workshop: Workshop, ruined: Any
) -> None:
    train(ask(pooling="mean"), workshop, Quiet())
    said = Said()
    outcome = train(ruined(), workshop, said)
    metrics = outcome.manifest.metrics
    ours, probe = metrics["val.accuracy"], metrics["val.probe.accuracy"]
    assert ours < probe
    assert outcome.manifest.worse_than_probe
    assert not outcome.promoted
    assert workshop.store.current("support") == 1
    assert workshop.store.versions("support") == [1, 2]
    card = (adapter_of(outcome, workshop) / "README.md").read_text(encoding="utf-8")
    figures = f"accuracy {100 * ours:.1f} against {100 * probe:.1f} on the val split"
    assert f"worse than logistic regression on the frozen base: {figures}" in card
    assert f"worse than the probe: {figures}" in said.lines


def test_it_becomes_current_where_that_is_allowed(workshop: Workshop, ruined: Any) -> None:
    outcome = train(ruined(allow_worse=True), workshop, Quiet())
    assert outcome.manifest.worse_than_probe
    assert outcome.promoted
    assert workshop.store.current("support") == 1


# Experiment trackers


class Diary(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """A tracker that writes where TensorBoard would."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        with (Path(args.output_dir) / "diary.txt").open("a", encoding="utf-8") as file:
            file.write(f"{state.global_step} {sorted(logs)}\n")


def test_what_a_tracker_writes_stays_and_it_is_said_where(
    ask: MakeRequest, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "diary", Diary)
    said = Said()
    train(ask(report_to=["diary"]), workshop, said)
    logs = workshop.cache / "logs" / "support"
    assert f"logs of diary: {logs}" in said.lines
    lines = (logs / "diary.txt").read_text(encoding="utf-8").splitlines()
    assert any("loss" in line for line in lines)
    assert [path.name for path in logs.iterdir()] == ["diary.txt"], "no checkpoint lies there"
    assert not list((workshop.cache / "training").iterdir())


def test_tensorboard_gets_the_losses(ask: MakeRequest, workshop: Workshop) -> None:
    accumulation = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(ask(report_to=["tensorboard"]), workshop, Quiet())
    (events,) = (workshop.cache / "logs" / "support").rglob("events.out.tfevents.*")
    found = accumulation.EventAccumulator(str(events.parent)).Reload()
    assert "train/loss" in found.Tags()["scalars"]


def test_a_tracker_that_nobody_knows_is_refused_with_the_nearest(
    ask: MakeRequest, workshop: Workshop
) -> None:
    error = refused(ask(report_to=["tensorbord"]), workshop, RecipeError)
    assert error.message == "there is no experiment tracker named 'tensorbord'"
    assert error.hint == "did you mean 'tensorboard'?"


@pytest.mark.parametrize(("name", "package"), [("trackio", "trackio"), ("comet_ml", "comet-ml")])
def test_a_tracker_that_is_not_installed_is_refused_with_what_to_install(
    ask: MakeRequest, workshop: Workshop, name: str, package: str
) -> None:
    if importlib.util.find_spec(name):
        pytest.skip("it is there")
    error = refused(ask(report_to=[name]), workshop, RecipeError)
    assert error.message.startswith(f"the experiment tracker {name!r} of report_to cannot be used")
    assert f"pip install {package}" in (error.hint or "")


def test_a_training_without_a_tracker_leaves_no_directory_of_logs(
    ask: MakeRequest, workshop: Workshop
) -> None:
    train(ask(), workshop, Quiet())
    assert not (workshop.cache / "logs").exists()


def test_logs_that_cannot_be_written_end_in_a_sentence(
    ask: MakeRequest, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "diary", Diary)
    workshop.bases.resolve(ask().base_id)
    (workshop.cache / "logs").write_text("a file", encoding="utf-8")
    with pytest.raises(TrainingError, match="logs cannot be written to"):
        train(ask(report_to=["diary"]), workshop, Quiet())
    assert workshop.store.names() == []


# Uneven classes


@pytest.mark.parametrize(
    ("most", "setting", "balanced"),
    [(31, "auto", True), (30, "auto", False), (31, "none", False), (10, "balanced", True)],
)
def test_classes_are_weighed_where_the_largest_has_more_than_three_times_the_smallest(
    ask: MakeRequest,
    workshop: Workshop,
    write_texts: WriteTexts,
    most: int,
    setting: str,
    balanced: bool,
) -> None:
    train_texts = write_texts({"refund": most, "delivery": 12, "login": 10})
    others = write_texts(dict.fromkeys(TOPICS, 2), name="others", seed=5)
    data = {"train": train_texts, "val": others, "test": others}
    request = ask(data=data, class_weights=setting, label_texts=False)
    assert prepare(request, workshop).balanced == balanced


def test_weights_let_rare_classes_be_answered(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts
) -> None:
    data = {
        "train": write_texts({"refund": 60, "delivery": 5, "login": 5}),
        "val": write_texts(dict.fromkeys(TOPICS, 10), name="val", seed=5),
        "test": write_texts(dict.fromkeys(TOPICS, 10), name="test", seed=6),
    }
    recall = {}
    for setting in ("none", "balanced"):
        request = ask(
            data=data,
            class_weights=setting,
            layers="all",
            pooling="mean",
            head="trained",
            loss="cross_entropy",
        )
        rows = train(request, workshop, Quiet()).report["test"]["per_class"]
        recall[setting] = sum(r["recall"] for r in rows if r["label"] != "refund")
    assert recall["balanced"] > recall["none"]


def test_multi_label_classes_can_be_weighed_even_where_a_text_of_each_has_one(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts
) -> None:
    data = write_texts({"refund|login": 10, "refund|delivery": 10, "refund": 10})
    request = ask(data=data, class_weights="balanced", request={"kind": "multi"})
    outcome = train(request, workshop, Quiet())
    by_label = {row["label"]: row for row in outcome.report["test"]["per_class"]}
    assert by_label["refund"]["recall"] == 1


# Labels' own texts


def test_names_for_people_count_as_training_texts_unless_they_stand_in_the_test(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts
) -> None:
    spoken = {"refund": "money back please", "delivery": "where it is", "login": "password lost"}
    scheme = LabelScheme(
        "single", tuple(Label(name, {"en": text}) for name, text in spoken.items())
    )
    texts = write_texts(dict.fromkeys(TOPICS, 8))
    taken = Path(texts.removeprefix("csv:"))
    judged = taken.with_name("judged.csv")
    judged.write_text("text,label\nPassword lost,login\nsome money,refund\n", encoding="utf-8")
    data = {"train": texts, "val": str(judged), "test": str(judged)}
    with_them = prepare(ask(data=data, request={"scheme": scheme}), workshop)
    extra = {e.text for e in with_them.splits.train} & set(spoken.values())
    assert extra == {"money back please", "where it is"}
    without = prepare(ask(data=data, label_texts=False, request={"scheme": scheme}), workshop)
    assert len(without.splits.train) == 24
    assert len(with_them.rows["train"]) == len(with_them.wanted["train"]) == 26


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("set_alarm", "set alarm"),
        ("PlayMusic", "play music"),
        ("data_platform/cleaning", "data platform cleaning"),
        ("HR-Support", "HR support"),
        ("数据清洗", "数据清洗"),
        ("LABEL_0", None),
        ("c1", None),
        ("A_B", None),
    ],
)
def test_a_label_that_nothing_else_names_counts_as_a_training_text_by_the_words_of_its_name(
    ask: MakeRequest, workshop: Workshop, tmp_path: Path, name: str, words: str | None
) -> None:
    path = tmp_path / "named.csv"
    rows = [
        {"text": f"text {n} of {i}", "label": [name, "c2"][i]} for n in range(12) for i in (0, 1)
    ]
    data = write_rows(path, rows)
    extra = [e for e in prepare(ask(data=data), workshop).splits.train if e.where == "label scheme"]
    assert [(e.text, e.labels) for e in extra] == ([(words, (name,))] if words else [])
    without = prepare(ask(data=data, label_texts=False), workshop).splits.train
    assert not any(e.where == "label scheme" for e in without)


def test_it_is_said_how_many_labels_names_are_added_to_the_training_texts(
    ask: MakeRequest, workshop: Workshop
) -> None:
    notes = prepare(ask(), workshop).notes
    assert "3 texts are added to the training texts: the labels' names and descriptions" in notes
    assert not any("added" in n for n in prepare(ask(label_texts=False), workshop).notes)


def test_a_class_cannot_be_learnt_from_the_words_of_its_name_alone(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts
) -> None:
    scheme = LabelScheme.of("single", [*TOPICS, "complaint"])
    request = ask(data=write_texts(dict.fromkeys(TOPICS, 8)), request={"scheme": scheme})
    with pytest.raises(TrainingError, match="'complaint' has no training example"):
        prepare(request, workshop)


def test_a_share_of_the_texts_counts_once_more_with_a_typing_error(
    ask: MakeRequest, workshop: Workshop
) -> None:
    plain, more = (
        prepare(ask(typos=share, label_texts=False), workshop).splits for share in (0.0, 0.5)
    )
    assert more.train[: len(plain.train)] == plain.train
    added = more.train[len(plain.train) :]
    assert len(added) == pytest.approx(len(plain.train) / 2, abs=1)
    assert not {e.text for e in added} & {e.text for e in plain.train}
    assert (more.val, more.test) == (plain.val, plain.test)


# What is refused, before any work


def refused(request: Any, workshop: Workshop, error: type[PlatformError]) -> PlatformError:
    """The error; nothing has been read with the base, nothing is in the store."""
    said = Said()
    with pytest.raises(error) as caught:
        train(request, workshop, said)
    assert said.notes == []
    assert workshop.store.names() == []
    with pytest.raises(error):
        plan(request, workshop)
    return caught.value


def test_a_label_without_a_training_example_is_named(ask: MakeRequest, workshop: Workshop) -> None:
    scheme = LabelScheme.of("single", [*TOPICS, "praise"])
    error = refused(ask(request={"scheme": scheme}), workshop, TrainingError)
    assert error.message == "the label 'praise' has no training example"
    assert error.hint is not None


def test_the_contrastive_loss_is_refused_for_several_labels(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts
) -> None:
    request = ask(data=write_texts(MULTI), loss="contrastive")
    assert "multi-label" in refused(request, workshop, TrainingError).message


def test_an_unknown_step_or_setting_of_a_step_is_refused(
    ask: MakeRequest, workshop: Workshop
) -> None:
    unknown = ask(request={"postprocess": (Step("abstian", {"threshold": 0.5}),)})
    error = refused(unknown, workshop, UnknownName)
    assert error.hint == "did you mean 'abstain'?"
    wrong = ask(request={"postprocess": (Step("abstain", {"threshold": 2}),)})
    assert "threshold" in refused(wrong, workshop, PlatformError).message


def test_a_training_publishes_a_scope_that_its_validation_texts_look_in(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts
) -> None:
    data = {
        "train": write_texts(dict.fromkeys(TOPICS, 20), "train"),
        "val": write_texts(dict.fromkeys(TOPICS, 20), "val", seed=1),
        "test": write_texts(dict.fromkeys(TOPICS, 4), "test", seed=2),
    }
    outcome = train(ask(data=data, request={"allow_worse": True}), workshop, Quiet())
    source = workshop.store.resolve("support")
    assert "scope.safetensors" in outcome.manifest.files
    scope = read_scope(source)
    assert len(scope.centroids) == 3
    assert len(scope.known) == 60
    assert not [note for note in outcome.report["notes"] if "out of scope" in note]


def test_too_few_validation_texts_leave_an_adapter_without_a_scope_and_that_is_said(
    ask: MakeRequest, workshop: Workshop
) -> None:
    said = Said()
    outcome = train(ask(), workshop, said)
    assert "scope.safetensors" not in outcome.manifest.files
    (sentence,) = [line for line in said.lines if "out of scope" in line]
    assert sentence.endswith(" cannot say how far is out of scope: 30 are needed")
    assert sentence in outcome.report["notes"]


@pytest.mark.parametrize("kind", ["single", "multi", "hierarchical"])
def test_a_step_that_asks_for_an_outcome_is_fitted_on_validation_and_kept_as_fitted(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts, kind: str
) -> None:
    counts = {
        "single": dict.fromkeys(TOPICS, 24),
        "multi": dict.fromkeys(MULTI, 16),
        "hierarchical": dict.fromkeys(HIERARCHY, 24),
    }[kind]
    data = {"train": write_texts(counts, "train"), "val": write_texts(counts, "val", seed=1)}
    step = Step("abstain", {"max_error": 0.3})
    request = ask(data=data, request={"postprocess": (step,), "allow_worse": True})
    outcome = train(request, workshop, Quiet())
    (record,) = outcome.manifest.postprocess
    assert set(record.settings) == {"max_error", "threshold"}
    # Whoever reads the manifest can see that it holds on the validation texts.
    examples = prepare(ask(data=data), workshop).splits.val
    logits = platform_logits(workshop, "support", [example.text for example in examples])
    calibration, scheme = outcome.manifest.calibration, outcome.manifest.scheme
    answered, wrong = 0, 0
    for row, example in zip(
        scheme.probabilities(logits, calibration.temperature), examples, strict=True
    ):
        decision = scheme.decide(row, calibration.thresholds)
        if decision.confidence >= record.settings["threshold"]:
            given = {n for n, _ in decision.labels} if kind == "multi" else {decision.label}
            answered += 1
            wrong += given != set(example.labels)
    told = [note for note in outcome.report["notes"] if "cannot be fitted" in note]
    assert answered > 0
    if told:
        assert f"promises nothing: {wrong} of {answered} answers" in told[0]
    else:
        assert wrong / answered <= 0.3


def test_a_step_is_fitted_on_what_the_steps_before_it_leave(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts
) -> None:
    counts = dict.fromkeys(TOPICS, 24)
    data = {"train": write_texts(counts, "train"), "val": write_texts(counts, "val", seed=1)}
    steps = (Step("abstain", {"threshold": 1}), Step("abstain", {"max_error": 0.3}))
    outcome = train(ask(data=data, request={"postprocess": steps}), workshop, Quiet())
    assert outcome.manifest.postprocess[1].settings["threshold"] == 0
    assert any(
        note.startswith("0 validation texts are too few") for note in outcome.report["notes"]
    )


def test_a_step_that_fails_while_it_is_fitted_ends_in_a_sentence_and_publishes_nothing(
    ask: MakeRequest, workshop: Workshop
) -> None:
    class Broken(Abstain):
        def fit(self, *_: Any) -> Any:
            raise ZeroDivisionError("division by zero")

    steps = {"abstain": Brought(Broken(), "mine", "1.2")}
    broken = replace(workshop, registry=replace(workshop.registry, postprocessors=steps))
    request = ask(request={"postprocess": (Step("abstain", {"threshold": 0.5}),)})
    with pytest.raises(PluginError, match="'abstain' could not be fitted: ZeroDivisionError") as e:
        train(request, broken, Quiet())
    assert e.value.hint == "it is mine 1.2"
    assert workshop.store.names() == []


def test_steps_are_recorded_with_the_plugin_that_brings_them(
    ask: MakeRequest, workshop: Workshop
) -> None:
    steps = (Step("abstain", {"threshold": 0.5}),)
    manifest = train(ask(request={"postprocess": steps}), workshop, Quiet()).manifest
    recorded = StepRecord("abstain", {"threshold": 0.5}, "postprocess", "0.1")
    assert manifest.postprocess == (recorded,)


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"peft_method": "LORAA"}, "did you mean 'LORA'?"),
        ({"peft": {"lora_alfa": 1}}, "did you mean 'lora_alpha'?"),
        ({"peft": {"init_lora_weights": "pissa", "lora_bias": True}}, "leave one of them out"),
        ({"peft": {"init_lora_weights": "loftq"}}, "'pissa', 'olora' or 'eva'"),
        ({"peft": {"modules_to_save": ["pooler"]}}, "head"),
    ],
    ids=str,
)
def test_peft_settings_that_cannot_be_are_refused(
    ask: MakeRequest, workshop: Workshop, settings: dict[str, Any], hint: str
) -> None:
    error = refused(ask(**settings), workshop, RecipeError)
    assert hint in (error.hint or "")


def test_a_pooler_head_is_refused_on_a_base_without_one(
    ask: MakeRequest, workshop: Workshop, tiny_base_without_pooler: Path
) -> None:
    request = ask(pooling="pooler", base=tiny_base_without_pooler)
    assert refused(request, workshop, RecipeError).hint.startswith("set pooling=mean, or")


@pytest.mark.parametrize("name", ["", "a/b", "..", "current"])
def test_a_name_that_no_adapter_can_have_is_refused(
    ask: MakeRequest, workshop: Workshop, name: str
) -> None:
    refused(ask(request={"name": name}), workshop, UsageError)


def test_a_store_that_cannot_be_written_is_refused_before_the_work(
    ask: MakeRequest, workshop: Workshop
) -> None:
    workshop.store.root.write_text("a file", encoding="utf-8")
    said = Said()
    with pytest.raises(StoreError):
        train(ask(), workshop, said)
    assert said.lines == []


def test_a_training_that_runs_away_ends_in_a_sentence_and_publishes_nothing(
    ask: MakeRequest, workshop: Workshop
) -> None:
    with pytest.raises(TrainingError, match="ran away") as error:
        train(ask(learning_rate=1e10, pooling="mean"), workshop, Quiet())
    assert error.value.hint == "lower learning_rate"
    assert workshop.store.names() == []


def test_validation_decides_between_the_refitted_head_and_the_one_trained_along(
    ask: MakeRequest, workshop: Workshop, write_texts: WriteTexts
) -> None:
    parts = {"train": 6, "val": 12, "test": 4}
    data = {
        split: write_texts(dict.fromkeys(TOPICS, n), name=split, seed=n)
        for split, n in parts.items()
    }

    def head_and_loss(**recipe: Any) -> tuple[bool, Any, float]:
        said = Said()
        outcome = train(ask(data=data, pooling="mean", **recipe), workshop, said)
        head = load_file(adapter_of(outcome, workshop) / "head.safetensors")["weight"]
        prepared = prepare(ask(data=data, pooling="mean", **recipe), workshop)
        texts = [example.text for example in prepared.splits.val]
        logits = platform_logits(workshop, "support", texts)
        scheme, calibration = outcome.manifest.scheme, outcome.manifest.calibration
        loss = log_loss(scheme, logits / calibration.temperature, prepared.wanted["val"])
        return "validation keeps" in " ".join(said.lines), head, loss

    kept = set()
    wild = {"learning_rate": 3e-2, "epochs": 4}
    for settings in ({"loss": "contrastive"}, {"loss": "contrastive", **wild}):
        chose, head, loss = head_and_loss(**settings)
        _, refitted, refit_loss = head_and_loss(**settings, head="refit")
        assert loss < refit_loss if chose else np.array_equal(head, refitted)
        kept.add(chose)
    assert kept == {True, False}


# Planning


def test_a_plan_says_what_a_training_would_do_and_does_nothing(
    ask: MakeRequest, workshop: Workshop
) -> None:
    request, said = ask(epochs=2), Said()
    planned = plan(request, workshop)
    assert workshop.store.names() == []
    assert not (workshop.cache / "training").exists()
    outcome = train(request, workshop, said)
    assert planned.sizes == outcome.report["splits"]
    assert planned.epochs == 2
    assert said.steps[-1] == (planned.steps, planned.steps)
    assert planned.trainable in said.lines
    assert 0 < planned.seconds < 60
