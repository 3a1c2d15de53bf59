"""What the store promises to those who publish, look up, roll back and remove."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.errors import (
    AdapterCorrupt,
    AdapterNotFound,
    StoreError,
    UsageError,
)
from adapter_platform.core.store.manifest import FILE, Manifest
from adapter_platform.core.store.store import Store
from adapter_platform.core.store.verify import verify_files

WRITER = Path(__file__).with_name("writer.py")


def answer(store: Store, reference: str) -> str:
    """What the resolved adapter's head says."""
    return (store.resolve(reference).path / "head.json").read_text(encoding="utf-8").strip('"')


# Publishing


def test_a_store_that_does_not_exist_yet_is_empty_and_stays_unmade_by_reading(store: Store) -> None:
    assert store.names() == []
    assert store.listing() == []
    assert store.gc() == []
    with pytest.raises(AdapterNotFound, match="no adapter named 'support'") as caught:
        store.resolve("support")
    assert caught.value.hint is not None
    assert "adapters train" in caught.value.hint
    assert not store.root.exists()


def test_published_versions_count_up_and_name_their_parent(store: Store, publish: Any) -> None:
    first, second = publish(store, text="one"), publish(store, text="two")
    assert (first.version, first.parent, second.version, second.parent) == (1, None, 2, 1)
    assert store.versions("support") == [1, 2]
    assert store.current("support") == 2
    assert answer(store, "support") == "two"
    assert answer(store, "support@1") == "one"
    assert store.path("support", 1) == store.root / "support" / "1"
    assert second.created.endswith("+00:00")


def test_the_manifest_on_disk_is_the_one_that_publish_returns(store: Store, publish: Any) -> None:
    published = publish(store)
    assert Manifest.read(store.path("support", 1)) == published
    assert set(published.files) == {"head.json", "report/report.md"}
    assert store.resolve("support").content_hash == published.content_hash


def test_a_staged_directory_is_gone_after_the_block_if_it_was_not_published(store: Store) -> None:
    with store.stage("support") as directory:
        (directory / "head.json").touch()
    assert not directory.exists()
    with pytest.raises(ZeroDivisionError), store.stage("support") as directory:
        raise ZeroDivisionError
    assert not directory.exists()
    assert store.names() == []
    assert store.gc() == []


def test_a_version_that_is_not_promoted_waits_beside_the_current_one(
    store: Store, publish: Any
) -> None:
    publish(store, text="one")
    publish(store, text="two", promote=False)
    assert answer(store, "support") == "one"
    assert answer(store, "support@2") == "two"
    store.promote("support", 2)
    assert answer(store, "support") == "two"


def test_a_name_without_a_current_version_says_so_and_answers_by_version(
    store: Store, publish: Any
) -> None:
    publish(store, text="one", promote=False)
    assert answer(store, "support@1") == "one"
    with pytest.raises(StoreError, match="no version of support is current") as caught:
        store.resolve("support")
    assert caught.value.hint is not None
    assert "promote support" in caught.value.hint
    [entry] = store.listing()
    assert (entry.version, entry.versions) == (None, (1,))
    store.promote("support", 1)
    assert answer(store, "support") == "one"


@pytest.mark.parametrize("file", ["adapter_model.bin", "model.PT", "a/b.pkl", "x.pth", "y.ckpt"])
def test_a_file_that_may_carry_code_is_not_published(file: str, store: Store, publish: Any) -> None:
    manifest = publish(store)
    with store.stage("support") as directory:
        (directory / file).parent.mkdir(exist_ok=True)
        (directory / file).touch()
        with pytest.raises(StoreError, match="can carry code"):
            store.publish(directory, manifest)
    assert store.versions("support") == [1]


def test_everyone_whom_the_umask_allows_may_read_what_was_published(
    store: Store, publish: Any
) -> None:
    manifest = publish(store)
    with store.stage("support") as directory:
        (directory / "head.safetensors").touch(mode=0o600)  # as safetensors writes it
        store.publish(directory, manifest)
    published = store.path("support", 2)
    modes = {(published / file).stat().st_mode for file in ("head.safetensors", FILE)}
    assert len(modes) == 1


@pytest.mark.parametrize("new", ["Support", "SUPPORT", "DATA_ENG"])
def test_a_name_that_is_another_but_for_capitals_is_refused_before_the_work(
    new: str, store: Store, starters: Path, publish: Any
) -> None:
    store = Store(store.root, starters)
    publish(store)
    with pytest.raises(UsageError, match="beside") as caught, store.stage(new):
        pytest.fail("somebody would have worked for nothing")
    assert new.lower() in (caught.value.hint or "")
    assert store.names() == ["data_eng", "support"]


def test_a_name_taken_in_other_capitals_meanwhile_is_refused(store: Store, publish: Any) -> None:
    with store.stage("Support") as staged:
        (staged / "head.json").touch()
        manifest = publish(store)
        with pytest.raises(UsageError, match="'Support' beside 'support'"):
            store.publish(staged, replace(manifest, name="Support"))
    assert store.names() == ["support"]


def test_names_that_already_lie_side_by_side_go_on(store: Store, publish: Any) -> None:
    publish(store, "other")
    publish(store)
    for path in (store.root / "other").rglob("manifest.json"):
        path.write_text(path.read_text(encoding="utf-8").replace('"other"', '"Support"'))
    (store.root / "other").rename(store.root / "Support")
    assert publish(store, "Support").version == 2
    assert publish(store).version == 2


@pytest.mark.skipif(os.name == "nt", reason="such a file cannot be there")
@pytest.mark.parametrize("name", ["C:head.json", "..\\head.json"])
def test_a_file_whose_name_leads_elsewhere_on_windows_is_not_published(
    name: str, store: Store, publish: Any
) -> None:
    manifest = publish(store)
    with store.stage("support") as staged:
        (staged / name).touch()
        with pytest.raises(StoreError, match="elsewhere on Windows"):
            store.publish(staged, manifest)


def test_to_make_one_current_that_the_probe_beats_is_said(
    store: Store, publish: Any, caplog: pytest.LogCaptureFixture
) -> None:
    first = publish(store)
    with store.stage("support") as staged:
        (staged / "head.json").touch()
        store.publish(staged, replace(first, worse_than_probe=True))
    publish(store)
    caplog.clear()
    assert store.rollback("support") == 2
    store.promote("support", 3)
    store.promote("support", 2)
    assert store.rollback("support") == 1
    said = "support@2 is worse than logistic regression on the frozen base (the probe)"
    assert caplog.messages == [said, said]


def test_links_and_empty_directories_are_not_published(
    store: Store, publish: Any, tmp_path: Path
) -> None:
    manifest = publish(store)
    with store.stage("support") as directory:
        with pytest.raises(StoreError, match="is empty"):
            store.publish(directory, manifest)
        (directory / "link").symlink_to(tmp_path)
        with pytest.raises(StoreError, match="link is not a plain file"):
            store.publish(directory, manifest)
    assert store.versions("support") == [1]


def test_only_a_directory_staged_in_this_store_is_published(
    store: Store, publish: Any, tmp_path: Path
) -> None:
    manifest = publish(store)
    with pytest.raises(StoreError, match="was not staged in the store"):
        store.publish(tmp_path, manifest)


def test_a_name_that_cannot_be_is_refused_before_any_work(store: Store) -> None:
    with pytest.raises(UsageError), store.stage("../outside"):
        pytest.fail("the block must not run")
    assert not store.root.exists()


def test_processes_that_publish_at_once_all_succeed_with_different_versions(
    store: Store, publish: Any
) -> None:
    publish(store)
    command = [sys.executable, str(WRITER), "publish:support", str(store.root), "none"]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = sorted(writer.communicate(timeout=60)[0].strip() for writer in writers)
    assert said == ["2", "3", "4", "5"]
    assert store.versions("support") == [1, 2, 3, 4, 5]
    assert all(store.verify("support", version) == [] for version in store.versions("support"))


def test_threads_that_publish_while_others_read_never_show_half_an_adapter(
    store: Store, publish: Any
) -> None:
    publish(store)
    done = threading.Event()

    def read() -> int:
        seen = 0
        while not done.is_set():
            source = store.resolve("support")
            verify_files(source)
            assert source.manifest.version >= seen
            seen = source.manifest.version
        return seen

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        writers = [pool.submit(publish, store, "support", str(i)) for i in range(12)]
        versions = sorted(writer.result().version for writer in writers)
        done.set()
        assert [reader.result() >= 1 for reader in readers] == [True, True]
    assert versions == list(range(2, 14))


def test_a_writer_that_waits_too_long_says_so(store: Store, publish: Any) -> None:
    publish(store)
    hasty = Store(store.root, lock_seconds=0.05)
    with (
        store._staging.turn(),
        pytest.raises(StoreError, match="another process has been writing"),
    ):
        hasty.promote("support", 1)
    hasty.promote("support", 1)


# Looking up


def test_another_process_sees_a_publish_at_its_next_request(store: Store, publish: Any) -> None:
    publish(store, text="one")
    reader = Store(store.root)
    before = reader.resolve("support")
    assert reader.resolve("support") is before, "an unchanged adapter is not read again"
    publish(store, text="two")
    assert answer(reader, "support") == "two"
    store.rollback("support")
    after = reader.resolve("support")
    assert (after.path, after.content_hash) == (before.path, before.content_hash)


def test_a_pointer_that_moves_fast_never_shows_a_stale_version(store: Store, publish: Any) -> None:
    for _ in range(3):
        publish(store)
    reader = Store(store.root)
    for version in [1, 2, 3] * 10:
        # Two moves between two looks: the file system may give the first pointer's inode again.
        store.promote("support", 1 + version % 3)
        store.promote("support", version)
        assert reader.resolve("support").manifest.version == version


def test_an_unknown_name_suggests_the_nearest(store: Store, publish: Any) -> None:
    publish(store, "support")
    with pytest.raises(AdapterNotFound, match="'suport'") as caught:
        store.resolve("suport")
    assert caught.value.hint == "did you mean 'support'?"
    for outside in ("../store/support", "", "/", "support/1", ".staging"):
        with pytest.raises(AdapterNotFound):
            store.resolve(outside)


def test_an_unknown_version_lists_those_that_exist(store: Store, publish: Any) -> None:
    publish(store)
    with pytest.raises(AdapterNotFound, match="support has no version 7") as caught:
        store.resolve("support@7")
    assert caught.value.hint == "its versions: 1"


def test_a_chinese_name_is_found_in_either_spelling(store: Store, publish: Any) -> None:
    publish(store, "客服")
    publish(store, "cafe\u0301")
    assert store.names() == ["caf\u00e9", "客服"]
    assert store.resolve("cafe\u0301").path == store.resolve("caf\u00e9").path
    assert store.versions("cafe\u0301") == [1]


# Rolling back, promoting, removing


def test_a_rollback_makes_the_parent_current(store: Store, publish: Any) -> None:
    publish(store, text="one")
    publish(store, text="two")
    assert store.rollback("support") == 1
    assert answer(store, "support") == "one"
    with pytest.raises(StoreError, match="it was the first"):
        store.rollback("support")
    assert publish(store, text="three").parent == 1
    assert store.versions("support") == [1, 2, 3]


def test_a_rollback_to_a_removed_version_names_those_that_are_left(
    store: Store, publish: Any
) -> None:
    for _ in range(3):
        publish(store)
    store.remove("support", 2)
    with pytest.raises(StoreError, match="version 2 is removed") as caught:
        store.rollback("support")
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("versions: 1")


def test_a_damaged_version_does_not_become_current(store: Store, publish: Any) -> None:
    publish(store)
    publish(store)
    (store.path("support", 1) / "head.json").write_text("{}", encoding="utf-8")
    with pytest.raises(AdapterCorrupt, match=r"head.json has changed"):
        store.rollback("support")
    with pytest.raises(AdapterCorrupt, match=r"head.json has changed"):
        store.promote("support", 1)
    assert store.current("support") == 2


def test_the_current_version_is_removed_only_with_its_name(store: Store, publish: Any) -> None:
    publish(store)
    publish(store)
    with pytest.raises(StoreError, match="is current and cannot be removed"):
        store.remove("support", 2)
    store.remove("support", 1)
    assert store.versions("support") == [2]
    store.remove("support")
    assert store.names() == []
    with pytest.raises(AdapterNotFound):
        store.remove("support")


def test_the_last_version_takes_its_name_along(store: Store, publish: Any) -> None:
    publish(store)
    store.remove("support", 1)
    assert store.names() == []


def test_the_number_of_a_removed_version_is_not_given_again(store: Store, publish: Any) -> None:
    publish(store)
    publish(store, promote=False)
    store.remove("support", 2)
    assert publish(store).version == 3


def test_a_reference_in_place_of_a_name_removes_nothing(store: Store, publish: Any) -> None:
    publish(store)
    with pytest.raises(AdapterNotFound):
        store.remove("support@1")
    assert store.names() == ["support"]


# Starters


def test_a_starter_answers_until_its_name_is_published(
    starters: Path, tmp_path: Path, publish: Any
) -> None:
    store = Store(tmp_path / "store", starters)
    publish(store, "support")
    assert store.names() == ["data_eng", "support"]
    assert [entry.layer for entry in store.listing()] == ["starter", "store"]
    assert answer(store, "data_eng") == answer(store, "data_eng@1") == "shipped"
    assert store.path("data_eng", 1).is_relative_to(starters)


def test_the_first_publish_brings_the_starter_along_so_that_rollback_finds_it(
    starters: Path, tmp_path: Path, publish: Any
) -> None:
    store = Store(tmp_path / "store", starters)
    shipped = store.resolve("data_eng").content_hash
    mine = publish(store, "data_eng", "mine")
    assert (mine.version, mine.parent) == (2, 1)
    [entry] = store.listing()
    assert (entry.layer, entry.version, entry.versions) == ("store", 2, (1, 2))
    assert answer(store, "data_eng") == "mine"
    assert store.rollback("data_eng") == 1
    assert store.resolve("data_eng").content_hash == shipped
    assert store.verify("data_eng", 1) == []
    store.remove("data_eng")
    assert [entry.layer for entry in store.listing()] == ["starter"]


def test_an_unpromoted_version_over_a_starter_leaves_the_starter_current(
    starters: Path, tmp_path: Path, publish: Any
) -> None:
    store = Store(tmp_path / "store", starters)
    publish(store, "data_eng", "mine", promote=False)
    assert store.versions("data_eng") == [1, 2]
    assert answer(store, "data_eng") == "shipped"


def test_starters_are_never_changed(starters: Path, tmp_path: Path, publish: Any) -> None:
    store = Store(tmp_path / "store", starters)
    before = {path: path.stat().st_mtime_ns for path in starters.rglob("*")}
    for change in (store.remove, store.rollback, lambda name: store.promote(name, 1)):
        with pytest.raises(StoreError, match="data_eng is a starter adapter"):
            change("data_eng")
    publish(store, "data_eng")
    store.remove("data_eng")
    assert {path: path.stat().st_mtime_ns for path in starters.rglob("*")} == before


def test_a_listing_tells_of_a_newer_starter(starters: Path, tmp_path: Path, publish: Any) -> None:
    store = Store(tmp_path / "store", starters)
    publish(store, "data_eng", "mine")
    publish(store, "support", "mine")
    assert [entry.newer_starter for entry in store.listing()] == [None, None]
    upgraded = Store(starters)
    publish(upgraded, "data_eng", "shipped later")
    publish(upgraded, "support", "a starter of a name that the user had first")
    assert [entry.newer_starter for entry in store.listing()] == [2, None]
    assert answer(store, "data_eng@2") == "mine"


def test_a_damaged_starter_is_not_copied(starters: Path, tmp_path: Path, publish: Any) -> None:
    store = Store(tmp_path / "store", starters)
    (store.path("data_eng", 1) / "head.json").write_text("{}", encoding="utf-8")
    with pytest.raises(AdapterCorrupt, match="the starter data_eng@1 is damaged"):
        publish(store, "data_eng")
    assert [entry.layer for entry in store.listing()] == ["starter"]
    assert store.gc() == []


# Damage and trouble


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": 99}', '{"format": 1}', '{"format": 1, "name": 5}', "[" * 100_000],
)
def test_a_corrupt_manifest_hides_no_other_adapter(text: str, store: Store, publish: Any) -> None:
    publish(store, "good")
    publish(store, "bad")
    (store.path("bad", 1) / FILE).write_text(text, encoding="utf-8")
    bad, good = store.listing()
    assert isinstance(bad.error, AdapterCorrupt)
    assert (bad.manifest, bad.version, bad.versions) == (None, 1, (1,))
    assert good.error is None
    assert [manifest.name for manifest in store.manifests()] == ["good"]
    with pytest.raises(AdapterCorrupt, match=FILE):
        store.resolve("bad")
    assert len(store.verify("bad")) == 1


def test_a_manifest_with_a_field_of_the_wrong_type_is_corrupt(store: Store, publish: Any) -> None:
    publish(store)
    path = store.path("support", 1) / FILE
    path.write_text(path.read_text("utf-8").replace('"metrics": {}', '"metrics": 3'), "utf-8")
    with pytest.raises(AdapterCorrupt, match="'metrics' is of the wrong type"):
        store.resolve("support")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"long_text": "truncate"', '"long_text": "pages"', "reads long texts by 'pages'"),
        ('"stride": 0', '"stride": -1', "'stride' is of the wrong type"),
    ],
)
def test_a_manifest_that_reads_long_texts_as_nobody_can_is_corrupt(
    store: Store, publish: Any, old: str, new: str, says: str
) -> None:
    publish(store)
    path = store.path("support", 1) / FILE
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(AdapterCorrupt, match=says):
        store.resolve("support")


def test_what_cannot_be_read_at_all_hides_no_other_adapter(store: Store, publish: Any) -> None:
    publish(store, "good")
    (store.root / "loop").symlink_to("loop")
    (store.root / "empty").mkdir()
    (store.root / "file").touch()
    assert [(entry.name, entry.error is None) for entry in store.listing()] == [
        ("good", True),
        ("loop", False),
    ]


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "1.5", "9" * 5000])
def test_a_damaged_pointer_is_explained_and_a_promotion_mends_it(
    text: str, store: Store, publish: Any
) -> None:
    publish(store)
    (store.root / "support" / "current").write_text(text, encoding="utf-8")
    with pytest.raises(AdapterCorrupt, match="does not hold a version number"):
        store.resolve("support")
    assert answer(store, "support@1") == "one"
    store.promote("support", 1)
    assert answer(store, "support") == "one"


def test_a_pointer_to_nothing_is_explained(store: Store, publish: Any) -> None:
    publish(store)
    (store.root / "support" / "current").write_text("5\n", encoding="utf-8")
    with pytest.raises(AdapterCorrupt, match="the current version of support is 5"):
        store.resolve("support")


def test_a_copied_directory_is_not_taken_for_what_it_is_called(store: Store, publish: Any) -> None:
    publish(store)
    (store.root / "support").rename(store.root / "sales")
    with pytest.raises(AdapterCorrupt, match="holds the manifest of support@1"):
        store.resolve("sales")


def test_a_store_that_is_a_file_or_lies_below_one_is_explained(
    tmp_path: Path, publish: Any
) -> None:
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(StoreError, match="is not a directory"):
            publish(Store(root))
    with pytest.raises(StoreError, match="is not a directory"):
        Store(tmp_path / "file").listing()


def test_garbage_collection_spares_what_a_living_writer_is_filling(
    store: Store, publish: Any
) -> None:
    with store.stage("support") as directory:
        (directory / "head.json").touch()
        (store.root / ".staging" / "0123456789abcdef").mkdir()
        assert [path.name for path in Store(store.root).gc()] == ["0123456789abcdef"]
        assert (directory / "head.json").exists()


def test_a_disk_error_of_another_kind_of_work_passes_through_a_stage(
    store: Store, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError), store.stage("support"):
        (tmp_path / "data.csv").read_text(encoding="utf-8")
    with pytest.raises(StoreError), store.stage("support") as directory:
        (directory / "no such folder" / "head.json").touch()


def test_the_store_is_imported_without_anything_heavy() -> None:
    code = (
        "import sys; import adapter_platform.core.store.store; "
        "print({'torch', 'numpy', 'pydantic', 'filelock', 'safetensors'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
