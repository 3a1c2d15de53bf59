"""A domain as a folder: the domain is what `domain.toml` says; each mistake is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter_platform.core.errors import PlatformError
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.registry import Step
from adapter_platform.plugins.domains import folders
from adapter_platform.plugins.domains.folder import read_domain_folder

FULL = """
name = "tickets"
description = "Which desk takes a ticket."
languages = ["zh", "en"]

[data]
train = "train.csv"
test = "sub/test.jsonl"

[columns]
text = "question"
label = "desk"

[scheme]
kind = "single"

[[scheme.labels]]
name = "billing"
display = { zh = "账单" }
aliases = ["invoice"]

[[scheme.labels]]
name = "access"

[recipe]
epochs = 3
peft = { r = 4 }

[[postprocess]]
name = "abstain"
settings = { threshold = 0.6 }

[[postprocess]]
name = "display"
"""

SHORT = 'name = "tickets"\n[data]\ntrain = "train.csv"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "train.csv").write_text("question,desk\n", encoding="utf-8")
    (tmp_path / "sub" / "test.jsonl").write_text("", encoding="utf-8")
    return tmp_path


def read(folder: Path, toml: str | bytes, schemes: dict[str, LabelScheme] | None = None) -> object:
    content = toml.encode() if isinstance(toml, str) else toml
    (folder / "domain.toml").write_bytes(content)
    return read_domain_folder(folder, schemes)


def test_all_that_the_file_says_is_in_the_domain(folder: Path) -> None:
    (folder / "domain.toml").write_text(FULL, encoding="utf-8")
    domain = read_domain_folder(folder)
    assert domain.name == "tickets"
    assert domain.description == "Which desk takes a ticket."
    assert domain.languages == ("zh", "en")
    assert domain.data == {
        "train": str(folder / "train.csv"),
        "test": str(folder / "sub" / "test.jsonl"),
    }
    assert domain.columns == {"text": "question", "label": "desk"}
    assert domain.scheme is not None
    assert domain.scheme.classes == ("billing", "access")
    assert domain.scheme.canonical("invoice") == "billing"
    assert domain.recipe == {"epochs": 3, "peft": {"r": 4}}
    assert domain.postprocess == (Step("abstain", {"threshold": 0.6}), Step("display", {}))


def test_a_name_and_data_are_enough(folder: Path) -> None:
    (folder / "domain.toml").write_text(SHORT, encoding="utf-8")
    domain = read_domain_folder(folder)
    assert (domain.scheme, domain.postprocess, domain.recipe) == (None, (), {})


def test_a_byte_order_mark_from_windows_is_no_mistake(folder: Path) -> None:
    read(folder, b"\xef\xbb\xbf" + SHORT.encode())


def test_data_paths_do_not_depend_on_the_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "domain.toml").write_text(SHORT, encoding="utf-8")
    monkeypatch.chdir(folder.parent)
    assert read_domain_folder(Path(folder.name)).data == {"train": str(folder / "train.csv")}


@pytest.mark.parametrize(
    ("location", "uri"),
    [
        ("hf:snips/built_in@main", "hf:snips/built_in@main"),
        ("sql:sqlite:///x.db", "sql:sqlite:///x.db"),
        ("csv:train.csv", "csv:{folder}/train.csv"),
        ("tsv:train.csv", "tsv:{folder}/train.csv"),
        ("desk.tickets", "{folder}/desk.tickets"),
        ("export:v2.csv", "{folder}/export:v2.csv"),
    ],
)
def test_data_may_be_any_uri_or_a_file_that_a_plugin_reads(
    folder: Path, location: str, uri: str
) -> None:
    for name in ("desk.tickets", "export:v2.csv"):
        (folder / name).write_text("", encoding="utf-8")
    toml = SHORT.replace("train.csv", location)
    (folder / "domain.toml").write_text(toml, encoding="utf-8")
    assert read_domain_folder(folder).data == {"train": uri.format(folder=folder)}


def test_the_scheme_may_be_the_name_of_a_registered_one(folder: Path) -> None:
    scheme = LabelScheme.of("single", ["billing", "access"])
    (folder / "domain.toml").write_text('scheme = "desks"\n' + SHORT, encoding="utf-8")
    assert read_domain_folder(folder, {"desks": scheme}).scheme is scheme


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("", "a domain needs a 'name'"),
        ("name = 3\n[data]\ntrain = 'train.csv'", "a domain needs a 'name'"),
        ("name = 'a b'\n[data]\ntrain = 'train.csv'", "a domain cannot be named 'a b'"),
        ("name = 'tickets'", "a domain needs a [data] table"),
        ("name = 'tickets'\ndata = 'train.csv'", "'data' must map splits to texts"),
        ("name = 'tickets'\n[data]\ntest = 'train.csv'", "needs a 'train' split, or 'all'"),
        ("name = 'tickets'\n[data]\nall = 'train.csv'\ntest = 'train.csv'", "'all' and nothing"),
        ("name = 'tickets'\n[data]\ntrain = 'gone.csv'", "the train data 'gone.csv' is not there"),
        ("name = 'tickets'\n[data]\ntrain = 'sub'", "the train data 'sub' is not a file"),
        ("name = 'tickets'\n[data]\ntrain = 3", "'data' must map splits to texts"),
        ("nam = 'tickets'\n[data]\ntrain = 'train.csv'", "did you mean 'name'?"),
        ("postproces = []\n" + SHORT, "did you mean 'postprocess'?"),
        (SHORT.replace("train =", "trian ="), "did you mean 'train'?"),
        ("languages = 'zh'\n" + SHORT, "'languages' must be a list"),
        ("description = 3\n" + SHORT, "'description' must be a text"),
        ("scheme = 'desks'\n" + SHORT, "there is no label scheme named 'desks'"),
        ("scheme = 3\n" + SHORT, "'scheme' is a table, or the name"),
        (SHORT + "[scheme]\nkind = 'single'\nlabels = []", "'labels' must be a list of labels"),
        (SHORT + "[scheme]\nkind = 'sngle'\nlabels = ['a']", "cannot be of kind 'sngle'"),
        (SHORT + "[[scheme.labels]]\nname = 'a'\ndisplya = {}", "did you mean 'display'?"),
        (SHORT + "[recipe]\nepoch = 3", "did you mean 'epochs'?"),
        (SHORT + "[recipe]\nepochs = 'many'", "the recipe setting 'epochs' cannot be 'many'"),
        ("recipe = 3\n" + SHORT, "'recipe' must be a table"),
        ("columns = ['a']\n" + SHORT, "'columns' maps roles to columns"),
        ("postprocess = ['abstain']\n" + SHORT, "written as [[postprocess]] tables"),
        (SHORT + "[[postprocess]]\nsettings = {}", "each post-processing step needs a 'name'"),
        (SHORT + "[[postprocess]]\nname = 'x'\nthreshold = 1", "settings = { threshold = ... }"),
        (SHORT + "[[postprocess]]\nname = 'x'\nsettings = 1", "must be a table"),
        ("name = ", "is not TOML"),
        (SHORT + "name = 'twice'\nname = 'twice'", "is not TOML"),
        (b'name = "\xff\xfe"', "is not UTF-8: byte 8"),
    ],
)
def test_each_mistake_is_one_sentence_with_the_file(
    folder: Path, toml: str | bytes, sentence: str
) -> None:
    with pytest.raises(PlatformError) as caught:
        read(folder, toml)
    assert str(folder / "domain.toml") in caught.value.message
    assert sentence in f"{caught.value.message} ({caught.value.hint})"
    assert "\n" not in caught.value.message


def test_a_folder_without_the_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"has no domain\.toml"):
        read_domain_folder(tmp_path)
    with pytest.raises(PlatformError, match=r"has no domain\.toml"):
        read_domain_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_the_built_in_domains_are_as_named(folder: Path) -> None:
    domain = read_domain_folder(folder)
    assert domain.name == folder.name
    assert domain.languages == ("zh", "en")
    assert set(domain.data) == {"train", "test"}
    assert domain.scheme is not None
