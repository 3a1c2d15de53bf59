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
    from adapter_platform.core.predictions import Prediction, Routing

TOP = 3
LANGUAGE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")


def lines(
    prediction: Prediction, scheme: LabelScheme | None, top_k: int | None, *, bars: bool
) -> Iterator[str]:
    """One text's answer as lines.

    Args:
        scheme: of who answered; None: nobody did.
        top_k: how many probabilities to show; None: three.
        bars: draw them as bars too.
    """
    if scheme is None:
        yield headline(prediction, scheme)
    else:
        yield f"{headline(prediction, scheme)}  {_how_sure(prediction)}"
    if prediction.routing is not None:
        yield output.printable(f"  {_found(prediction.routing)}")
    if prediction.path:
        steps = [f"{node.split('/')[-1]} {percent(p)}" for node, p in prediction.path]
        yield output.printable(f"  {' > '.join(steps)}")
    ranked = [(output.printable(name), p) for name, p in prediction.top(top_k or TOP)]
    cells = max((width(name) for name, _ in ranked), default=0)
    for name, p in ranked:
        yield f"  {pad(name, cells)}  {percent(p):>7}  {bar(p) if bars else ''}".rstrip()


def table(
    predictions: Sequence[Prediction], schemes: Sequence[LabelScheme | None], top_k: int | None
) -> Table:
    """Several texts with their answers, and who gave them where that was found by text.

    Args:
        schemes: of who answered each; None: nobody did.
        top_k: how many of the most probable labels each row shows beside its answer; None: none.
    """
    headings = ["text", "answer", "confidence>"]
    rows = [
        [p.text, headline(p, scheme), "-" if scheme is None else percent(p.confidence)]
        for p, scheme in zip(predictions, schemes, strict=True)
    ]
    if any(prediction.routing for prediction in predictions):
        headings.append("adapter")
        for prediction, row in zip(predictions, rows, strict=True):
            row.append(prediction.adapter or "-")
    if top_k is not None:
        headings.append(f"top {top_k}")
        for prediction, row in zip(predictions, rows, strict=True):
            ranked = prediction.top(top_k)
            row.append(", ".join(f"{name} {percent(share)}" for name, share in ranked))
    return Table.of(headings, rows)


def headline(prediction: Prediction, scheme: LabelScheme | None) -> str:
    """The answer with its name for people, or that there is none."""
    if scheme is None:
        return "no answer (no adapter for it)"
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


def _how_sure(prediction: Prediction) -> str:
    """The confidence; of a withheld answer also the scope, which may be what withheld it."""
    confidence = percent(prediction.confidence)
    if not prediction.abstained or prediction.scope is None:
        return confidence
    return f"confidence {confidence}, scope {percent(prediction.scope)}"


def _found(routing: Routing) -> str:
    """Whose texts the text is nearest to, and whose next."""
    found = f"nearest {routing.nearest} {routing.similarity:.2f}"
    if routing.runner_up is None or routing.runner_up_similarity is None:
        return found
    return f"{found}, next {routing.runner_up} {routing.runner_up_similarity:.2f}"


def sentences(prediction: Prediction) -> Iterator[str]:
    """The reasons to trust the answer less."""
    for notice in prediction.warnings:
        yield notice.message


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
