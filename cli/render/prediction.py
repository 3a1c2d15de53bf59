"""A prediction for people: the answer, its name in their language, and how sure it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from adapter_platform.plugins.postprocess.display import has_chinese

from .. import output
from .figures import bar, percent
from .table import Table, pad, width

if TYPE_CHECKING:
    from adapter_platform.core.labels import LabelScheme
    from adapter_platform.core.predictions import Prediction

TOP = 3
LANGUAGE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")


def lines(
    prediction: Prediction, scheme: LabelScheme, top_k: int | None, *, bars: bool
) -> Iterator[str]:
    """One text's answer as lines.

    Args:
        top_k: how many probabilities to show; None: three.
        bars: draw them as bars too.
    """
    yield f"{headline(prediction, scheme)}  {percent(prediction.confidence)}"
    if prediction.path:
        steps = [f"{node.split('/')[-1]} {percent(p)}" for node, p in prediction.path]
        yield output.printable(f"  {' > '.join(steps)}")
    ranked = [(output.printable(name), p) for name, p in prediction.top(top_k or TOP)]
    cells = max(width(name) for name, _ in ranked)
    for name, p in ranked:
        yield f"  {pad(name, cells)}  {percent(p):>7}  {bar(p) if bars else ''}".rstrip()


def table(predictions: Sequence[Prediction], scheme: LabelScheme, top_k: int | None) -> Table:
    """Several texts with their answers.

    Args:
        top_k: how many of the most probable labels each row shows beside its answer; None: none.
    """
    headings = ["text", "answer", "confidence>"]
    rows = [[p.text, headline(p, scheme), percent(p.confidence)] for p in predictions]
    if top_k is not None:
        headings.append(f"top {top_k}")
        for prediction, row in zip(predictions, rows, strict=True):
            ranked = prediction.top(top_k)
            row.append(", ".join(f"{name} {percent(share)}" for name, share in ranked))
    return Table.of(headings, rows)


def headline(prediction: Prediction, scheme: LabelScheme) -> str:
    """The answer with its name for people, or that there is none."""
    if prediction.abstained:
        return "no answer (abstained)"
    names = [prediction.label] if prediction.label is not None else []
    if scheme.kind == "multi" and prediction.labels:
        names = [name for name, _ in prediction.labels]
    if not names:
        return "no label"
    shown = []
    for name in names:
        known = prediction.display if name == prediction.label else None
        display = known or _display(scheme, name, prediction.text)
        shown.append(f"{name} ({display})" if display and display != name else name)
    return output.printable(", ".join(shown))


def sentences(prediction: Prediction) -> Iterator[str]:
    """The reasons to trust the answer less."""
    for notice in prediction.warnings:
        yield notice.message
    if prediction.truncated and not any(n.code == "truncated" for n in prediction.warnings):
        yield "the text is longer than the adapter reads; the rest did not count"


def _display(scheme: LabelScheme, name: str, text: str) -> str:
    """The label's name in the language of the text, else of the user, else in English."""
    label = scheme.label(name)
    if label is None:
        return ""
    languages = ["zh"] if has_chinese(text) else []
    languages += [_user_language(), "en"]
    return next((label.display[code] for code in languages if code in label.display), "")


def _user_language() -> str:
    value = next((os.environ[v] for v in LANGUAGE_VARIABLES if os.environ.get(v)), "")
    return value.partition("_")[0].partition(".")[0]
