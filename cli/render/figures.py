"""Numbers as people read them: percentages, bars, counts, durations."""

from __future__ import annotations

BAR = 20
EIGHTHS = " ▏▎▍▌▋▊▉"


def percent(share: float | None) -> str:
    """A fraction of 1 as a percentage; a dash where there is none."""
    return "-" if share is None else f"{100 * share:.1f} %"


def bar(share: float, cells: int = BAR) -> str:
    """A bar of at most `cells` cells, in eighths of a cell."""
    eighths = round(min(max(share, 0.0), 1.0) * cells * 8)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()


def count(number: int, one: str, many: str | None = None) -> str:
    """``1 row``, ``1,204 rows``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """``40 s``, ``3 min``, ``1 h 20 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def points(share: float) -> str:
    """A difference of two fractions of 1 in percentage points, with its sign."""
    return f"{100 * share:+.1f}"


def span(low: float, high: float, *, score: bool = False, signed: bool = False) -> str:
    """An interval: ``91.2 to 95.9 %``, ``0.083 to 0.101``, ``-1.2 to +3.4``.

    Args:
        score: of a figure that is no fraction of 1.
        signed: of a difference.
    """
    sign = "+" if signed else ""
    if score:
        return f"{low:{sign}.3f} to {high:{sign}.3f}"
    unit = "" if signed else " %"
    return f"{100 * low:{sign}.1f} to {100 * high:{sign}.1f}{unit}"
