"""What a user may do wrong and what may go wrong around them: one sentence, and a hint if any.

The command prints ``error: MESSAGE`` and ``hint: HINT`` and exits with `exit_code`. Anything that
is not a `PlatformError` is a bug and shows its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PlatformError(Exception):
    """A mistake or failure that one sentence explains.

    Args:
        message: one sentence, without a full stop needed, naming the thing that is wrong.
        hint: what to do about it, or None.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PlatformError):
    """The command or a call was worded wrongly; exit code 2."""

    exit_code = 2


class UnknownName(PlatformError):
    """No adapter, domain, label, base, step or source has this name."""


class DataError(PlatformError):
    """Data cannot be read, or is not fit for what was asked of it."""


class SchemeError(PlatformError):
    """A label scheme contradicts itself, or a label is not in it."""


class RecipeError(PlatformError):
    """A training recipe has a setting that cannot be."""


class TrainingError(PlatformError):
    """Training cannot start or did not finish."""


class TrainingDiverged(TrainingError):
    """Training ran away: its figures are no numbers any more."""


class BaseUnavailable(PlatformError):
    """A base model is not on this machine and cannot be brought."""


class BaseMismatch(PlatformError):
    """An adapter was asked to run on a base that it was not trained on."""


class StoreError(PlatformError):
    """The store cannot be read or written."""


class AdapterNotFound(StoreError):
    """The store has no adapter, or no version, of this name."""


class AdapterCorrupt(StoreError):
    """An adapter's files are missing or are not what its manifest says."""


class AdapterUnsupported(PlatformError):
    """No engine here can run this adapter, or the format asked for cannot hold it."""


class PluginError(PlatformError):
    """A plugin failed, is missing, or brings what another has brought."""


class SettingsError(PlatformError):
    """A setting from the environment or `platform.toml` cannot be."""


def unknown(
    kind: str,
    name: str,
    known: Iterable[str],
    error: type[PlatformError] = UnknownName,
    hint: str | None = None,
) -> PlatformError:
    """The error for a name that nobody has; its hint is the nearest known name or the choices."""
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    if near:
        return error(f"there is no {kind} named {name!r}", f"did you mean {near[0]!r}?")
    if hint is None and choices:
        shown = ", ".join(choices[:12]) + (", ..." if len(choices) > 12 else "")
        hint = f"choose one of: {shown}"
    return error(f"there is no {kind} named {name!r}", hint)
