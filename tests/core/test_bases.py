"""Bases: found by name, directory or Hub id, and recognised by what they hold."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from adapter_platform.core.bases import Base, Bases, check_base
from adapter_platform.core.errors import BaseMismatch, BaseUnavailable
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.registry import BaseModel, Brought, Registry
from adapter_platform.core.store.manifest import Manifest


@pytest.fixture
def bases(tmp_path: Path) -> Bases:
    return Bases(Registry(), tmp_path / "cache")


@pytest.fixture
def copied(tiny_base: Path, tmp_path: Path) -> Path:
    """The tiny base where a test may change it."""
    return Path(shutil.copytree(tiny_base, tmp_path / "copied"))


def manifest_for(base: Base) -> Manifest:
    scheme = LabelScheme.of("single", ["a", "b"])
    return Manifest("support", base.record(), scheme, "LORA", "mean", 32, version=1)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# --- finding ----------------------------------------------------------------------------------


def test_a_directory_is_a_base_and_its_shape_is_read(bases: Bases, tiny_base: Path) -> None:
    base = bases.resolve(str(tiny_base))
    assert (base.id, base.path) == (str(tiny_base), tiny_base)
    assert (base.hidden_size, base.layers, base.architecture) == (32, 2, "bert")
    assert (base.max_positions, base.pad_id, base.scripts) == (128, 0, ())


def test_pooling_is_the_checkpoints_own(
    bases: Bases, tiny_base: Path, tiny_base_without_pooler: Path
) -> None:
    assert bases.resolve(str(tiny_base)).pooling == "pooler"
    assert bases.resolve(str(tiny_base_without_pooler)).pooling == "mean"


def test_a_plugins_base_is_fetched_by_its_name(tiny_base: Path, tmp_path: Path) -> None:
    fetched: list[Path] = []

    def fetch(cache: Path) -> Path:
        fetched.append(cache)
        return tiny_base

    model = BaseModel("small", "a small one", fetch, scripts=("LATIN",), pooling="mean")
    bases = Bases(Registry(bases={"small": Brought(model, "test")}), tmp_path / "cache")
    assert not fetched
    base = bases.resolve("small")
    assert (base.id, base.path, base.scripts, base.pooling) == (
        "small",
        tiny_base,
        ("LATIN",),
        "mean",
    )
    assert fetched == [tmp_path / "cache"]


@pytest.mark.parametrize(
    ("base_id", "part"),
    [
        ("no/such/directory", "does not exist"),
        ("./nothing", "does not exist"),
        ("", "needs a name"),
        ("multilingal", "no name, no directory"),
        ("someone/some-model", "no name, no directory"),
    ],
)
def test_what_is_not_there_is_a_sentence(bases: Bases, base_id: str, part: str) -> None:
    with pytest.raises(BaseUnavailable, match=part):
        bases.resolve(base_id)


def test_a_name_that_is_nearly_right_is_suggested(tiny_base: Path, tmp_path: Path) -> None:
    model = BaseModel("multilingual", "", lambda _: tiny_base)
    bases = Bases(Registry(bases={"multilingual": Brought(model, "test")}), tmp_path / "cache")
    with pytest.raises(BaseUnavailable) as caught:
        bases.resolve("multilingal")
    assert caught.value.hint == "did you mean 'multilingual'?"


def test_a_directory_that_lacks_something_is_named_with_it(
    bases: Bases, copied: Path, tmp_path: Path
) -> None:
    with pytest.raises(BaseUnavailable, match="is a file"):
        bases.resolve(str(copied / "config.json"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BaseUnavailable, match=r"no config\.json"):
        bases.resolve(str(tmp_path / "empty"))
    (copied / "tokenizer.json").rename(copied / "away")
    with pytest.raises(BaseUnavailable, match="no tokenizer"):
        bases.resolve(str(copied))
    (copied / "away").rename(copied / "tokenizer.json")
    (copied / "model.safetensors").unlink()
    with pytest.raises(BaseUnavailable, match="no weights"):
        bases.resolve(str(copied))
    (copied / "config.json").write_text("{")
    with pytest.raises(BaseUnavailable, match="cannot be read"):
        bases.resolve(str(copied))


def test_a_model_that_is_no_encoder_is_refused(bases: Bases, copied: Path) -> None:
    (copied / "config.json").write_text('{"model_type": "resnet"}')
    with pytest.raises(BaseUnavailable, match="no encoder of the BERT family"):
        bases.resolve(str(copied))


# --- fingerprints -----------------------------------------------------------------------------


def test_a_copy_is_the_same_base(bases: Bases, tiny_base: Path, copied: Path) -> None:
    one, two = bases.resolve(str(tiny_base)), bases.resolve(str(copied))
    assert one.fingerprint == two.fingerprint


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_other_weights_or_another_tokenizer_make_another_base(
    bases: Bases, copied: Path, name: str
) -> None:
    before = bases.resolve(str(copied)).fingerprint
    path = copied / name
    path.write_bytes(path.read_bytes() + b" ")
    assert bases.resolve(str(copied)).fingerprint != before


def test_only_settings_that_decide_answers_count(bases: Bases, copied: Path) -> None:
    before = bases.resolve(str(copied)).fingerprint
    edit(copied / "config.json", transformers_version="99", architectures=["BertForMaskedLM"])
    assert bases.resolve(str(copied)).fingerprint == before
    edit(copied / "config.json", layer_norm_eps=0.1)
    assert bases.resolve(str(copied)).fingerprint != before


def test_a_fingerprint_is_remembered_until_the_file_changes_or_a_rehash_is_asked_for(
    copied: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    before = Bases(Registry(), cache).resolve(str(copied)).fingerprint
    (record,) = (cache / "fingerprints").iterdir()
    entries = json.loads(record.read_text())
    entries["model.safetensors"]["sha256"] = "0" * 64
    record.write_text(json.dumps(entries))
    trusted = Bases(Registry(), cache).resolve(str(copied)).fingerprint
    assert trusted != before
    assert Bases(Registry(), cache).resolve(str(copied), rehash=True).fingerprint == before
    assert Bases(Registry(), cache).resolve(str(copied)).fingerprint == before


@pytest.mark.parametrize("content", ["", "[]", "{", '{"model.safetensors": 5}'])
def test_a_spoiled_memory_only_costs_hashing_again(
    copied: Path, tmp_path: Path, content: str
) -> None:
    cache = tmp_path / "cache"
    before = Bases(Registry(), cache).resolve(str(copied)).fingerprint
    (record,) = (cache / "fingerprints").iterdir()
    record.write_text(content)
    assert Bases(Registry(), cache).resolve(str(copied)).fingerprint == before


def test_a_cache_that_cannot_be_written_only_costs_hashing_again(
    tiny_base: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the directory should be")
    bases = Bases(Registry(), tmp_path / "cache")
    assert bases.resolve(str(tiny_base)).fingerprint


# --- which base an adapter runs on ------------------------------------------------------------


def test_the_adapters_own_base_is_taken_without_a_word(bases: Bases, tiny_base: Path) -> None:
    own = bases.resolve(str(tiny_base))
    assert bases.for_adapter(manifest_for(own)) == (own, "")


def test_the_same_base_elsewhere_is_taken_without_a_word(
    bases: Bases, tiny_base: Path, copied: Path
) -> None:
    manifest = manifest_for(bases.resolve(str(tiny_base)))
    base, warning = bases.for_adapter(manifest, str(copied))
    assert (base.path, warning) == (copied, "")


def test_a_changed_base_of_the_same_name_and_shape_is_a_warning(
    bases: Bases, tiny_base: Path
) -> None:
    own = bases.resolve(str(tiny_base))
    warning = check_base(manifest_for(replace(own, fingerprint="0" * 64)), own)
    assert "has changed since support@1 was trained" in warning


@pytest.mark.parametrize("changes", [{"hidden_size": 64}, {"layers": 3}, {"architecture": "t5"}])
def test_a_base_of_another_shape_is_an_error(
    bases: Bases, tiny_base: Path, changes: dict[str, object]
) -> None:
    own = bases.resolve(str(tiny_base))
    trained = replace(own, fingerprint="0" * 64, **changes)
    with pytest.raises(BaseMismatch, match="support@1 was trained on the base"):
        check_base(manifest_for(trained), own)


def test_another_base_of_the_same_shape_is_an_error_with_a_way_out(
    bases: Bases, tiny_base: Path, tiny_base_without_pooler: Path
) -> None:
    manifest = manifest_for(bases.resolve(str(tiny_base)))
    with pytest.raises(BaseMismatch) as caught:
        bases.for_adapter(manifest, str(tiny_base_without_pooler))
    assert str(tiny_base) in (caught.value.hint or "")
