"""Adapters are hashed at each load: what has changed on disk never answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.errors import AdapterCorrupt, AdapterNotFound
from adapter_platform.core.store.store import Store
from adapter_platform.core.store.verify import verify_files


def test_a_whole_adapter_passes(store: Store, publish: Any) -> None:
    publish(store)
    verify_files(store.resolve("support"))
    assert store.verify("support") == []


def test_missing_changed_and_extra_files_are_each_named(store: Store, publish: Any) -> None:
    publish(store)
    directory = store.path("support", 1)
    (directory / "head.json").write_text('"ONE"', encoding="utf-8")
    (directory / "report" / "report.md").unlink()
    (directory / "extra.bin").touch()
    assert store.verify("support", 1) == [
        "head.json has changed",
        "report/report.md is missing",
        "extra.bin is not in the manifest",
    ]
    with pytest.raises(AdapterCorrupt, match=r"support@1 is damaged: head.json has changed") as e:
        verify_files(store.resolve("support"))
    assert e.value.hint is not None
    assert "platform adapters verify support" in e.value.hint


def test_a_file_replaced_by_a_link_to_the_same_bytes_is_damage(
    store: Store, publish: Any, tmp_path: Path
) -> None:
    publish(store)
    head = store.path("support", 1) / "head.json"
    head.rename(tmp_path / "head.json")
    head.symlink_to(tmp_path / "head.json")
    assert store.verify("support") == ["head.json is a link"]


def test_a_file_behind_a_link_to_its_directory_is_damage(
    store: Store, publish: Any, tmp_path: Path
) -> None:
    publish(store)
    report = store.path("support", 1) / "report"
    report.rename(tmp_path / "report")
    report.symlink_to(tmp_path / "report")
    assert "report/report.md lies behind a link" in store.verify("support")


OUTSIDE = ["../2/head.json", "/etc/hostname", "report/../../x"]
OUTSIDE += ["..\\2\\head.json", "C:\\Windows\\win.ini", "C:head.json", "\\\\host\\share\\x"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_manifest_that_points_outside_its_directory_is_damage(
    name: str, store: Store, publish: Any
) -> None:
    publish(store)
    source = store.resolve("support")
    tricked = replace(source, manifest=replace(source.manifest, files={name: "0" * 64}))
    with pytest.raises(AdapterCorrupt, match="lies outside the adapter"):
        verify_files(tricked)


def test_a_version_removed_after_it_was_resolved_is_not_called_damaged(
    store: Store, publish: Any
) -> None:
    publish(store)
    source = store.resolve("support")
    store.remove("support")
    with pytest.raises(AdapterNotFound, match="support@1 has been removed"):
        verify_files(source)
