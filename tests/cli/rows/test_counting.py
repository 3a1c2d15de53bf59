"""How many rows there are is known before they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter_platform.cli.rows import counting
from adapter_platform.cli.rows.counting import count_rows


@pytest.mark.parametrize("block", [1, 3, 2**20])
@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.csv", 'text,n\n"two\nlines, ""quoted""\n",1\nx,2\n', 2),
        ("a.csv", "text\nx\ny", 2),
        ("a.csv", "text\n", 0),
        ("a.csv", "", 0),
        ("a.tsv", 'text\nit is 5" long\ny\n', 2),
        ("a.jsonl", '{"text": "a"}\n{"text": "\\"b"}\n', 2),
        ("a.txt", "one\n\nthree", 3),
        ("a.parquet", "PAR1\n\n", 0),
    ],
)
def test_rows_are_counted_with_quoted_line_ends_inside_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    block: int,
    name: str,
    content: str,
    rows: int,
) -> None:
    monkeypatch.setattr(counting, "BLOCK", block)
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert count_rows(path) == rows
