"""What ``eval`` and ``compare`` do alike with what they found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import output
from ..render.evaluation import judged_sentences
from ..render.plots import check_plots
from ..rows.atomic import check_place, replacing


def say_what_is_judged(found: Mapping[str, Any]) -> None:
    """Notes where the texts are not one split of the data, and on what the adapters have seen."""
    if found["split"] is None:
        output.note("judged on all the texts: the data has no splits")
    for sentence in judged_sentences(found):
        output.note(sentence)


def check_page(path: Path) -> None:
    """Raises `PlatformError` where no page can be written, before any text is classified."""
    check_plots()
    check_place(path)


def write_page(path: Path, html: str) -> None:
    """Writes an HTML file, whole or not at all."""
    with replacing(path) as file:
        file.write(html)


def write_json(path: Path, found: Mapping[str, Any]) -> None:
    """Writes a JSON file, whole or not at all."""
    with replacing(path) as file:
        file.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
