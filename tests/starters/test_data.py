"""The starter domains' texts: enough of them, all different, and the tests unseen in training."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from adapter_platform.core.labels import LabelScheme
from adapter_platform.plugins import domains
from adapter_platform.plugins.domains.folder import read_domain_folder

ROOT = Path(domains.__file__).parent
NAMES = ("data_eng", "support", "feedback", "question_type")
FILES = ("train.csv", "test.csv")
FRESH = Path(__file__).parent / "fresh"  # written last, from the label descriptions alone
FRESH_NAMES = ("data_eng", "support")
DEMO = "数据清洗流程是什么？"
MINIMUM_TRAIN, MINIMUM_TEST = 24, 12  # texts a label and language
MOST_SHARED = 0.6  # of the shorter text's character trigrams


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def rows(name: str, file: str) -> list[dict[str, str]]:
    return read(ROOT / name / file)


def labels(row: dict[str, str]) -> list[str]:
    return [label for label in row["label"].split("|") if label]


def scheme(name: str) -> LabelScheme:
    found = read_domain_folder(ROOT / name).scheme
    assert found is not None
    return found


def trigrams(text: str) -> set[str]:
    flat = re.sub(r"\s+", " ", text.strip().lower())
    return {flat[i : i + 3] for i in range(max(1, len(flat) - 2))}


def bare(text: str) -> str:
    return re.sub(r"\W+", "", text.lower())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("file", "least"), [("train.csv", MINIMUM_TRAIN), ("test.csv", MINIMUM_TEST)]
)
def test_every_label_has_enough_texts_in_each_language(name: str, file: str, least: int) -> None:
    counts = Counter((label, row["lang"]) for row in rows(name, file) for label in labels(row))
    short = {
        (label, lang): counts[label, lang]
        for label in scheme(name).classes
        for lang in ("zh", "en")
        if counts[label, lang] < least
    }
    assert short == {}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("file", FILES)
def test_no_two_texts_of_a_label_are_nearly_the_same(name: str, file: str) -> None:
    by_label = defaultdict(list)
    for row in rows(name, file):
        for label in labels(row) or [""]:
            by_label[label].append((row["text"], trigrams(row["text"])))
    alike = [
        (label, first, second)
        for label, texts in by_label.items()
        for (first, a), (second, b) in itertools.combinations(texts, 2)
        if len(a & b) > MOST_SHARED * min(len(a), len(b))
    ]
    assert alike == []


@pytest.mark.parametrize("name", NAMES)
def test_no_test_text_is_in_training(name: str) -> None:
    trained = {bare(row["text"]) for row in rows(name, "train.csv")}
    seen = [row["text"] for row in rows(name, "test.csv") if bare(row["text"]) in trained]
    assert [text for text in seen if bare(text)] == []


@pytest.mark.parametrize("name", FRESH_NAMES)
def test_the_second_test_texts_are_of_every_label_and_none_is_in_training(name: str) -> None:
    fresh = read(FRESH / f"{name}.csv")
    trained = {bare(row["text"]) for row in rows(name, "train.csv")}
    assert [row["text"] for row in fresh if bare(row["text"]) in trained] == []
    counts = Counter((row["label"], row["lang"]) for row in fresh)
    wanted = itertools.product(scheme(name).classes, ("zh", "en"))
    assert {key for key in wanted if counts[key] < MINIMUM_TEST} == set()


@pytest.mark.parametrize("name", NAMES)
def test_the_tests_hold_near_misses_typing_errors_and_mixed_languages(name: str) -> None:
    slices = Counter(row["slice"] for row in rows(name, "test.csv"))
    assert slices["near_miss"] >= 30
    assert slices["typo"] + slices["mixed"] >= 30


def test_the_demonstrations_question_is_in_no_training_file() -> None:
    for name in NAMES:
        texts = {bare(row["text"]) for row in rows(name, "train.csv")}
        assert bare(DEMO) not in texts


@pytest.mark.parametrize("name", NAMES)
def test_every_label_in_the_files_is_in_the_scheme(name: str) -> None:
    known = set(scheme(name).classes)
    for file in FILES:
        assert {label for row in rows(name, file) for label in labels(row)} <= known
