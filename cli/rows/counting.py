"""About how many rows a file has, counted in a fraction of the time that reading them takes."""

from __future__ import annotations

from pathlib import Path

BLOCK = 2**20
LINES = (".txt", ".text", ".jsonl", ".ndjson")
TABLES = (".csv", ".tsv", ".tab")


def count_rows(path: Path) -> int:
    """The rows of a text file, good or bad; 0 for a format that is not counted."""
    suffix = path.suffix.lower()
    if suffix not in (*LINES, *TABLES):
        return 0
    quotes = suffix == ".csv"
    rows, last, inside = 0, b"\n", False
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            last = block[-1:]
            if not quotes:
                rows += block.count(b"\n")
                continue
            outside = block.split(b'"')
            rows += sum(part.count(b"\n") for part in outside[inside::2])
            inside ^= len(outside) % 2 == 0
    rows += last != b"\n"
    return max(0, rows - (suffix in TABLES))
