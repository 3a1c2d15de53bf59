"""Plots as SVG to stand in an HTML page, drawn by matplotlib.

Labels of data never come here: a plot has the fonts that matplotlib brings, which lack Chinese.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from adapter_platform.core.errors import PlatformError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, GREY = "#2166ac", "#777777"
IDS = re.compile(r'(?<=\bid=")|(?<=url\(#)|(?<=href="#)')


def check_plots() -> None:
    """Raises `PlatformError` where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise PlatformError(
            "an HTML report needs matplotlib, which is not installed",
            "pip install 'adapter-platform[report]'",
        ) from error


def reliability(bins: Sequence[Mapping[str, Any]]) -> str:
    """How often answers of each confidence were right; on the diagonal, confidence is true."""
    drawn, axes = _axes(4.6, 4.4)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="as it should be")
    for found in bins:
        axes.plot([found["confidence"]] * 2, found["interval"], color=BLUE, linewidth=1)
    most = max(found["n"] for found in bins)
    axes.scatter(
        [found["confidence"] for found in bins],
        [found["accuracy"] for found in bins],
        s=[12 + 90 * found["n"] / most for found in bins],
        color=BLUE,
        clip_on=False,
        label="size: how many; bar: 95 % interval",
    )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share that was right")
    axes.set_aspect("equal")
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    _in_percent(axes)
    return _svg(drawn, "reliability", "Reliability diagram")


def coverage(curve: Sequence[Mapping[str, Any]], accuracy: float) -> str:
    """Accuracy by the share of texts answered.

    Args:
        accuracy: what `curve` is to be read against: the share that must be right.
    """
    drawn, axes = _axes(6.4, 3.6)
    axes.axhline(accuracy, color=GREY, linewidth=1, linestyle="--")
    axes.annotate(
        f"{100 * (1 - accuracy):.0f} % wrong", (0.01, accuracy), color=GREY, fontsize=8, va="bottom"
    )
    shares = [point["coverage"] for point in curve]
    rights = [point["accuracy"] for point in curve]
    axes.plot(shares, rights, color=BLUE, marker=".", markersize=4, linewidth=1.4)
    low = min(*rights, accuracy)
    axes.set(xlim=(0, 1), ylim=(max(0.0, low - 0.05), 1.005))
    axes.set(xlabel="share of texts answered, the most confident first", ylabel="share right")
    _in_percent(axes)
    return _svg(drawn, "coverage", "Accuracy by coverage")


def differences(rows: Sequence[tuple[str, float, Sequence[float]]]) -> str:
    """Differences of figures with their intervals, as (name, difference, interval)."""
    drawn, axes = _axes(6.4, 0.9 + 0.34 * len(rows))
    axes.axvline(0, color=GREY, linewidth=1)
    for place, (_, value, ends) in enumerate(rows):
        axes.plot(ends, [place, place], color=BLUE, linewidth=1.4)
        axes.plot(value, place, "o", color=BLUE, markersize=5)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_xlabel("difference in points, with its 95 % interval")
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:+.1f}")
    axes.invert_yaxis()
    axes.margins(y=0.15)
    return _svg(drawn, "differences", "Differences with their intervals")


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width, height), layout="constrained")
    axes = drawn.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return drawn, axes


def _in_percent(axes: Axes) -> None:
    from matplotlib.ticker import PercentFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, symbol=" %"))


def _svg(drawn: Figure, name: str, title: str) -> str:
    """The drawing as an element; its ids begin with `name`, for a page holds several."""
    from matplotlib import rc_context

    written = StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # Text stays text, in the reader's own sans-serif; ids are the same at every run.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}):
        drawn.savefig(written, format="svg", metadata=nothing)
    svg = written.getvalue()
    svg = IDS.sub(f"{name}-", svg[svg.index("<svg") :]).strip()
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
