"""A result file appears whole, or what was there stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter_platform.cli.rows.atomic import replacing
from adapter_platform.core.errors import DataError


def test_the_file_appears_at_the_end_with_ordinary_rights(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with replacing(path) as file:
        file.write("数据\n")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "数据\n"
    assert path.stat().st_mode & 0o444 == 0o444
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o640)
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(f"new {1 / 0}")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]
    with replacing(path) as file:
        file.write("new")
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_is_followed_so_that_it_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.touch()
    link.symlink_to(target)
    with replacing(link) as file:
        file.write("new")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new"


def test_a_device_is_written_to_and_not_replaced() -> None:
    with replacing(Path("/dev/null")) as file:
        file.write("gone")
    assert not Path("/dev/null").is_file()


def test_where_no_file_can_be_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a directory"), replacing(tmp_path):
        pass
    with pytest.raises(DataError, match="there is no directory"), replacing(tmp_path / "a" / "b"):
        pass
