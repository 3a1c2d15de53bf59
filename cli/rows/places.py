"""What the name of a file says: how its rows are read, and how they are to be written."""

from __future__ import annotations

from pathlib import Path

from adapter_platform.core.data.uris import what_is_at
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
    places = map(what_is_at, (location, location.partition(":")[2]))
    return next((place for place in places if place is not None and place.is_file()), None)


def format_of(path: Path) -> str:
    """The format that a file's suffix asks for. Raises `UsageError`."""
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        raise UsageError(
            f"results cannot be written as {path.suffix or path.name!r}",
            f"give the output one of the suffixes {', '.join(FORMATS)}",
        ) from None


def format_for(location: str | None, target: Path | None, json: bool) -> str:
    """How rows of an input are to be written: as the output's suffix says, else as the input is.

    Args:
        location: of the input; None: it has no columns.
        json: JSON lines, whatever the input is.

    Raises:
        UsageError: the target's suffix says nothing.
    """
    if target is not None:
        if target.exists():
            return FORMATS.get(target.suffix.lower(), "jsonl")
        return format_of(target)
    if json:
        return "jsonl"
    if location is None or is_lines(location):
        return "tsv"
    return FORMATS.get(Path(location).suffix.lower(), "jsonl")


def check_target(location: str | None, target: Path, json: bool) -> None:
    """Refuses an output that cannot be meant. Raises `UsageError`."""
    if target.suffix.lower() not in FORMATS and target.exists():
        if target.is_dir():
            raise UsageError(f"{target} is a directory", "give --output a file")
    elif json and format_of(target) != "jsonl":
        raise UsageError(f"--json and --output {target} ask for two formats", "leave --json out")
    if location is not None and is_same(location, target):
        raise UsageError(
            f"{target} is the input too, and is not overwritten", "give another --output"
        )


def is_same(location: str, path: Path) -> bool:
    """Whether an input is the file at a path."""
    file = file_of(location)
    return file is not None and path.is_file() and file.samefile(path)


def is_whole(text: str) -> bool:
    """Whether the text is Unicode that UTF-8 can hold; broken bytes arrive as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
