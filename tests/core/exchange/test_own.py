"""An adapter that was exported comes back as it was, and none comes in that could not answer."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from adapter_platform.core.errors import (
    AdapterCorrupt,
    AdapterUnsupported,
    BaseMismatch,
    PlatformError,
    UsageError,
)
from adapter_platform.core.exchange.exporting import export_adapter
from adapter_platform.core.heads import Head
from adapter_platform.core.seen import Seen, read_seen
from adapter_platform.core.store.manifest import Manifest, StepRecord
from adapter_platform.core.training.workshop import Workshop

from .conftest import Stock, bring, edit, published, refusal


@pytest.fixture
def exported(stock: Stock, workshop: Workshop, tmp_path: Path) -> Path:
    """An adapter of ours, out of the store."""
    source = published(workshop, bring(stock(), workshop))
    return export_adapter(source, tmp_path / "out", format="platform", bases=workshop.bases)


def test_an_exported_adapter_comes_back_file_by_file(exported: Path, workshop: Workshop) -> None:
    original = Manifest.read(exported)
    manifest = bring(exported, workshop, name="again")
    assert manifest == replace(original, name="again")
    assert workshop.store.verify("again") == []
    assert bring(exported, workshop, name=None).reference == "old@2"


def test_what_an_adapter_has_seen_goes_with_it(
    stock: Stock, workshop: Workshop, tmp_path: Path
) -> None:
    imported = published(workshop, bring(stock(), workshop))
    assert "seen.safetensors" not in imported.manifest.files
    with workshop.store.stage("old") as staged:
        shutil.copytree(imported.path, staged, dirs_exist_ok=True)
        Seen.of(["hello"], ["bye"]).save(staged)
        source = published(workshop, workshop.store.publish(staged, imported.manifest))
    out = export_adapter(source, tmp_path / "seen", format="platform", bases=workshop.bases)
    again = published(workshop, bring(out, workshop, name="again"))
    assert read_seen(again).among(["Hello.", "bye", "else"]).tolist() == [True, True, False]


def test_an_exported_adapter_needs_no_base_to_come_back_but_it_is_said(
    exported: Path, workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    rewrite(exported, base=replace(Manifest.read(exported).base, id="/gone"))
    assert bring(exported, workshop, name="again").base.id == "/gone"
    assert workshop.store.current("again") == 1
    (said,) = caplog.messages
    assert f"{exported} needs the base '/gone'" in said
    assert "has not been run" in said


SPOILED: dict[str, tuple[Callable[[Path], object], type[PlatformError], str]] = {
    "a start that changes the base": (
        lambda d: edit(d, init_lora_weights="pissa"),
        AdapterUnsupported,
        "begins from 'pissa'",
    ),
    "a head inside": (
        lambda d: edit(d, modules_to_save=["classifier"]),
        AdapterUnsupported,
        "holds a head inside",
    ),
    "a method that nobody knows": (
        lambda d: edit(d, peft_type="SORA"),
        AdapterUnsupported,
        "no method 'SORA'",
    ),
    "no method": (
        lambda d: (d / "adapter_config.json").write_text("{}"),
        AdapterCorrupt,
        "names no PEFT method",
    ),
    "a head of another width": (
        lambda d: Head("pooler", np.ones((3, 31), "f4"), np.ones(3, "f4")).save(d),
        AdapterCorrupt,
        r"\(3, 31\)",
    ),
    "a head of fewer classes": (
        lambda d: Head("pooler", np.ones((2, 32), "f4"), np.ones(2, "f4")).save(d),
        AdapterCorrupt,
        r"\(2, 32\)",
    ),
    "seen texts that are none": (
        lambda d: (d / "seen.safetensors").write_bytes(b"{}"),
        AdapterCorrupt,
        r"seen\.safetensors of .* cannot be read",
    ),
    "another pooling": (
        lambda d: Head("mean", np.ones((3, 32), "f4"), np.ones(3, "f4")).save(d),
        AdapterCorrupt,
        "asks? for pooler",
    ),
}
NEEDS_THE_BASE: dict[str, tuple[Callable[[Path], object], type[PlatformError], str]] = {
    "a tensor too few": (
        lambda d: thin_out(d / "adapter_model.safetensors"),
        PlatformError,
        "layer.0.attention.self.query.lora_A",
    ),
    "logits that are no numbers": (
        lambda d: Head("pooler", np.full((3, 32), np.nan, "f4"), np.ones(3, "f4")).save(d),
        AdapterCorrupt,
        "no numbers",
    ),
}


def rewrite(directory: Path, **changes: Any) -> None:
    """Changes the manifest as somebody would who then hashes the files again."""
    replace(Manifest.read(directory), **changes).write(directory)


def thin_out(path: Path) -> None:
    tensors = load_file(path)
    tensors.pop("base_model.model.encoder.layer.0.attention.self.query.lora_A.weight")
    save_file(tensors, path)


@pytest.mark.filterwarnings("ignore:Found missing adapter keys:UserWarning")
@pytest.mark.parametrize("case", [*SPOILED, *NEEDS_THE_BASE])
def test_one_that_could_not_answer_changes_nothing(
    case: str, exported: Path, workshop: Workshop
) -> None:
    spoil, error, words = (SPOILED | NEEDS_THE_BASE)[case]
    spoil(exported)
    rewrite(exported)
    sentence = refusal(error, lambda: bring(exported, workshop, name="old"))
    assert re.search(words, sentence)
    assert str(exported) in sentence
    assert (workshop.store.versions("old"), workshop.store.current("old")) == ([1], 1)


@pytest.mark.parametrize("case", SPOILED)
def test_its_files_are_judged_without_its_base_too(
    case: str, exported: Path, workshop: Workshop
) -> None:
    spoil, error, words = SPOILED[case]
    spoil(exported)
    rewrite(exported, base=replace(Manifest.read(exported).base, id="/gone"))
    assert re.search(words, refusal(error, lambda: bring(exported, workshop, name="again")))


def test_one_whose_base_is_another_here_is_refused(
    exported: Path, workshop: Workshop, tiny_base: Path
) -> None:
    rewrite(exported, base=replace(Manifest.read(exported).base, layers=5, fingerprint="0" * 64))
    assert "is another" in refusal(BaseMismatch, lambda: bring(exported, workshop))


@pytest.mark.parametrize(
    ("options", "current", "said"),
    [
        (
            {},
            1,
            "old@2 is worse than logistic regression on the frozen base (the probe), and is "
            "not current",
        ),
        ({"allow_worse": True}, 2, "(the probe), and is current"),
        ({"allow_worse": True, "promote": False}, 1, "(the probe), and is not current"),
    ],
)
def test_one_that_the_probe_beats_does_not_become_current_unsaid(
    options: dict[str, bool],
    current: int,
    said: str,
    exported: Path,
    workshop: Workshop,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rewrite(exported, worse_than_probe=True)
    assert bring(exported, workshop, **options).version == 2
    assert workshop.store.current("old") == current
    assert said in caplog.messages[-1]


def test_a_step_that_is_not_here_is_a_warning(
    exported: Path, workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    rewrite(exported, postprocess=(StepRecord("redact", {}, "acme", "1.2"),))
    bring(exported, workshop)
    (said,) = caplog.messages
    assert "needs the step 'redact', which is not installed" in said
    assert "install acme 1.2" in said


def test_a_base_that_is_named_for_it_must_be_its_own(
    exported: Path, workshop: Workshop, tiny_base_without_pooler: Path
) -> None:
    other = str(tiny_base_without_pooler)
    assert "is another" in refusal(BaseMismatch, lambda: bring(exported, workshop, base=other))


def test_where_its_base_lies_now_need_be_said_only_once(
    exported: Path, workshop: Workshop, tiny_base: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(tiny_base, tmp_path / "moved"))
    manifest = Manifest.read(exported)
    replace(manifest, base=replace(manifest.base, id="/gone")).write(exported)
    back = bring(exported, workshop, name="again", base=str(moved))
    assert back.base == replace(manifest.base, id=str(moved))
    assert workshop.store.verify("again") == []
    base, warning = workshop.bases.for_adapter(published(workshop, back).manifest)
    assert (base.path, warning) == (moved, "")


@pytest.mark.parametrize("name", ["head.safetensors", "adapter_config.json", "README.md"])
def test_a_changed_file_is_refused(name: str, exported: Path, workshop: Workshop) -> None:
    with (exported / name).open("ab") as file:
        file.write(b" ")
    sentence = refusal(AdapterCorrupt, lambda: bring(exported, workshop, name="again"))
    assert f"{name} has changed" in sentence
    assert workshop.store.names() == ["old"]


def test_a_file_that_the_manifest_does_not_know_stays_behind(
    exported: Path, workshop: Workshop
) -> None:
    (exported / ".DS_Store").touch()
    manifest = bring(exported, workshop, name="again")
    assert not (published(workshop, manifest).path / ".DS_Store").exists()


def test_a_manifest_without_a_head_is_refused(exported: Path, workshop: Workshop) -> None:
    (exported / "head.safetensors").unlink()
    Manifest.read(exported).write(exported)
    sentence = refusal(AdapterCorrupt, lambda: bring(exported, workshop, name="again"))
    assert "lists no head.safetensors" in sentence


def test_labels_cannot_be_given_to_it(exported: Path, workshop: Workshop) -> None:
    with pytest.raises(UsageError):
        bring(exported, workshop, labels=["a", "b", "c"])
