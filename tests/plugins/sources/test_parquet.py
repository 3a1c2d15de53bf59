"""Parquet files, with the class names that `datasets` leaves in them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapter_platform.core.errors import DataError
from adapter_platform.core.registry import Record
from adapter_platform.plugins.sources.parquet import ParquetSource


def test_rows_come_in_order_over_batches_with_their_number(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"第{i}句" for i in range(2500)]
    pq.write_table(pa.table({"text": texts, "label": [["a", "b"]] * 2500}), path)
    rows = list(ParquetSource().read(str(path)))
    assert len(rows) == 2500
    assert rows[2499] == Record(f"{path}:2500", {"text": "第2499句", "label": ["a", "b"]})


def test_class_numbers_become_the_names_that_the_file_carries(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    path = tmp_path / "a.parquet"
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features).to_parquet(path)
    rows = [row for row in ParquetSource().read(str(path)) if isinstance(row, Record)]
    assert [row.fields["label"] for row in rows] == ["yes", "no", None]


def test_a_file_cut_short_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a"], "label": ["b"]}), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        list(ParquetSource().read(str(path)))


def test_a_file_damaged_in_the_middle_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"text {i * i} {i % 7}" for i in range(3000)]
    pq.write_table(pa.table({"text": texts, "label": texts}), path, compression="gzip")
    content = bytearray(path.read_bytes())
    for at in range(len(content) // 3, len(content) // 2):
        content[at] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        list(ParquetSource().read(str(path)))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([["a"], ["b"]], names=["text", "text"]), path)
    with pytest.raises(DataError, match="two columns are named 'text'"):
        list(ParquetSource().read(str(path)))
