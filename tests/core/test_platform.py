"""What a user of `Platform` can rely on, from a name to a prediction."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapter_platform.core.answers import CHUNK
from adapter_platform.core.asked import Asked
from adapter_platform.core.errors import (
    AdapterCorrupt,
    AdapterNotFound,
    AdapterUnsupported,
    BaseMismatch,
    BaseUnavailable,
    DataError,
    PluginError,
    RecipeError,
    UsageError,
)
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.platform import Platform
from adapter_platform.core.predictions import Prediction
from adapter_platform.core.registry import BaseModel, Brought, NullListener, Registry
from adapter_platform.core.scope import Scope, read_scope
from adapter_platform.core.settings import Settings
from adapter_platform.core.store.manifest import Calibration, Manifest, StepRecord
from adapter_platform.core.training.requests import TrainingOptions
from adapter_platform.plugins.sources.csv_file import CsvSource
from adapter_platform.plugins.testing import make_tiny_base

Publish = Callable[..., Manifest]


class Mark:
    """A step that writes its setting into `display`."""

    name = "mark"

    def build(
        self, settings: Mapping[str, Any], scheme: LabelScheme
    ) -> Callable[[Prediction], Prediction]:
        if set(settings) != {"with"}:
            raise PluginError("the step 'mark' has the setting 'with' and no other")

        def step(prediction: Prediction) -> Prediction:
            marked = f"{prediction.display or ''}{settings['with'] + ''}"
            return replace(prediction, display=marked, steps=(*prediction.steps, self.name))

        return step


class Hears(NullListener):
    def __init__(self) -> None:
        self.batches: list[Sequence[Prediction]] = []
        self.loaded: list[str] = []

    def after_adapter_loaded(self, manifest: Manifest, engine: str) -> None:
        self.loaded.append(manifest.reference)

    def on_predictions(self, predictions: Sequence[Prediction]) -> None:
        self.batches.append(predictions)


Open = Callable[..., Platform]


@pytest.fixture
def open_platform(tmp_path: Path) -> Iterator[Open]:
    """``open_platform(registry, listener, **settings)``: a platform over one temporary store."""
    opened: list[Platform] = []
    starters = tmp_path / "no-starters"

    def run(registry: Registry | None = None, listener: Any = None, **settings: Any) -> Platform:
        # One thread is faster on so small a model, most of all where other processes run too.
        given = {"store": tmp_path / "store", "cache": tmp_path / "cache", "threads": 1} | settings
        platform = Platform(Settings(**given), registry or Registry(), listener, starters=starters)
        opened.append(platform)
        return platform

    yield run
    for platform in opened:
        platform.close()


@pytest.fixture
def platform(open_platform: Open) -> Platform:
    return open_platform()


# --- which adapter ----------------------------------------------------------------------------


def test_a_text_alone_gets_a_prediction_and_a_list_a_list(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "support", labels=3)
    one = platform.classify("how do i clean data?")
    assert isinstance(one, Prediction)
    assert one.label == max(one.probabilities, key=lambda name: one.probabilities[name])
    assert (one.adapter, one.version, one.engine) == ("support", 1, "packed")
    assert one.base == str(tiny_base)
    assert list(one.probabilities) == ["support-0", "support-1", "support-2"]
    assert sum(one.probabilities.values()) == pytest.approx(1)
    many = platform.classify(["how do i clean data?", "数据清洗"])
    assert [p.text for p in many] == ["how do i clean data?", "数据清洗"]
    assert many[0].probabilities == pytest.approx(one.probabilities, abs=1e-5)


def test_a_batch_may_mix_adapters_and_answers_in_the_callers_order(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    names = ["a", "b", "c"]
    for i, name in enumerate(names):
        publish_adapter(platform.store, tiny_base, name, labels=i + 2, seed=i)
    texts = [f"text {i} " * (1 + i % 4) for i in range(12)]
    asked = [names[i % 3] for i in range(12)]
    mixed = platform.classify(texts, adapter=asked)
    for text, name, prediction in zip(texts, asked, mixed, strict=True):
        alone = platform.classify(text, adapter=name)
        assert (prediction.text, prediction.adapter, prediction.label) == (text, name, alone.label)
        assert prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_without_a_name_the_default_of_the_settings_answers(
    open_platform: Open, tiny_base: Path, publish_adapter: Publish
) -> None:
    platform = open_platform(default_adapter="b@1")
    for seed, name in enumerate(("a", "b", "b")):
        publish_adapter(platform.store, tiny_base, name, seed=seed)
    prediction = platform.classify("hello")
    assert (prediction.adapter, prediction.version) == ("b", 1)
    assert platform.classify("hello", adapter="b").version == 2


def test_without_a_name_or_default_the_error_lists_the_choices(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    with pytest.raises(UsageError, match="no adapters yet"):
        platform.classify("hello")
    for name in ("a", "b"):
        publish_adapter(platform.store, tiny_base, name)
    with pytest.raises(UsageError) as caught:
        platform.classify("hello")
    assert (caught.value.hint or "").endswith(": a, b")


def test_an_unknown_name_suggests_the_nearest(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    for name in ("data_eng", "support"):
        publish_adapter(platform.store, tiny_base, name)
    with pytest.raises(AdapterNotFound, match="'data_egn'") as caught:
        platform.classify("hello", adapter="data_egn")
    assert caught.value.hint == "did you mean 'data_eng'?"
    with pytest.raises(AdapterNotFound, match="no version 7"):
        platform.classify("hello", adapter="support@7")


def test_a_new_version_answers_the_next_request(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "support", seed=0)
    before = platform.classify("hello")
    publish_adapter(platform.store, tiny_base, "support", seed=1)
    after = platform.classify("hello")
    assert (before.version, after.version) == (1, 2)
    assert before.probabilities != pytest.approx(after.probabilities, abs=1e-3)
    assert platform.classify("hello", adapter="support@1") == before


def test_a_stream_keeps_order_and_what_its_names_mean(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "a")
    publish_adapter(platform.store, tiny_base, "b", seed=1)

    def pairs() -> Iterator[tuple[str, str | None]]:
        for i in range(20):
            if i == 10:
                publish_adapter(platform.store, tiny_base, "a", seed=2)
            yield f"text {i}", "ab"[i % 2]

    answers = list(platform.classify_stream(pairs(), chunk=4))
    assert [p.text for p in answers] == [f"text {i}" for i in range(20)]
    assert {(p.adapter, p.version) for p in answers} == {("a", 1), ("b", 1)}
    assert platform.classify("hello", adapter="a").version == 2


def test_a_stream_reads_no_further_than_two_chunks(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "a")
    read: list[int] = []

    def pairs() -> Iterator[tuple[str, str | None]]:
        for i in range(100):
            read.append(i)
            yield "text", None

    stream = platform.classify_stream(pairs(), chunk=8)
    next(stream)
    assert len(read) == 16
    assert len(list(stream)) == 99


def test_a_stream_gives_the_answers_before_what_fails(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "a")
    pairs = [("text", "a")] * 10 + [("text", "b")]
    found: list[Prediction] = []
    with pytest.raises(AdapterNotFound, match="'b'"):
        found.extend(platform.classify_stream(pairs, chunk=4))
    assert len(found) == 8


def test_a_stream_that_is_left_runs_on_nowhere(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "a")
    before = set(threading.enumerate())
    stream = platform.classify_stream([("text", "a")] * 100, chunk=4)
    next(stream)
    assert any(t.name.startswith("stream") for t in set(threading.enumerate()) - before)
    stream.close()
    assert not any(t.name.startswith("stream") for t in set(threading.enumerate()) - before)
    with pytest.raises(StopIteration):
        next(stream)


def test_batches_are_answered_as_they_were_put_together_and_an_empty_one_has_its_place(
    open_platform: Open, tiny_base: Path, publish_adapter: Publish
) -> None:
    listener = Hears()
    platform = open_platform(listener=listener)
    publish_adapter(platform.store, tiny_base, "a")
    sizes, read = [3, 0, 0, 1, 0], []

    def batches() -> Iterator[list[tuple[str, str | None]]]:
        for size in sizes:
            read.append(size)
            yield [(f"text {i}", "a") for i in range(size)]

    found = platform.classify_batches(batches())
    assert [p.text for p in next(found)] == ["text 0", "text 1", "text 2"]
    assert len(read) == 2
    assert [len(batch) for batch in found] == sizes[1:]
    assert [len(batch) for batch in listener.batches] == [3, 1]


def test_a_stream_tells_of_each_chunk_once_on_the_callers_thread(
    open_platform: Open, tiny_base: Path, publish_adapter: Publish
) -> None:
    threads: list[int] = []

    class Listens(Hears):
        def on_predictions(self, predictions: Sequence[Prediction]) -> None:
            super().on_predictions(predictions)
            threads.append(threading.get_ident())

    listener = Listens()
    platform = open_platform(listener=listener)
    publish_adapter(platform.store, tiny_base, "a")
    answers = list(platform.classify_stream([("text", "a")] * 10, chunk=4))
    assert [len(batch) for batch in listener.batches] == [4, 4, 2]
    assert [p for batch in listener.batches for p in batch] == answers
    assert set(threads) == {threading.get_ident()}
    assert listener.loaded == ["a@1"]


# --- long texts -------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
@pytest.mark.parametrize("engine", ["packed", "peft"])
def test_a_long_text_is_read_in_windows_where_the_adapter_says_so(
    platform: Platform, tiny_base: Path, publish_adapter: Publish, pooling: str, engine: str
) -> None:
    how: dict[str, Any] = {"long_text": "windows", "stride": 6}
    publish_adapter(platform.store, tiny_base, "begins", pooling=pooling)
    publish_adapter(platform.store, tiny_base, "reads", pooling=pooling, **how)
    start, rest = "how do i clean data " * 4, "a: b, c. (d) e; f? " * 3
    short = "hello"
    texts = [short, start + rest, start]
    begins = platform.classify(texts, "begins", engine=engine)
    reads = platform.classify(texts, "reads", engine=engine)
    assert [p.truncated for p in begins] == [False, True, True]
    assert [p.truncated for p in reads] == [False, False, False]
    for prediction in (*begins, *reads):
        assert ("truncated" in {n.code for n in prediction.warnings}) is prediction.truncated
    assert [p.windows for p in begins] == [1, 1, 1]
    assert reads[0].windows == 1
    assert reads[1].windows > reads[2].windows > 1
    assert reads[1].to_dict()["windows"] == reads[1].windows
    one, other = list(begins[0].probabilities.values()), list(reads[0].probabilities.values())
    assert one == pytest.approx(other, abs=1e-6)
    one, other = list(begins[1].probabilities.values()), list(reads[1].probabilities.values())
    assert one != pytest.approx(other, abs=1e-3)


def test_the_logits_of_a_text_are_the_mean_over_its_windows_by_their_tokens(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "reads", long_text="windows", stride=0, max_length=6)
    (whole,) = platform.logits([". , . , . , . , . ,"], "reads")
    four, two = platform.logits([". , . ,", ". ,"], "reads")
    np.testing.assert_allclose(whole, (6 * four + 6 * four + 4 * two) / 16, atol=1e-5)


# --- scope ------------------------------------------------------------------------------------


ASKED = ["hello", "数据 a: b, c. (d) e; f?", "some other text"]


def read(platform: Platform, texts: list[str], adapter: str) -> tuple[Any, Any]:
    """What a scope goes by: pooled states and energies."""
    manifest, logits = platform.resolve(adapter).manifest, platform.logits(texts, adapter)
    energies = manifest.scheme.energies(logits, manifest.calibration.temperature)
    return platform.pooled(texts, adapter), energies


@pytest.fixture
def scoped(platform: Platform, tiny_base: Path, publish_adapter: Publish) -> Manifest:
    """An adapter ``scoped`` that knows texts between the least and the most strange of `ASKED`."""
    publish_adapter(platform.store, tiny_base, "plain", calibration=Calibration(2.0))
    states, energies = read(platform, ASKED, "plain")
    scope = Scope(
        whitening=np.eye(states.shape[1], dtype=np.float32),
        centroids=states[:1],
        weights=np.array([1, 0.1], np.float32),
        known=np.zeros(1, np.float32),
    )
    found = scope.strangeness(states, energies)
    known = np.linspace(found.min(), found.max(), 40, dtype=np.float32)
    scope = replace(scope, known=known)
    with platform.store.stage("scoped") as staged:
        shutil.copytree(platform.store.path("plain", 1), staged, dirs_exist_ok=True)
        scope.save(staged)
        manifest = replace(platform.resolve("plain").manifest, name="scoped")
        return platform.store.publish(staged, manifest)


@pytest.mark.parametrize("engine", ["packed", "numpy", "peft"])
def test_an_answer_says_how_strange_the_text_is_to_the_adapter(
    platform: Platform, scoped: Manifest, engine: str
) -> None:
    scope = read_scope(platform.resolve("scoped"))
    shares = scope.shares(*read(platform, ASKED, "scoped"))
    assert len({round(share, 2) for share in shares}) == 3
    answers = platform.classify(ASKED, "scoped", engine=engine)
    assert [answer.scope for answer in answers] == pytest.approx(shares, abs=1e-3)
    assert answers[1].to_dict()["scope"] == answers[1].scope
    mixed, _ = platform.classify([ASKED[2]] * 2, ["scoped", "plain"], engine=engine)
    assert mixed.scope == pytest.approx(shares[2], abs=1e-3)


def test_an_adapter_without_a_scope_answers_and_says_nothing_of_it(
    platform: Platform, scoped: Manifest
) -> None:
    prediction = platform.classify("hello", "plain")
    assert prediction.label is not None
    assert prediction.scope is None
    assert prediction.to_dict()["scope"] is None


def test_the_state_of_a_long_text_is_the_mean_over_its_windows_by_their_tokens(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "reads", long_text="windows", stride=0, max_length=6)
    (whole,) = platform.pooled([". , . , . , . , . ,"], "reads")
    four, two = platform.pooled([". , . ,", ". ,"], "reads")
    np.testing.assert_allclose(whole, (6 * four + 6 * four + 4 * two) / 16, atol=1e-5)
    assert platform.pooled([], "reads").shape == (0, whole.size)


def test_a_damaged_scope_ends_in_a_sentence_before_anything_is_answered(
    platform: Platform, scoped: Manifest
) -> None:
    path = platform.store.path("scoped", 1) / "scope.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(AdapterCorrupt, match=r"scoped@1 is damaged: scope\.safetensors has chang"):
        platform.classify("hello", "scoped")


def test_an_adapter_in_memory_keeps_its_scope_whatever_becomes_of_its_files(
    platform: Platform, scoped: Manifest
) -> None:
    source = platform.resolve("scoped")
    before = platform.classify("hello", "scoped").scope
    shutil.rmtree(source.path)
    again = platform._answering.predictions([Asked("hello", source)], None, "auto")
    assert again[0].scope == before


# --- wrong calls ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "options", "part"),
    [
        (5, {}, "not int"),
        (None, {}, "not NoneType"),
        (["a", 5], {}, "not int"),
        ([b"a"], {}, "not bytes"),
        (b"a", {}, "not bytes"),
        (["a", "b"], {"adapter": ["support"]}, "differ in number: 2 and 1"),
        (["a"], {"adapter": ["support", "support"]}, "differ in number: 1 and 2"),
        ("a", {"adapter": ["support"]}, "one text takes one adapter"),
        ("a", {"engine": "packe"}, "no engine named 'packe'"),
        ("a", {"adapter": "support@x"}, "does not name a version"),
    ],
)
def test_a_call_that_makes_no_sense_is_a_usage_error(
    platform: Platform,
    tiny_base: Path,
    publish_adapter: Publish,
    texts: Any,
    options: Any,
    part: str,
) -> None:
    publish_adapter(platform.store, tiny_base, "support")
    with pytest.raises(UsageError, match=part):
        platform.classify(texts, **options)


def test_no_texts_give_no_predictions(platform: Platform) -> None:
    assert platform.classify([]) == []
    assert list(platform.classify_stream([])) == []


def test_each_adapter_is_run_by_the_engine_asked_for_and_by_auto_on_the_packed_one_if_it_can(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "lora")
    publish_adapter(platform.store, tiny_base, "dora", method="DORA")
    names = ["lora", "dora", "lora"]
    mixed = platform.classify(["a", "b", "c"], names)
    assert [(p.adapter, p.engine) for p in mixed] == [
        ("lora", "packed"),
        ("dora", "peft"),
        ("lora", "packed"),
    ]
    forced = platform.classify(["a", "b", "c"], names, engine="peft")
    assert {p.engine for p in forced} == {"peft"}
    for one, other in zip(mixed, forced, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    with pytest.raises(AdapterUnsupported, match="dora@1"):
        platform.classify("a", "dora", engine="packed")


@pytest.mark.parametrize("text", ["", "  \n\t", "\u3000"])
def test_an_empty_text_is_answered_with_a_warning(
    platform: Platform, tiny_base: Path, publish_adapter: Publish, text: str
) -> None:
    publish_adapter(platform.store, tiny_base, "support")
    assert [n.code for n in platform.classify(text).warnings] == ["empty_text"]


def test_broken_unicode_is_a_data_error(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "support")
    with pytest.raises(DataError):
        platform.classify("broken \ud800")


def test_a_huge_text_is_truncated_and_says_so(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "support", max_length=16)
    long, short = platform.classify(["word " * 200_000, "word"])
    assert long.truncated
    assert [notice.code for notice in long.warnings] == ["truncated"]
    assert not short.truncated
    assert short.warnings == ()


# --- reading the logits -----------------------------------------------------------------------


def test_calibration_acts_on_the_logits_that_logits_gives(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    scheme = LabelScheme.of("single", ["x", "y"])
    publish_adapter(
        platform.store, tiny_base, "a", scheme=scheme, calibration=Calibration(temperature=4.0)
    )
    logits = platform.logits(["some text", "other text"], "a")
    assert logits.shape == (2, 2)
    assert logits.dtype == np.float32
    expected = scheme.probabilities(logits, 4.0)
    for row, prediction in zip(
        expected, platform.classify(["some text", "other text"]), strict=True
    ):
        assert list(prediction.probabilities.values()) == pytest.approx(list(row), abs=1e-5)
    assert platform.logits([], "a").shape == (0, 2)


def test_a_multi_label_text_has_the_labels_over_their_thresholds(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    names = ["p", "q", "r", "s"]
    options = {"scheme": LabelScheme.of("multi", names), "settings": {"r": 2}}
    publish_adapter(platform.store, tiny_base, "low", **options)
    high = Calibration(thresholds=dict.fromkeys(names, 1.1))
    publish_adapter(platform.store, tiny_base, "none", calibration=high, **options)
    some = platform.classify("a text", adapter="low")
    assert [n for n, _ in some.labels] == sorted(
        (n for n, p in some.probabilities.items() if p >= 0.5),
        key=lambda n: -some.probabilities[n],
    )
    none = platform.classify("a text", adapter="none")
    assert (none.label, none.labels) == (None, ())
    assert none.confidence == pytest.approx(1 - max(none.probabilities.values()))


def test_a_hierarchy_answers_with_a_path(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    scheme = LabelScheme.of("hierarchical", ["a/x", "a/y", "b"])
    publish_adapter(platform.store, tiny_base, "tree", scheme=scheme)
    for prediction in platform.classify([f"text {i}" for i in range(8)]):
        assert prediction.path[-1][0] == prediction.label
        top, mass = prediction.path[0]
        assert mass == pytest.approx(
            sum(p for n, p in prediction.probabilities.items() if n.split("/")[0] == top)
        )


# --- steps ------------------------------------------------------------------------------------


def marks() -> Registry:
    return Registry(postprocessors={"mark": Brought(Mark(), "markers", "2.0")})


def test_an_adapters_steps_run_in_order_and_touch_no_other_adapter(
    open_platform: Open, tiny_base: Path, publish_adapter: Publish
) -> None:
    platform = open_platform(marks())
    steps = tuple(StepRecord("mark", {"with": x}, "markers", "1.0") for x in "ab")
    publish_adapter(platform.store, tiny_base, "marked", postprocess=steps)
    publish_adapter(platform.store, tiny_base, "plain")
    marked, plain = platform.classify(["text", "text"], adapter=["marked", "plain"])
    assert (marked.display, marked.steps) == ("ab", ("mark", "mark"))
    assert (plain.display, plain.steps) == (None, ())


def test_an_adapter_whose_step_is_not_installed_does_not_answer(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    steps = (StepRecord("mark", {"with": "x"}, "markers", "1.0"),)
    publish_adapter(platform.store, tiny_base, "marked", postprocess=steps)
    with pytest.raises(PluginError, match="marked@1 needs the step 'mark'") as caught:
        platform.classify("text")
    assert "markers 1.0" in (caught.value.hint or "")


def test_a_step_that_no_longer_takes_its_settings_names_both_versions(
    open_platform: Open, tiny_base: Path, publish_adapter: Publish
) -> None:
    platform = open_platform(marks())
    steps = (StepRecord("mark", {"colour": "red"}, "markers", "1.0"),)
    publish_adapter(platform.store, tiny_base, "marked", postprocess=steps)
    with pytest.raises(PluginError, match="marked@1 cannot answer") as caught:
        platform.classify("text")
    assert "markers 1.0, and 2.0 is installed" in (caught.value.hint or "")


def test_a_step_that_breaks_is_named(
    open_platform: Open, tiny_base: Path, publish_adapter: Publish
) -> None:
    platform = open_platform(marks())
    steps = (StepRecord("mark", {"with": 5}, "markers", "2.0"),)
    publish_adapter(platform.store, tiny_base, "marked", postprocess=steps)
    with pytest.raises(PluginError, match=r"'mark' of marked@1 failed: TypeError"):
        platform.classify("text")


def test_the_listener_hears_of_a_batch_once_with_its_steps_done(
    open_platform: Open, tiny_base: Path, publish_adapter: Publish
) -> None:
    hears = Hears()
    platform = open_platform(marks(), hears)
    steps = (StepRecord("mark", {"with": "x"}, "markers", "2.0"),)
    publish_adapter(platform.store, tiny_base, "a", postprocess=steps)
    publish_adapter(platform.store, tiny_base, "b", seed=1)
    answers = platform.classify(["1", "2", "3"], adapter=["a", "b", "a"])
    assert hears.batches == [answers]
    assert [p.display for p in answers] == ["x", None, "x"]
    assert sorted(hears.loaded) == ["a@1", "b@1"]
    platform.classify("again", adapter="a")
    assert len(hears.batches) == 2
    assert len(hears.loaded) == 2


def test_a_long_list_is_answered_in_parts(
    open_platform: Open, tiny_base: Path, publish_adapter: Publish
) -> None:
    hears = Hears()
    platform = open_platform(listener=hears, batch_tokens=4096)
    publish_adapter(platform.store, tiny_base, "a")
    texts = [str(i) for i in range(CHUNK + 5)]
    assert [p.text for p in platform.classify(texts)] == texts
    assert [len(batch) for batch in hears.batches] == [CHUNK, 5]


# --- bases ------------------------------------------------------------------------------------


def test_adapters_of_two_bases_answer_in_one_call(
    open_platform: Open,
    tiny_base: Path,
    tiny_base_without_pooler: Path,
    publish_adapter: Publish,
) -> None:
    for resident in (1, 2):
        platform = open_platform(resident_bases=resident, store=Path(f"{tiny_base}-{resident}"))
        publish_adapter(platform.store, tiny_base, "a", pooling="pooler")
        publish_adapter(platform.store, tiny_base_without_pooler, "b", seed=1)
        for _ in range(2):
            answers = platform.classify(["x", "y", "z"], adapter=["a", "b", "a"])
            assert [p.base for p in answers] == [
                str(tiny_base),
                str(tiny_base_without_pooler),
                str(tiny_base),
            ]
        assert len(platform._pool._running) == resident


def test_a_base_that_moved_is_named_with_base(
    platform: Platform, tmp_path: Path, publish_adapter: Publish
) -> None:
    home = make_tiny_base(tmp_path / "base")
    publish_adapter(platform.store, home, "support")
    before = platform.logits(["text"])
    platform.close()
    moved = home.rename(tmp_path / "moved")
    with Platform(platform.settings, Registry(), starters=tmp_path / "none") as again:
        with pytest.raises(BaseUnavailable, match="does not exist"):
            again.classify("text")
        assert again.classify("text", base=str(moved)).base == str(moved)
        np.testing.assert_allclose(again.logits(["text"], base=str(moved)), before, atol=1e-5)


def test_a_foreign_base_is_refused(
    platform: Platform, tiny_base: Path, tiny_base_without_pooler: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "support")
    with pytest.raises(BaseMismatch, match="support@1 was trained on the base") as caught:
        platform.classify("text", base=str(tiny_base_without_pooler))
    assert "leave --base out" in (caught.value.hint or "")


def test_a_base_that_changed_under_its_name_is_warned_about(
    open_platform: Open, tmp_path: Path, publish_adapter: Publish
) -> None:
    home = make_tiny_base(tmp_path / "base", seed=0)
    platform = open_platform()
    publish_adapter(platform.store, home, "support")
    assert platform.classify("text").warnings == ()
    make_tiny_base(home, seed=9)
    assert platform.classify("text").warnings == ()  # the base in memory is still the old one
    again = open_platform()
    (notice,) = again.classify("text").warnings
    assert notice.code == "base_changed"
    assert "support@1" in notice.message


def test_a_text_in_a_script_that_the_base_does_not_read_is_warned_about(
    open_platform: Open, tiny_base: Path, publish_adapter: Publish
) -> None:
    latin = BaseModel("latin", "reads Latin", lambda _: tiny_base, scripts=("LATIN",))
    platform = open_platform(Registry(bases={"latin": Brought(latin, "test")}))
    manifest = publish_adapter(platform.store, tiny_base, "support")
    path = platform.store.path("support", 1) / "manifest.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"base": data["base"] | {"id": "latin"}}))
    texts = [
        "Где мой заказ?",
        "주문이 어디에 있나요",
        "أين طلبي الآن",
        "我的订单在哪里",
        "where is it",
    ]
    codes = [{n.code for n in p.warnings} for p in platform.classify(texts)]
    assert all("script" in found for found in codes[:4])
    assert codes[4] == set()
    assert manifest.base.id == str(tiny_base)


def test_a_damaged_adapter_fails_alone(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "good")
    publish_adapter(platform.store, tiny_base, "bad", seed=1)
    damaged = platform.store.path("bad", 1) / "adapter_model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(AdapterCorrupt, match="bad@1 is damaged"):
        platform.classify("text", adapter="bad")
    assert platform.classify("text", adapter="good").adapter == "good"


# --- making -----------------------------------------------------------------------------------


WORDS = {"money": "refund", "parcel": "delivery"}


def write_texts(path: Path) -> str:
    # Texts that are no near-duplicates, or they would all be on one side.
    rows = [f"{word} {9 * c},{label}" for c in "abcdefghijkl" for word, label in WORDS.items()]
    path.write_text("\n".join(["question,topic", *rows]), encoding="utf-8")
    return f"csv:{path}"


def test_a_training_from_python_is_planned_run_and_judged(
    open_platform: Open, tiny_base: Path, tmp_path: Path
) -> None:
    source = Brought(CsvSource(), "sources")
    platform = open_platform(Registry(sources={"csv": source}), base=str(tiny_base))
    data = write_texts(tmp_path / "texts.csv")
    said: TrainingOptions = {
        "settings": {"epochs": 1, "max_length": 32, "batch_size": 8},
        "columns": {"text": "question", "label": "topic"},
        "allow_worse": True,
    }
    assert platform.plan_training("support", data, **said).epochs == 1
    assert platform.adapters() == []
    outcome = platform.train("support", data=data, promote=False, **said)
    assert (outcome.manifest.reference, outcome.promoted) == ("support@1", False)
    assert platform.classify("money", "support@1").label in WORDS.values()
    columns = said["columns"]
    found = platform.evaluate("support@1", data, columns=columns)
    assert (found["adapter"], found["split"]) == ("support@1", "test")
    assert found["n"] == outcome.report["splits"]["test"] < 24, "no text of its training"
    assert set(found["baselines"]) == {"probe", "tfidf"}
    assert (found["seen"], found["unknown"]) == (0, [])
    tested = found["n"]
    other = tmp_path / "other.csv"
    lines = (tmp_path / "texts.csv").read_text(encoding="utf-8").splitlines()
    other.write_text("\n".join([*lines, "money please,refund"]), encoding="utf-8")
    found = platform.evaluate("support@1", str(other), columns=columns)
    assert (found["n"], found["split"]) == (tested + 1, None)
    assert (found["seen"], found["unknown"]) == (24 - tested, [])
    assert "baselines" not in found, "those are of other texts"
    with pytest.raises(UsageError, match="no split named 'tset'"):
        platform.evaluate("support@1", data, columns=columns, split="tset")
    with pytest.raises(UsageError, match="'setings'"):
        platform.train("support", data, setings={})  # type: ignore[call-arg]


def test_the_settings_trackers_are_for_trainings_that_name_none(
    open_platform: Open, tiny_base: Path, tmp_path: Path
) -> None:
    source = Brought(CsvSource(), "sources")
    platform = open_platform(
        Registry(sources={"csv": source}), base=str(tiny_base), report_to=" abacus ,"
    )
    data = write_texts(tmp_path / "texts.csv")
    columns = {"text": "question", "label": "topic"}
    with pytest.raises(RecipeError, match="no experiment tracker named 'abacus'"):
        platform.plan_training("support", data, columns=columns)
    plan = platform.plan_training(
        "support", data, columns=columns, settings={"report_to": [], "epochs": 1}
    )
    assert plan.epochs == 1


# --- life -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, Path])
def test_directories_may_be_texts_or_paths(
    platform: Platform, publish_adapter: Publish, tiny_base: Path, tmp_path: Path, kind: type
) -> None:
    publish_adapter(platform.store, tiny_base, "support")
    out = platform.export_adapter("support", kind(tmp_path / "out"))
    assert platform.import_adapter(kind(out), "again").reference == "again@1"
    with pytest.raises(AdapterCorrupt, match=r"it has no lora_weights\.pth"):
        platform.import_legacy(kind(out), str(tiny_base))


def test_an_import_waits_where_it_shall_not_be_current(
    platform: Platform, publish_adapter: Publish, tiny_base: Path, tmp_path: Path
) -> None:
    publish_adapter(platform.store, tiny_base, "support", worse_than_probe=True)
    out = platform.export_adapter("support", tmp_path / "out")
    for options, current in (({}, 1), ({"allow_worse": True}, 3), ({"promote": False}, 3)):
        platform.import_adapter(out, **options)
        assert platform.store.current("support") == current
    assert platform.store.versions("support") == [1, 2, 3, 4]


def test_adapters_lists_what_is_current(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    for name in ("b", "a", "b"):
        publish_adapter(platform.store, tiny_base, name)
    assert [m.reference for m in platform.adapters()] == ["a@1", "b@2"]


def test_a_closed_platform_says_so(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "support")
    with platform:
        platform.classify("text")
    platform.close()
    with pytest.raises(UsageError, match="closed"):
        platform.classify("text")
    assert [m.name for m in platform.adapters()] == ["support"]


def test_opening_and_listing_import_no_torch(tmp_path: Path) -> None:
    code = """
import sys
from adapter_platform.core.platform import Platform
from adapter_platform.core.registry import Registry
from adapter_platform.core.settings import Settings
Platform(Settings(), Registry()).adapters()
print([m for m in ("torch", "transformers", "peft", "numpy", "tokenizers") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("ended", "engine"), [(False, "numpy"), (True, "packed")])
def test_numpy_answers_a_cold_process_until_the_cold_start_is_ended(
    platform: Platform, tiny_base: Path, publish_adapter: Publish, ended: bool, engine: str
) -> None:
    publish_adapter(platform.store, tiny_base, "support")
    code = """
import sys
from adapter_platform.core.platform import Platform
from adapter_platform.core.registry import Registry
from adapter_platform.core.settings import Settings
store, cache, ended = sys.argv[1:]
with Platform(Settings(store=store, cache=cache, threads=1), Registry()) as platform:
    if ended:
        platform.end_cold_start()
    print(platform.classify("hello", "support").engine)
"""
    places = [str(platform.settings.store), str(platform.settings.cache), "yes" if ended else ""]
    line = [sys.executable, "-c", code, *places]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == engine


def test_sixteen_threads_over_four_adapters_get_the_answers_of_one(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    names = ["a", "b", "c", "d"]
    for i, name in enumerate(names):
        method = "IA3" if name == "d" else "LORA"
        publish_adapter(platform.store, tiny_base, name, labels=i + 2, seed=i, method=method)
    texts = [f"question {'word ' * (i % 7)}{i}" for i in range(10)]
    expected = {(t, n): platform.classify(t, adapter=n) for t in texts for n in names}
    wrong: list[str] = []

    def call(thread: int) -> None:
        for i in range(40):
            key = texts[(thread + i) % 10], names[(thread * 3 + i) % 4]
            answer, right = platform.classify(key[0], adapter=key[1]), expected[key]
            off = max(abs(p - right.probabilities[n]) for n, p in answer.probabilities.items())
            if answer.label != right.label or off > 1e-5:
                wrong.append(f"{key}: {answer.label}, off by {off}")

    threads = [threading.Thread(target=call, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def test_threads_that_swap_bases_under_each_other_all_get_their_answers(
    open_platform: Open,
    tiny_base: Path,
    tiny_base_without_pooler: Path,
    publish_adapter: Publish,
) -> None:
    platform = open_platform(resident_bases=1)
    publish_adapter(platform.store, tiny_base, "a")
    publish_adapter(platform.store, tiny_base_without_pooler, "b", seed=1)
    expected = {name: platform.classify("text", adapter=name).label for name in "ab"}
    wrong: list[object] = []

    def call(name: str) -> None:
        for _ in range(5):
            try:
                answer = platform.classify("text", adapter=name)
                if answer.label != expected[name]:
                    wrong.append(answer)
            except Exception as error:
                wrong.append(error)
                raise

    threads = [threading.Thread(target=call, args=("ab"[i % 2],)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert len(platform._pool._running) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_classifies_though_other_threads_were_busy(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "support")
    expected = platform.classify("text")
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            platform.classify(["other text"] * 4)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(3):
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    answer = platform.classify("text")
                    os.write(write, json.dumps(answer.to_dict()).encode())
                finally:
                    os._exit(0)
            os.close(write)
            try:
                ready, _, _ = select.select([read], [], [], 30)
                assert ready, "the child gave no answer"
                data = json.loads(os.read(read, 1 << 16))
            finally:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                os.close(read)
            assert data["label"] == expected.label
            assert data["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
    finally:
        stop.set()
        thread.join(30)


def test_removing_an_adapter_leaves_what_was_resolved_and_ends_what_was_not(
    platform: Platform, tiny_base: Path, publish_adapter: Publish
) -> None:
    publish_adapter(platform.store, tiny_base, "a")
    publish_adapter(platform.store, tiny_base, "b")
    stream = platform.classify_stream([("text", "a")] * 4, chunk=2)
    next(stream)
    shutil.rmtree(platform.store.path("a", 1).parent)
    assert len(list(stream)) == 3
    with pytest.raises(AdapterNotFound):
        platform.classify("text", adapter="a")
