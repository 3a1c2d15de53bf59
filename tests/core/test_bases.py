"""Bases: found by name, directory or Hub id, and recognised by what they hold."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adapter_platform.core.bases import Base, Bases, check_base
from adapter_platform.core.errors import BaseMismatch, BaseUnavailable
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.model_directory import FETCHED
from adapter_platform.core.registry import BaseModel, Brought, Registry
from adapter_platform.core.store.manifest import Manifest
from adapter_platform.core.tokens import TextEncoder


@pytest.fixture
def bases(tmp_path: Path) -> Bases:
    return Bases(Registry(), tmp_path / "cache")


@pytest.fixture
def copied(tiny_base: Path, tmp_path: Path) -> Path:
    """The tiny base where a test may change it."""
    return Path(shutil.copytree(tiny_base, tmp_path / "copied"))


@pytest.fixture
def on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], Path]:
    """``on_the_hub(id, directory)``: as if it had been downloaded; where to."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def put(base_id: str, directory: Path) -> Path:
        commit = "1" * 40
        place = tmp_path / "hub" / f"models--{base_id.replace('/', '--')}"
        (place / "refs").mkdir(parents=True)
        (place / "refs" / "main").write_text(commit)
        return Path(shutil.copytree(directory, place / "snapshots" / commit))

    return put


def sharded(directory: Path, target: Path) -> Path:
    """The model with its weights in several files and an index."""
    from transformers import AutoModel
    from transformers.utils import logging

    shutil.copytree(directory, target, ignore=shutil.ignore_patterns("*.safetensors"))
    logging.set_verbosity_error()
    model, info = AutoModel.from_pretrained(directory, output_loading_info=True)
    if info["missing_keys"]:
        model.pooler = None
    model.save_pretrained(target, max_shard_size="20KB")
    assert len(list(target.glob("model-*.safetensors"))) > 2
    return target


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


@pytest.mark.parametrize("given", ["copied", "./copied", "../{here}/copied", "~/copied"])
def test_a_directory_is_known_by_its_absolute_path_however_it_was_given(
    bases: Bases, copied: Path, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(copied.parent))
    monkeypatch.chdir(copied.parent)
    base = bases.resolve(given.format(here=copied.parent.name))
    assert (base.id, base.path) == (str(copied), copied)
    monkeypatch.chdir("/")
    assert bases.for_adapter(manifest_for(base)) == (base, "")


def test_a_name_comes_before_a_directory_of_that_name_and_a_directory_before_a_hub_id(
    tiny_base: Path,
    copied: Path,
    tmp_path: Path,
    on_the_hub: Callable[[str, Path], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bases = Bases(
        Registry(bases={"copied": Brought(BaseModel("copied", "", lambda _: tiny_base), "")}),
        tmp_path / "cache",
    )
    monkeypatch.chdir(copied.parent)
    assert bases.resolve("copied").path == tiny_base
    assert bases.resolve("./copied").path == copied
    there = on_the_hub("models/small", tiny_base)
    assert bases.resolve("models/small").path == there
    here = Path(shutil.copytree(copied, copied.parent / "models" / "small"))
    assert bases.resolve("models/small").path == here


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
        ("~nobody-of-this-name/model", "does not exist"),
        ("a" * 300, "no name, no directory"),
        ("/" + "a" * 300, "does not exist"),
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


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"max_position_embeddings": None}, "None for 'max_position_embeddings'"),
        ({"hidden_size": "big"}, "'big' for 'hidden_size'"),
        ({"hidden_size": 0}, "0 for 'hidden_size'"),
        ({"num_hidden_layers": [2]}, r"\[2\] for 'num_hidden_layers'"),
        ({"pad_token_id": -1}, "-1 for 'pad_token_id'"),
    ],
)
def test_a_config_with_a_number_that_cannot_be_is_refused(
    bases: Bases, copied: Path, changes: dict[str, object], part: str
) -> None:
    edit(copied / "config.json", **changes)
    with pytest.raises(BaseUnavailable, match=part):
        bases.resolve(str(copied))


def test_other_architectures_names_for_the_shape_are_known(bases: Bases, copied: Path) -> None:
    settings = json.loads((copied / "config.json").read_text())
    renamed = {"dim": settings.pop("hidden_size"), "n_layers": settings.pop("num_hidden_layers")}
    (copied / "config.json").write_text(json.dumps(settings | renamed | {"pad_token_id": None}))
    base = bases.resolve(str(copied))
    assert (base.hidden_size, base.layers, base.pad_id) == (32, 2, 0)


# --- weights ------------------------------------------------------------------------------------


def test_weights_in_several_files_are_one_base_with_its_pooler(
    bases: Bases, tiny_base: Path, tiny_base_without_pooler: Path, tmp_path: Path
) -> None:
    import torch

    from adapter_platform.core.engine.encoder import load_encoder

    base = bases.resolve(str(sharded(tiny_base, tmp_path / "sharded")))
    assert base.pooling == "pooler"
    found = load_encoder(base, torch.device("cpu")).state_dict()
    whole = load_encoder(bases.resolve(str(tiny_base)), torch.device("cpu")).state_dict()
    assert found.keys() == whole.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in whole.items())
    without = sharded(tiny_base_without_pooler, tmp_path / "sharded-no-pooler")
    assert bases.resolve(str(without)).pooling == "mean"


def test_every_file_of_weights_counts_and_none_may_be_missing(
    bases: Bases, tiny_base: Path, tmp_path: Path
) -> None:
    directory = sharded(tiny_base, tmp_path / "sharded")
    before = bases.resolve(str(directory)).fingerprint
    last = sorted(directory.glob("model-*.safetensors"))[-1]
    last.write_bytes(last.read_bytes() + b" ")
    assert bases.resolve(str(directory)).fingerprint != before
    last.unlink()
    with pytest.raises(BaseUnavailable, match=f"no {last.name}, which its index names"):
        bases.resolve(str(directory))
    for spoiled in ("{", "[]", "{}", '{"weight_map": {"a": 1}}'):
        (directory / "model.safetensors.index.json").write_text(spoiled)
        with pytest.raises(BaseUnavailable, match="not an index of weights"):
            bases.resolve(str(directory))


def test_weights_that_may_carry_code_are_refused_and_the_hint_converts_them(
    bases: Bases, tiny_base: Path, copied: Path
) -> None:
    import torch
    from safetensors.torch import load_file

    whole = load_file(copied / "model.safetensors")
    (copied / "model.safetensors").unlink()
    names = sorted(whole)
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        tensors = {name: whole[name] for name in part}
        torch.save(tensors, copied / f"pytorch_model-0000{number}-of-00002.bin")
    with pytest.raises(BaseUnavailable, match="only safetensors are read") as caught:
        bases.resolve(str(copied))
    before, colon, line = (caught.value.hint or "").partition(": ")
    assert (before, colon) == ("convert it", ": ")
    program, *arguments = shlex.split(line)
    assert program == "python"
    subprocess.run([sys.executable, *arguments], check=True)
    made = load_file(copied / "model.safetensors")
    assert made.keys() == whole.keys()
    assert all(torch.equal(made[name], tensor) for name, tensor in whole.items())
    assert bases.resolve(str(copied)).pooling == "pooler"


def test_of_a_model_on_the_hub_all_that_it_needs_is_fetched_and_nothing_else() -> None:
    from huggingface_hub.utils import filter_repo_objects

    needed = ["config.json", "model.safetensors", "model.safetensors.index.json"]
    needed += ["model-00001-of-00002.safetensors", "tokenizer.json", "vocab.txt"]
    needed += ["tokenizer_config.json", "added_tokens.json"]
    others = ["pytorch_model.bin", "tf_model.h5", "onnx/model.onnx", "2_Dense/model.safetensors"]
    assert list(filter_repo_objects([*needed, *others], allow_patterns=list(FETCHED))) == needed


def test_a_model_on_the_hub_with_weights_in_several_files_is_a_base(
    bases: Bases, tiny_base: Path, tmp_path: Path, on_the_hub: Callable[[str, Path], Path]
) -> None:
    there = on_the_hub("someone/model", sharded(tiny_base, tmp_path / "sharded"))
    base = bases.resolve("someone/model")
    assert (base.id, base.path, base.pooling) == ("someone/model", there, "pooler")


def test_a_model_on_the_hub_without_safetensors_is_refused_with_a_way_out(
    bases: Bases, copied: Path, on_the_hub: Callable[[str, Path], Path]
) -> None:
    (copied / "model.safetensors").unlink()
    on_the_hub("someone/old-model", copied)
    with pytest.raises(BaseUnavailable, match="without safetensors weights") as caught:
        bases.resolve("someone/old-model")
    assert "hf download someone/old-model --local-dir DIR" in (caught.value.hint or "")


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


@pytest.fixture
def with_vocabulary(copied: Path) -> Path:
    """The tiny base with a vocab.txt in its tokenizer.json's place."""
    whole = json.loads((copied / "tokenizer.json").read_text(encoding="utf-8"))
    (copied / "vocab.txt").write_text("\n".join(whole["model"]["vocab"]), encoding="utf-8")
    (copied / "tokenizer.json").unlink()
    edit(copied / "tokenizer_config.json", tokenizer_class="BertTokenizer", do_lower_case=True)
    return copied


def test_how_a_vocabulary_is_read_is_part_of_the_base(bases: Bases, with_vocabulary: Path) -> None:
    def read() -> tuple[str, tuple[int, ...]]:
        base = bases.resolve(str(with_vocabulary))
        return base.fingerprint, TextEncoder(base).encode(["Hello"], 16)[0].ids

    settings = with_vocabulary / "tokenizer_config.json"
    before = read()
    edit(settings, do_lower_case=False)
    cased = read()
    assert (cased[0] != before[0], cased[1] != before[1]) == (True, True)
    edit(settings, do_lower_case=True, name_or_path="elsewhere", padding_side="left")
    assert read() == before
    (with_vocabulary / "added_tokens.json").write_text('{"hello": 9}')
    assert read()[0] != before[0]


def test_settings_of_a_tokenizer_that_are_no_table_are_refused(
    bases: Bases, with_vocabulary: Path
) -> None:
    (with_vocabulary / "special_tokens_map.json").write_text("[")
    with pytest.raises(BaseUnavailable, match=r"special_tokens_map\.json cannot be read"):
        bases.resolve(str(with_vocabulary))


def test_a_tokenizer_json_says_all_by_itself(bases: Bases, copied: Path) -> None:
    before = bases.resolve(str(copied)).fingerprint
    edit(copied / "tokenizer_config.json", do_lower_case=False)
    assert bases.resolve(str(copied)).fingerprint == before


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


def test_nothing_in_the_working_directory_is_taken_for_what_a_manifest_names(
    bases: Bases,
    tiny_base: Path,
    tiny_base_without_pooler: Path,
    tmp_path: Path,
    on_the_hub: Callable[[str, Path], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_the_hub("someone/model", tiny_base)
    own = bases.resolve("someone/model")
    shutil.copytree(tiny_base_without_pooler, tmp_path / "someone" / "model")
    monkeypatch.chdir(tmp_path)
    assert bases.for_adapter(manifest_for(own)) == (own, "")


def test_a_directory_that_is_gone_is_asked_for_by_its_fingerprint(
    bases: Bases, copied: Path, tiny_base: Path
) -> None:
    own = bases.resolve(str(copied))
    shutil.rmtree(copied)
    with pytest.raises(BaseUnavailable) as caught:
        bases.for_adapter(manifest_for(own))
    sentence = caught.value.message
    assert f"support@1 needs the base {str(copied)!r} ({own.fingerprint[:12]})" in sentence
    assert "--base DIRECTORY" in (caught.value.hint or "")
    assert bases.for_adapter(manifest_for(own), str(tiny_base))[1] == ""


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
