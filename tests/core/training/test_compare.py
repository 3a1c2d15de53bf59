"""Two adapters on the same texts: by how much one is better, and on which texts they part."""

from __future__ import annotations

from math import comb
from pathlib import Path

import numpy as np
import pytest

from adapter_platform.core.errors import DataError, UsageError
from adapter_platform.core.examples import Example, load_examples
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.registry import Registry
from adapter_platform.core.seen import Seen
from adapter_platform.core.store.manifest import BaseRecord, Calibration, Manifest
from adapter_platform.core.store.source import AdapterSource
from adapter_platform.core.training.compare import (
    Comparison,
    check_comparable,
    compare,
    mcnemar,
)
from adapter_platform.core.training.judge import Judging, texts_to_judge
from adapter_platform.core.training.recipe import make_recipe

from .conftest import SCHEME, TOPICS, WriteTexts

AB = LabelScheme.of("single", ["a", "b"])


def source(
    directory: Path, name: str = "one", scheme: LabelScheme = AB, **more: object
) -> AdapterSource:
    manifest = Manifest(
        name=name,
        version=1,
        base=BaseRecord("tiny", "f" * 64, hidden_size=32, layers=2),
        scheme=scheme,
        peft_method="LORA",
        pooling="mean",
        max_length=64,
        **more,  # type: ignore[arg-type]  # fields of the manifest
    )
    return AdapterSource(directory / name, manifest, manifest.content_hash)


def compared(
    path: Path, wanted: str, a: str, b: str, schemes: tuple[LabelScheme, LabelScheme] = (AB, AB)
) -> Comparison:
    """Answers ``"aab"`` of two adapters; capitals are surer."""
    examples = [Example(f"text {i}", (name,), None, f"x/t:{i}") for i, name in enumerate(wanted)]
    logits = []
    for said, scheme in zip((a, b), schemes, strict=True):
        rows = np.zeros((len(said), 2), np.float32)
        for i, name in enumerate(said):
            rows[i, scheme.classes.index(name.lower())] = 4 if name.isupper() else 1
        logits.append(rows)
    sources = (source(path, "one", schemes[0]), source(path, "two", schemes[1]))
    return compare(sources, Judging(examples, "test", ""), (logits[0], logits[1]))


def test_differences_are_the_second_less_the_first(tmp_path: Path) -> None:
    found = compared(tmp_path, "aabb" * 10, "abbb" * 10, "aabb" * 10)
    accuracy = found["figures"]["accuracy"]
    assert (found["a"], found["b"], found["n"], found["split"]) == ("one@1", "two@1", 40, "test")
    assert (accuracy["a"], accuracy["b"], accuracy["difference"]) == (0.75, 1, 0.25)
    low, high = accuracy["interval"] or [0, 0]
    assert 0.1 < low < 0.25 < high < 0.45
    assert found["figures"]["ece"]["interval"] is None


def test_resampling_is_paired_so_that_equal_answers_differ_by_nothing(tmp_path: Path) -> None:
    found = compared(tmp_path, "ab" * 20, "aB" * 10 + "bA" * 10, "aB" * 10 + "bA" * 10)
    for name, row in found["figures"].items():
        assert row["difference"] == 0
        assert name == "ece" or row["interval"] == [0, 0]
    assert found["mcnemar"]["p_value"] == 1
    assert found["differ"] == []


def test_a_tie_cannot_be_told_apart(tmp_path: Path) -> None:
    found = compared(tmp_path, "a" * 20, "ab" * 10, "ba" * 10)
    accuracy = found["figures"]["accuracy"]
    assert accuracy["difference"] == 0
    low, high = accuracy["interval"] or [1, 1]
    assert low < 0 < high
    assert found["mcnemar"] == {
        "both_right": 0, "only_a": 10, "only_b": 10, "both_wrong": 0, "p_value": 1
    }  # fmt: skip


def test_mcnemars_p_is_that_of_the_binomial_formula() -> None:
    a = np.array([True] * 12 + [False] * 3 + [True] * 50 + [False] * 5)
    b = np.array([False] * 12 + [True] * 3 + [True] * 50 + [False] * 5)
    found = mcnemar(a, b)
    assert (found["only_a"], found["only_b"]) == (12, 3)
    assert (found["both_right"], found["both_wrong"]) == (50, 5)
    expected = 2 * sum(comb(15, k) for k in range(4)) / 2**15
    assert found["p_value"] == pytest.approx(expected)
    assert mcnemar(b, a)["p_value"] == pytest.approx(expected)


def test_texts_that_one_alone_has_right_come_first_by_how_sure_the_other_was(
    tmp_path: Path,
) -> None:
    three = LabelScheme.of("single", ["a", "b", "c"])
    examples = [Example(f"text {i}", ("a",), None, f"x/t:{i}") for i in range(4)]
    one = np.array([[0, 9, 0], [2, 0, 0], [0, 3, 0], [2, 0, 0]], np.float32)
    two = np.array([[0, 0, 9], [0, 1, 0], [2, 0, 0], [2, 0, 0]], np.float32)
    sources = (source(tmp_path, "one", three), source(tmp_path, "two", three))
    found = compare(sources, Judging(examples, None, ""), (one, two))["differ"]
    assert [row["text"] for row in found] == ["text 2", "text 1", "text 0"]
    assert [(row["a"]["right"], row["b"]["right"]) for row in found] == [
        (False, True), (True, False), (False, False)
    ]  # fmt: skip
    assert found[0]["a"]["given"] == ["b"]
    assert (found[0]["where"], found[0]["expected"]) == ("t:2", ["a"])


def test_labels_may_stand_in_another_order(tmp_path: Path) -> None:
    other = LabelScheme.of("single", ["b", "a"])
    found = compared(tmp_path, "aabb", "abab", "aabb", (AB, other))
    assert found["figures"]["accuracy"]["b"] == 1
    assert found["mcnemar"]["only_b"] == 2


def test_each_decides_with_its_own_thresholds(tmp_path: Path) -> None:
    scheme = LabelScheme.of("multi", ["a", "b"])
    logits = np.zeros((1, 2), np.float32)  # both at 0.5
    low = source(tmp_path, "low", scheme, calibration=Calibration(1.0, {"a": 0.4, "b": 0.9}))
    high = source(tmp_path, "high", scheme, calibration=Calibration(1.0, {"a": 0.9, "b": 0.9}))
    judging = Judging([Example("", ("a",))], None, "")
    found = compare((low, high), judging, (logits, logits))
    assert found["primary"] == "macro_f1"
    (row,) = found["differ"]
    assert (row["a"]["given"], row["b"]["given"]) == (["a"], [])


@pytest.mark.parametrize(
    ("scheme", "says"),
    [
        (LabelScheme.of("multi", ["a", "b"]), "single labels and two@1 has multi"),
        (LabelScheme.of("single", ["a", "c"]), "only one@1 has 'b'; only two@1 has 'c'"),
        (LabelScheme.of("single", ["a", "b", "c"]), "different labels: only two@1 has 'c'"),
        (LabelScheme.of("single", list("abcdefghij")), "'c', 'd', 'e', 'f', 'g' and 3 more"),
    ],
)
def test_other_labels_cannot_be_compared(tmp_path: Path, scheme: LabelScheme, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_comparable(source(tmp_path, "one"), source(tmp_path, "two", scheme))


def test_a_version_is_not_compared_with_itself(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one@1 cannot be compared with itself"):
        check_comparable(source(tmp_path, "one"), source(tmp_path, "one"))


# --- the texts ------------------------------------------------------------------------------------


def trained(path: Path, name: str, fingerprint: str, seed: int) -> AdapterSource:
    """An adapter made from the data of that fingerprint, split with that seed."""
    made = source(path, name, SCHEME, data_fingerprint=fingerprint)
    made.path.mkdir()
    make_recipe({"seed": seed, "test_share": 0.3}).write(made.path)
    return made


def trained_on(adapter: AdapterSource, texts: list[str]) -> AdapterSource:
    """The adapter, which says that it was trained on these texts."""
    Seen.of(texts, []).save(adapter.path)
    manifest = adapter.manifest.write(adapter.path)
    return AdapterSource(adapter.path, manifest, manifest.content_hash)


def test_texts_are_new_to_both_where_both_split_the_data_alike(
    tmp_path: Path, with_domain: Registry
) -> None:
    dataset = load_examples(with_domain.domain("support").data, with_domain, scheme=SCHEME)
    a, b = (trained(tmp_path, name, dataset.fingerprint(), 5) for name in ("support", "other"))
    judging = texts_to_judge(a, with_domain, beside=[b])
    assert (judging.split, judging.seen, judging.unknown) == ("test", 0, ())
    assert judging.examples


def test_training_texts_of_either_are_no_judge(tmp_path: Path, with_domain: Registry) -> None:
    dataset = load_examples(with_domain.domain("support").data, with_domain, scheme=SCHEME)
    a = trained(tmp_path, "support", dataset.fingerprint(), 5)
    b = trained(tmp_path, "other", dataset.fingerprint(), 6)  # its test texts are others
    alone = texts_to_judge(a, with_domain)
    judging = texts_to_judge(a, with_domain, beside=[b])
    assert 0 < len(judging.examples) < len(alone.examples)
    assert judging.seen == len(alone.examples) - len(judging.examples)
    theirs = texts_to_judge(b, with_domain, data=with_domain.domain("support").data)
    assert set(judging.texts) == set(alone.texts) & set(theirs.texts)
    for split in ("train", "test"):
        with pytest.raises(DataError, match="support@1 or other@1 was trained on all") as caught:
            texts_to_judge(a, with_domain, beside=[trained_on(b, alone.texts)], split=split)
        assert caught.value.hint == "give --data with other texts"


def test_versions_of_two_files_are_compared_on_what_neither_has_seen(
    tmp_path: Path, registry: Registry, write_texts: WriteTexts
) -> None:
    texts = [f"{word} {i}" for i, word in enumerate("abcdefghij")]
    path = tmp_path / "renamed.csv"
    path.write_text("\n".join(["text,label", *(f"{t},refund" for t in texts)]), encoding="utf-8")
    one = trained_on(trained(tmp_path, "support", "1" * 64, 5), texts[:4])
    two = trained_on(trained(tmp_path, "later", "2" * 64, 5), texts[2:7])
    for a, b in ((one, two), (two, one)):
        judging = texts_to_judge(a, registry, beside=[b], data=f"csv:{path}")
        assert (judging.texts, judging.seen) == (texts[7:], 7)
        assert judging.unknown == ()
    imported = source(tmp_path, "imported", SCHEME)
    judging = texts_to_judge(imported, registry, beside=[two], data=f"csv:{path}")
    assert (judging.seen, judging.unknown) == (5, ("imported@1",))


def test_training_texts_are_known_too_where_they_lie_in_the_adapters_own_domain(
    tmp_path: Path, with_domain: Registry, write_texts: WriteTexts
) -> None:
    dataset = load_examples(with_domain.domain("support").data, with_domain, scheme=SCHEME)
    a = trained(tmp_path, "stranger", "", 5)
    b = trained(tmp_path, "support", dataset.fingerprint(), 5)
    new = write_texts(dict.fromkeys(TOPICS, 3), name="new", seed=9)
    judging = texts_to_judge(a, with_domain, beside=[b], data=new)
    assert (len(judging.examples), judging.unknown) == (9, ("stranger@1",))
    # The very texts in another order: no other trace of the training is in the file.
    texts = list(reversed(dataset.examples))
    lines = ["text,label", *(f"{e.text},{e.labels[0]}" for e in texts)]
    old = tmp_path / "old.csv"
    old.write_text("\n".join(lines), encoding="utf-8")
    judging = texts_to_judge(a, with_domain, beside=[b], data=f"csv:{old}")
    assert set(judging.texts) == set(texts_to_judge(b, with_domain).texts)
