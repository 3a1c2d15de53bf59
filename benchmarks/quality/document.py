"""The document of figures that a script ends with: shown, kept as JSON, and shown again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Document = Mapping[str, Any]
Lines = Callable[[Document], Iterable[str]]

Judged = Literal["val", "test"]
"""The split that figures are of."""

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the figures.")]


def present(document: Document, lines: Lines, json_file: Path | None) -> None:
    """Prints the document's lines and, where ``--json`` says so, writes it for `show`."""
    _print(lines(document))
    if json_file is not None:
        json_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def show(file: Path, lines: Lines) -> None:
    """Prints the lines of a document that `present` has written."""
    _print(lines(json.loads(file.read_text(encoding="utf-8"))))


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)
