"""What the name of a file says: how its rows are read, and how they are to be written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from adapter_platform.core.data.uris import what_is_at
from adapter_platform.core.errors import UsageError

from .atomic import check_place, is_device

if TYPE_CHECKING:
    from adapter_platform.core.registry import Registry

STDIN = "-"
LINES = (".txt", ".text")
FORMATS = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


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
        if is_device(target):
            return FORMATS.get(target.suffix.lower(), "jsonl")
        # /dev/stdout is the file that standard output goes to.
        return format_of(target if target.suffix else target.resolve())
    if json:
        return "jsonl"
    if location is None or is_lines(location):
        return "tsv"
    return FORMATS.get(Path(location).suffix.lower(), "jsonl")


def check_target(target: Path, json: bool, inputs: Iterable[str]) -> None:
    """Refuses an output of rows that cannot be meant. Raises as `format_for`, `check_output`."""
    check_output(target, inputs)
    if format_for(None, target, json) != "jsonl" and json:
        raise UsageError(f"--json and --output {target} ask for two formats", "leave --json out")


def check_output(target: Path, inputs: Iterable[str], option: str = "--output") -> None:
    """Refuses a file that cannot be written, or that is read too.

    Raises:
        DataError: as `check_place`.
        UsageError: it is one of the inputs.
    """
    check_place(target)
    if any(is_same(location, target) for location in inputs):
        raise UsageError(
            f"{target} is the input too, and is not overwritten", f"give another {option}"
        )


def data_read(
    uris: Mapping[str, str] | None, registry: Registry, *references: str
) -> Iterable[str]:
    """The URIs of labelled data that a command reads: as given, or of the adapters' domains."""
    from adapter_platform.core.training.requests import by_split

    if uris is not None:
        return uris.values()
    names = (reference.partition("@")[0] for reference in references)
    own = (registry.domains[name].value for name in names if name in registry.domains)
    return [uri for domain in own for uri in by_split(domain.data).values()]


def is_same(location: str, path: Path) -> bool:
    """Whether an input is the file at a path."""
    file = file_of(location)
    return file is not None and path.is_file() and file.samefile(path)


def is_whole(text: str) -> bool:
    """Whether the text is Unicode that UTF-8 can hold; broken bytes arrive as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
