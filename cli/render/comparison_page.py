"""A comparison of two adapters as one HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from . import page, plots
from .comparison import differ, figures, mcnemar, right_and_wrong, verdict
from .evaluation import SCORES, figure_name, judged_sentences
from .figures import count


def comparison_page(found: Mapping[str, Any]) -> str:
    """The file.

    Args:
        found: what `training.compare.compare` gives.
    """
    return page.page(f"{found['a']} and {found['b']} compared", _parts(found))


def _parts(found: Mapping[str, Any]) -> Iterator[str]:
    yield page.paragraph(f"{verdict(found)}.")
    for sentence in judged_sentences(found):
        yield page.paragraph(f"{sentence[0].upper()}{sentence[1:]}.")
    yield page.heading("Figures")
    yield page.paragraph(f"A difference is {found['b']} less {found['a']}, on the same texts.")
    yield page.table(figures(found))
    yield plots.differences(
        [
            (figure_name(name), row["difference"], row["interval"])
            for name, row in found["figures"].items()
            if row["interval"] and name not in SCORES
        ]
    )
    yield page.heading("Right and wrong")
    yield page.table(right_and_wrong(found))
    yield page.paragraph(f"{mcnemar(found)}.")
    yield page.heading(f"{count(len(found['differ']), 'text')} answered differently")
    if found["differ"]:
        yield page.table(differ(found, limit=None, cells=None))
