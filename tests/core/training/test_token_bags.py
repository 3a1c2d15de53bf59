"""When a token bag is fitted beside the head, and that what is published answers with it."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapter_platform.core.errors import AdapterUnsupported
from adapter_platform.core.exchange.exporting import export_adapter
from adapter_platform.core.platform import Platform
from adapter_platform.core.settings import Settings
from adapter_platform.core.token_bag import read_token_bag
from adapter_platform.core.training.judged import refitted
from adapter_platform.core.training.linear import log_loss
from adapter_platform.core.training.phases import Phases
from adapter_platform.core.training.prepare import prepare
from adapter_platform.core.training.run import train
from adapter_platform.core.training.token_bags import known_tokens, with_token_bag
from adapter_platform.core.training.workshop import Quiet, Workshop

from .conftest import MakeRequest, write_rows

ENGINES = ("packed", "numpy", "peft")
WORDS = {"red": "crimson", "blue": "azure", "green": "emerald"}


def told_by_a_word(path: Path, texts: int) -> str:
    """Texts of one filler in any order, in each of which one word tells the label."""
    draw = random.Random(0)
    rows = []
    for n in range(texts):
        label = list(WORDS)[n % 3]
        words = [draw.choice("abcdefghijklmnop") * 2 for _ in range(8)]
        words[draw.randrange(8)] = WORDS[label]
        rows.append({"text": " ".join(words) + f" {n}", "label": label})
    return write_rows(path, rows)


def accuracy(platform: Platform, reference: str, engine: str = "packed") -> float:
    draw = random.Random(1)
    right = []
    for n in range(60):
        label = list(WORDS)[n % 3]
        words = [draw.choice("abcdefghijklmnop") * 2 for _ in range(8)]
        words[draw.randrange(8)] = WORDS[label]
        answer = platform.classify(" ".join(words), reference, engine=engine)
        right.append(answer.label == label)
    return float(np.mean(right))


@pytest.fixture
def platform(workshop: Workshop, tmp_path: Path) -> Any:
    settings = Settings(store=tmp_path / "store", cache=tmp_path / "cache", threads=1)
    with Platform(settings, workshop.registry) as opened:
        yield opened


def test_tokens_of_one_text_alone_and_of_all_texts_are_not_counted() -> None:
    tokens, idf = known_tokens([(0, 4, 9, 2), (0, 4, 4, 2), (0, 9, 7, 2)])
    assert tokens.tolist() == [4, 9]
    np.testing.assert_allclose(idf, np.log(4 / 3) + 1)


def test_what_one_word_tells_is_learnt_by_the_bag_and_answered_alike_by_every_engine(
    workshop: Workshop, platform: Platform, ask: MakeRequest, tmp_path: Path
) -> None:
    data = told_by_a_word(tmp_path / "colours.csv", 240)
    without, using = (
        train(ask(data=data, token_bag=bag), workshop, Quiet()).manifest
        for bag in ("never", "always")
    )
    assert without.token_bag == 0
    assert using.token_bag == len(read_token_bag(workshop.store.resolve(using.reference)).tokens)
    assert accuracy(platform, using.reference) > accuracy(platform, without.reference) + 0.2
    said = [platform.classify("aa crimson bb", using.reference, engine=e) for e in ENGINES]
    for one, other in pairwise(said):
        assert dict(one.probabilities) == pytest.approx(dict(other.probabilities), abs=1e-5)


def test_head_and_bag_are_heard_as_much_as_validation_likes_best(
    workshop: Workshop, ask: MakeRequest, tmp_path: Path
) -> None:
    """Here the bag knows all and the head little, so halves would not do."""
    request = ask(data=told_by_a_word(tmp_path / "colours.csv", 600))
    prepared = prepare(request, workshop)
    phases = Phases(request, prepared, workshop, Quiet())
    pools = phases.frozen_pools(phases.encoder(), prepared.seen)
    alone = refitted(pools, prepared)
    both = with_token_bag(alone, prepared, request.recipe)
    assert both.bag is not None
    published = both.head.logits(pools["val"]) + both.bag.logits(prepared.rows["val"])
    published /= both.scores.calibration.temperature
    loss = log_loss(prepared.scheme, published, prepared.wanted["val"])
    assert loss == pytest.approx(both.scores.validation_loss(prepared), abs=1e-6)
    assert loss < alone.scores.validation_loss(prepared) / 100


def test_its_figures_are_those_that_the_published_adapter_reaches(
    workshop: Workshop, platform: Platform, ask: MakeRequest, tmp_path: Path
) -> None:
    request = ask(data=told_by_a_word(tmp_path / "colours.csv", 240), token_bag="always")
    outcome = train(request, workshop, Quiet())
    prepared = prepare(request, workshop)
    texts = [example.text for example in prepared.examples("test")]
    given = platform.logits(texts, outcome.manifest.reference).argmax(axis=1)
    right = float((given == prepared.wanted["test"]).mean())
    assert right == pytest.approx(outcome.report["test"]["metrics"]["accuracy"])


@pytest.mark.parametrize(("texts", "counted"), [(240, False), (600, True)])
def test_auto_counts_tokens_only_where_there_are_many_texts_to_learn_them_from(
    workshop: Workshop, ask: MakeRequest, tmp_path: Path, texts: int, counted: bool
) -> None:
    data = told_by_a_word(tmp_path / "colours.csv", texts)
    manifest = train(ask(data=data, batch_size=32), workshop, Quiet()).manifest
    assert bool(manifest.token_bag) is counted


def test_auto_leaves_out_a_bag_by_which_validation_gains_nothing(
    workshop: Workshop, ask: MakeRequest, tmp_path: Path
) -> None:
    draw = random.Random(0)
    rows = [
        {"text": " ".join(draw.choice("abcdefgh") * 2 for _ in range(6)), "label": label}
        for label in ("heads", "tails")
        for _ in range(300)
    ]
    data = write_rows(tmp_path / "coins.csv", rows)
    assert train(ask(data=data, batch_size=32), workshop, Quiet()).manifest.token_bag == 0


def test_such_an_adapter_is_no_stock_classifier(
    workshop: Workshop, ask: MakeRequest, tmp_path: Path
) -> None:
    data = told_by_a_word(tmp_path / "colours.csv", 90)
    manifest = train(
        ask(data=data, token_bag="always", pooling="pooler"), workshop, Quiet()
    ).manifest
    source = workshop.store.resolve(manifest.reference)
    with pytest.raises(AdapterUnsupported, match="counts tokens by themselves too"):
        export_adapter(source, tmp_path / "out", format="stock", bases=workshop.bases)
    plain = train(ask(data=data, token_bag="never", pooling="pooler"), workshop, Quiet()).manifest
    export_adapter(
        workshop.store.resolve(plain.reference),
        tmp_path / "out",
        format="stock",
        bases=workshop.bases,
    )
