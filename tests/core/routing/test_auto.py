"""``adapter="auto"``: each text goes to the adapter whose texts it is like, or to nobody."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapter_platform.core.errors import AdapterNotFound, PlatformError, UsageError
from adapter_platform.core.platform import Platform
from adapter_platform.core.predictions import Prediction
from adapter_platform.core.registry import NullListener, Registry
from adapter_platform.core.routing.profile import FILE
from adapter_platform.core.settings import Settings
from adapter_platform.core.store.manifest import Manifest
from adapter_platform.plugins.testing import make_tiny_base

Publish = Callable[..., Manifest]
Open = Callable[..., Platform]

# A random base knows no words, but it knows again the very texts that it has seen.
DIGITS = [f"{i} plus {3 * i + 1} is {4 * i + 1}" for i in range(12)]
DATA = [f"数据 {a} 清洗 {b}" for a in "abcd" for b in "xyz"]
QUESTIONS = [f"what about {a}{b}, then?" for a in "klmn" for b in "pqr"]
SIGNS = [f"@@@ {a} &&& {b} !!! (((" for a in ("###", "$$", "%%%") for b in ("@@", "***", "+")]
STRANGE = "@@@ ### &&& @@@ !!! ((("


@pytest.fixture
def open_platform(tmp_path: Path) -> Iterator[Open]:
    """``open_platform(listener, **settings)``: a platform over one temporary store.

    Only a text that is nearer than the farthest of an adapter's own texts belongs to it.
    """
    opened: list[Platform] = []

    def run(listener: Any = None, **settings: Any) -> Platform:
        given = {"store": tmp_path / "store", "cache": tmp_path / "cache", "threads": 1}
        given |= {"route_reject": 0.05} | settings
        starters = tmp_path / "no-starters"
        opened.append(Platform(Settings(**given), Registry(), listener, starters=starters))
        return opened[-1]

    yield run
    for platform in opened:
        platform.close()


@pytest.fixture
def platform(open_platform: Open, tiny_base: Path, publish_profiled: Publish) -> Platform:
    """With the adapters `digits`, `data` and `questions`."""
    platform = open_platform()
    for seed, (name, texts) in enumerate(
        {"digits": DIGITS, "data": DATA, "questions": QUESTIONS}.items()
    ):
        publish_profiled(platform.store, tiny_base, name, texts, seed=seed, labels=seed + 2)
    return platform


def adapters(predictions: Sequence[Prediction]) -> list[str | None]:
    return [prediction.adapter for prediction in predictions]


def test_each_text_of_a_batch_goes_to_its_own_adapter(platform: Platform) -> None:
    texts = [DATA[0], DIGITS[3], QUESTIONS[5], DIGITS[7]]
    found = platform.classify(texts, "auto")
    assert adapters(found) == ["data", "digits", "questions", "digits"]
    for text, name, prediction in zip(texts, adapters(found), found, strict=True):
        alone = platform.classify(text, name)
        assert (prediction.text, prediction.label) == (text, alone.label)
        assert prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
        routing = prediction.routing
        assert routing is not None
        assert routing.nearest == name != routing.runner_up
        assert routing.similarity > (routing.runner_up_similarity or 1)
        assert 0.05 <= routing.typicality <= 1
        assert alone.routing is None
    assert platform.classify(texts[0], "auto").adapter == "data"


def test_names_and_auto_may_stand_in_one_batch(platform: Platform) -> None:
    found = platform.classify([DATA[0], DATA[0], STRANGE], ["auto", "digits@1", "auto"])
    assert adapters(found) == ["data", "digits", None]
    assert [prediction.routing is None for prediction in found] == [False, True, False]


def test_a_text_like_no_adapters_gets_no_answer_and_a_reason(platform: Platform) -> None:
    prediction = platform.classify(STRANGE, "auto")
    assert (prediction.adapter, prediction.version, prediction.label) == (None, None, None)
    assert prediction.abstained
    assert (prediction.confidence, prediction.labels, dict(prediction.probabilities)) == (0, (), {})
    (notice,) = prediction.warnings
    assert notice.code == "no_adapter"
    assert prediction.routing is not None
    assert repr(prediction.routing.nearest) in notice.message
    assert prediction.routing.typicality < 0.05
    assert json.loads(json.dumps(prediction.to_dict())) == prediction.to_dict()
    assert prediction.to_dict("legacy")["category"] is None
    assert prediction.top(3) == []


def test_how_many_strangers_are_turned_away_is_a_setting(
    platform: Platform, open_platform: Open
) -> None:
    texts = [STRANGE, *(f"{text}!" for text in (*DATA, *DIGITS))]
    turned_away = [
        sum(p.adapter is None for p in open_platform(route_reject=share).classify(texts, "auto"))
        for share in (0, 0.5, 0.99)
    ]
    assert turned_away[0] == 0
    assert 0 < turned_away[1] < turned_away[2]


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_belongs_to_nobody(
    open_platform: Open, platform: Platform, text: str
) -> None:
    prediction = open_platform(route_reject=0).classify(text, "auto")
    assert prediction.adapter is None
    assert [notice.code for notice in prediction.warnings] == ["empty_text", "no_adapter"]


def test_no_texts_are_no_answers(platform: Platform) -> None:
    assert platform.classify([], "auto") == []


def test_the_choice_may_be_among_some(platform: Platform) -> None:
    among = "auto:digits,questions@1"
    assert platform.classify(QUESTIONS[0], among).adapter == "questions"
    found = platform.classify([DATA[0], DATA[0]], [among, "auto"])
    assert found[0].adapter != "data" == found[1].adapter
    with pytest.raises(AdapterNotFound, match="'datta'"):
        platform.classify("x", "auto:digits,datta")
    with pytest.raises(UsageError, match="lacks a name"):
        platform.classify("x", "auto:")


def test_auto_may_be_the_default(platform: Platform, open_platform: Open) -> None:
    assert open_platform(default_adapter="auto").classify(DATA[0]).adapter == "data"


def test_auto_is_no_adapter_where_one_is_wanted(platform: Platform) -> None:
    for wants_one in (platform.resolve, lambda name: platform.logits(["x"], name)):
        with pytest.raises(UsageError, match="'auto' is no adapter") as caught:
            wants_one("auto")
        assert "data, digits, questions" in (caught.value.hint or "")


@pytest.mark.parametrize("engine", ["packed", "numpy", "peft"])
def test_every_engine_finds_the_same(platform: Platform, engine: str) -> None:
    texts = [DATA[1], DIGITS[1], STRANGE, QUESTIONS[1]]
    found = platform.classify(texts, "auto", engine=engine)
    assert adapters(found) == ["data", "digits", None, "questions"]
    assert {prediction.engine for prediction in found} == {engine}
    usual = platform.classify(texts, "auto")
    for one, other in zip(found, usual, strict=True):
        assert one.routing is not None
        assert other.routing is not None
        assert one.routing.similarity == pytest.approx(other.routing.similarity, abs=1e-4)


def test_a_stream_finds_adapters_and_the_listener_hears_of_every_text(
    open_platform: Open, platform: Platform
) -> None:
    class Hears(NullListener):
        def __init__(self) -> None:
            self.batches: list[list[str | None]] = []

        def on_predictions(self, predictions: Sequence[Prediction]) -> None:
            self.batches.append(adapters(predictions))

    hears = Hears()
    pairs = [(DATA[0], "auto"), (STRANGE, "auto"), (DIGITS[0], "auto"), (DIGITS[0], "questions")]
    found = list(open_platform(hears).classify_stream(pairs, chunk=2))
    assert adapters(found) == ["data", None, "digits", "questions"]
    assert hears.batches == [["data", None], ["digits", "questions"]]
    everybody = open_platform(hears)
    assert adapters(list(everybody.classify_stream([(STRANGE, "auto")]))) == [None]
    assert hears.batches[-1] == [None]


# --- who takes part -----------------------------------------------------------------------------


def test_an_adapter_without_a_profile_is_left_out_and_that_is_said_once(
    platform: Platform,
    tiny_base: Path,
    publish_adapter: Publish,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish_adapter(platform.store, tiny_base, "older")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert platform.classify(DATA[0], "auto").adapter == "data"
    (said,) = [record.getMessage() for record in caplog.records]
    assert "leaves out older" in said
    assert "platform adapters profile NAME" in said


def test_without_any_profile_there_is_nothing_to_choose(
    open_platform: Open, tiny_base: Path, publish_adapter: Publish
) -> None:
    platform = open_platform()
    with pytest.raises(UsageError, match="there are no adapters yet"):
        platform.classify("x", "auto")
    publish_adapter(platform.store, tiny_base, "older")
    with pytest.raises(UsageError, match="none has a routing profile") as caught:
        platform.classify("x", "auto")
    assert "platform adapters profile NAME" in (caught.value.hint or "")


def test_who_is_published_or_removed_counts_from_the_next_request_on(
    platform: Platform, tiny_base: Path, publish_profiled: Publish
) -> None:
    assert platform.classify(STRANGE, "auto").adapter is None
    publish_profiled(platform.store, tiny_base, "signs", SIGNS)
    assert platform.classify(STRANGE, "auto").adapter == "signs"
    platform.store.remove("signs")
    assert platform.classify(STRANGE, "auto").adapter is None


def test_a_request_chooses_to_its_end_among_those_that_there_were_at_first(
    platform: Platform, tiny_base: Path, publish_profiled: Publish
) -> None:
    def pairs() -> Iterator[tuple[str, str | None]]:
        for i in range(12):
            if i == 6:
                publish_profiled(platform.store, tiny_base, "data", DIGITS)
            yield DATA[i], "auto"

    found = list(platform.classify_stream(pairs(), chunk=2))
    assert {(p.adapter, p.version) for p in found} == {("data", 1)}
    assert platform.classify(DATA[0], "auto").adapter != "data"


def test_adapters_are_published_and_removed_while_others_are_asked(
    platform: Platform, tiny_base: Path, publish_profiled: Publish
) -> None:
    failures: list[BaseException] = []
    done = threading.Event()

    def ask() -> None:
        try:
            while not done.is_set():
                found = platform.classify([DATA[0], STRANGE], "auto")
                assert found[0].adapter == "data"
                assert found[1].adapter in (None, "signs")
        except PlatformError as error:
            # The one that was chosen may be removed before it has answered.
            if "signs@1 has been removed" not in error.message:
                failures.append(error)
        except BaseException as error:  # noqa: BLE001 - the test fails with it
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        publish_profiled(platform.store, tiny_base, "signs", SIGNS)
        platform.store.remove("signs")
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_damaged_profile_leaves_its_adapter_out_and_says_so(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    path = platform.store.path("data", 1) / FILE
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    with caplog.at_level(logging.WARNING):
        assert platform.classify(DATA[0], "auto").adapter != "data"
    assert f"{FILE} of data@1 has changed" in caplog.text


def test_an_adapter_whose_base_is_not_here_is_left_out_and_said(
    platform: Platform,
    tmp_path: Path,
    publish_profiled: Publish,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone = make_tiny_base(tmp_path / "gone", seed=7)
    publish_profiled(platform.store, gone, "far", QUESTIONS)
    gone.rename(tmp_path / "elsewhere")
    with caplog.at_level(logging.WARNING):
        assert platform.classify(QUESTIONS[0], "auto").adapter == "questions"
    assert "leaves far@1 out" in caplog.text
    platform.store.remove("questions")
    platform.store.remove("data")
    platform.store.remove("digits")
    with pytest.raises(UsageError, match="none can be used here"):
        platform.classify(QUESTIONS[0], "auto")


def test_adapters_on_several_bases_are_chosen_among_together(
    platform: Platform, tmp_path: Path, publish_profiled: Publish
) -> None:
    other = make_tiny_base(tmp_path / "other", seed=7, hidden=64)
    publish_profiled(platform.store, other, "signs", SIGNS, labels=2)
    publish_profiled(platform.store, other, "asks", QUESTIONS, labels=2)
    found = platform.classify([STRANGE, DATA[2], DIGITS[2]], "auto")
    assert adapters(found) == ["signs", "data", "digits"]
    assert [Path(prediction.base).name for prediction in found] == ["other", "tiny", "tiny"]


def test_the_profile_of_each_content_is_read_once(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.classify(DATA[0], "auto")
    for name in ("data", "digits", "questions"):
        (platform.store.path(name, 1) / FILE).unlink()
    assert platform.classify(DATA[0], "auto").adapter == "data"


def test_steps_run_before_the_answer_says_how_its_adapter_was_found(platform: Platform) -> None:
    prediction = platform.classify(DATA[0], "auto")
    assert replace(prediction, routing=None) == replace(
        platform.classify(DATA[0], "data"), probabilities=prediction.probabilities,
        labels=prediction.labels, confidence=prediction.confidence,
    )  # fmt: skip


def test_scores_do_not_depend_on_who_else_asks(platform: Platform) -> None:
    alone = platform.classify(DATA[3], "auto").routing
    among = platform.classify([*DIGITS, DATA[3], *QUESTIONS], "auto")[len(DIGITS)].routing
    assert alone is not None
    assert among is not None
    np.testing.assert_allclose(among.similarity, alone.similarity, atol=1e-4)
    assert among.nearest == alone.nearest
