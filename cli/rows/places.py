"""What the name of a file says: how its rows are read, and how they are to be written."""

from __future__ import annotations

from pathlib import Path

from adapter_platform.core.errors import UsageError

STDIN = "-"
LINES = (".txt", ".text")
FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def is_lines(location: str) -> bool:
    """Whether the input is one text a line, without columns."""
    return location == STDIN or Path(location).suffix.lower() in LINES


def file_of(location: str) -> Path | None:
    """The plain file that a path or URI names; None where it names none on this machine."""
    if location == STDIN:
        return None
    paths = (Path(location), Path(location.partition(":")[2]))
    return next((path for path in paths if path.is_file()), None)


def format_of(path: Path) -> str:
    """The format that a file's suffix asks for. Raises `UsageError`."""
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        raise UsageError(
            f"results cannot be written as {path.suffix or path.name!r}",
            f"give the output one of the suffixes {', '.join(FORMATS)}",
        ) from None


def is_whole(text: str) -> bool:
    """Whether the text is Unicode that UTF-8 can hold; broken bytes arrive as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
