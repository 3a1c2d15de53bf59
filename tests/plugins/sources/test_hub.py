"""Hub data sets, shown offline on directories that `datasets` loads in the same way."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter_platform.core.errors import DataError
from adapter_platform.core.examples import load_examples
from adapter_platform.core.registry import BadRow, Record, Registry
from adapter_platform.plugins.sources.hub import HubSource


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    cache = tmp_path_factory.mktemp("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    datasets.disable_progress_bars()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A data set in three splits, one of them of a name that says nothing."""
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    for split, labels in (("train", [0, 1, 1]), ("test", [1, 0]), ("extra", [-1])):
        rows = {"text": [f"{split} {i}" for i in range(len(labels))], "label": labels}
        Dataset.from_dict(rows, features).to_parquet(tmp_path / "set" / "data" / f"{split}.parquet")
    card = "configs:\n- config_name: default\n  data_files:\n" + "".join(
        f"  - split: {split}\n    path: data/{split}.parquet\n"
        for split in ("train", "test", "extra")
    )
    (tmp_path / "set" / "README.md").write_text(f"---\n{card}---\n")
    return tmp_path / "set"


def test_all_usual_splits_are_read_and_a_left_out_one_is_named(directory: Path) -> None:
    rows = list(HubSource().read(str(directory)))
    first, last = rows[0], rows[-1]
    assert first == BadRow(
        f"{directory}@extra", "the split 'extra' (1 rows) is not read unless it is named"
    )
    assert last == Record(f"{directory}@test:2", {"split": "test", "text": "test 1", "label": "no"})
    assert len(rows) == 6


def test_one_split_can_be_named(directory: Path) -> None:
    rows = [row for row in HubSource().read(f"{directory}@train") if isinstance(row, Record)]
    assert [row.fields["label"] for row in rows] == ["no", "yes", "yes"]
    assert "split" not in rows[0].fields


def test_the_splits_of_a_data_set_are_those_of_the_examples(
    directory: Path, registry: Registry
) -> None:
    dataset = load_examples({"all": f"hf:{directory}"}, registry)
    assert [e.split for e in dataset.examples] == ["train"] * 3 + ["test"] * 2
    assert dataset.scheme.classes == ("no", "yes")


def test_a_split_that_is_not_there_is_refused_with_those_that_are(directory: Path) -> None:
    with pytest.raises(DataError, match="has no split 'dev'; it has train, test, extra"):
        list(HubSource().read(f"{directory}@dev"))


@pytest.mark.parametrize(
    "location",
    ["nobody/has_this", "nobody/has_this:config@train", "/no/such/directory", "a b c", ""],
)
def test_a_data_set_that_is_not_there_is_one_sentence(location: str) -> None:
    with pytest.raises(DataError, match=r"hf:.*(cannot be loaded|names no data set)"):
        list(HubSource().read(location))


def test_a_directory_of_something_else_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.xyz").write_text("hello")
    with pytest.raises(DataError, match="cannot be loaded"):
        list(HubSource().read(str(tmp_path)))


def test_a_configuration_that_is_not_there_is_one_sentence(directory: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be loaded.*nosuch"):
        list(HubSource().read(f"{directory}:nosuch@train"))


def test_a_broken_file_in_the_directory_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text('{"text": "a"}\n{"text":\n')
    with pytest.raises(DataError, match="cannot be loaded"):
        list(HubSource().read(str(tmp_path)))


def test_splits_of_other_names_alone_have_to_be_named(tmp_path: Path) -> None:
    from datasets import Dataset

    for name in ("spring", "autumn"):
        Dataset.from_dict({"text": ["a"], "label": ["b"]}).to_parquet(tmp_path / f"{name}.parquet")
    files = "".join(f"  - split: {n}\n    path: {n}.parquet\n" for n in ("spring", "autumn"))
    card = f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n"
    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    with pytest.raises(DataError, match="is called train or test: spring, autumn") as caught:
        list(HubSource().read(str(tmp_path)))
    assert caught.value.hint == f"name one: hf:{tmp_path}@spring"
