"""What several draws of a figure amount to."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

Drawn = tuple[float, float | None]


def over_draws(values: Sequence[float]) -> Drawn:
    """Their mean, and its standard error; None for a single draw, which does not tell."""
    error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return fmean(values), error


def told(figure: Sequence[float | None], form: str, scale: float = 1) -> str:
    """A figure with its standard error, where there is one, after a plus and a minus.

    Args:
        form: of the mean, such as ``+.1f``.
    """
    value, error = figure
    assert value is not None
    mean = format(scale * value, form)
    return mean if error is None else f"{mean} ± {format(scale * error, form.lstrip('+'))}"
