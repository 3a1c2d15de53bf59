"""Checks a step's settings, with the step's name in each sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adapter_platform.core.errors import PluginError, unknown


def only(step: str, settings: Mapping[str, Any], known: Iterable[str]) -> None:
    """That no setting is unknown. Raises `PluginError` with the nearest one."""
    for key in settings:
        if key not in known:
            raise unknown(f"setting of the step {step!r}", key, known, PluginError)


def fraction(step: str, settings: Mapping[str, Any], key: str) -> float:
    """A required number from 0 to 1. Raises `PluginError`."""
    value = required(step, settings, key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise PluginError(
            f"{key!r} of the step {step!r} must be a number from 0 to 1, not {value!r}"
        )
    return float(value)


def required(step: str, settings: Mapping[str, Any], key: str) -> Any:
    """A setting that must be there. Raises `PluginError`."""
    if key not in settings:
        raise PluginError(f"the step {step!r} needs the setting {key!r}")
    return settings[key]
