"""What ``eval`` and ``compare`` do alike with what they found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import output
from ..render.evaluation import judged_sentences
from ..render.plots import check_plots
from ..rows.atomic import replacing
from ..rows.places import check_output


def say_what_is_judged(found: Mapping[str, Any]) -> None:
    """Notes where the texts are not one split of the data, and on what the adapters have seen."""
    if found["split"] is None:
        output.note("judged on all the texts: the data has no splits")
    for sentence in judged_sentences(found):
        output.note(sentence)


def check_outputs(inputs: Iterable[str], output_file: Path | None, html: Path | None) -> None:
    """Raises `PlatformError` where a file cannot be written or is read, before any text is
    classified.
    """
    if output_file is not None:
        check_output(output_file, inputs)
    if html is not None:
        check_plots()
        check_output(html, inputs, "--html")


def write_page(path: Path, html: str) -> None:
    """Writes an HTML file, whole or not at all, and says where."""
    with replacing(path) as file:
        file.write(html)
    output.note(f"report written to {path}")


def write_json(path: Path, found: Mapping[str, Any]) -> None:
    """Writes a JSON file, whole or not at all, and says where."""
    with replacing(path) as file:
        file.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    output.note(f"figures written to {path}")
