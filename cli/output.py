"""Where words go: results to standard output, everything said about them to standard error."""

from __future__ import annotations

import json
import logging
import os
import sys
import unicodedata
from typing import IO, Any

from adapter_platform.core.errors import PlatformError

LOGGER = "adapter_platform"
PIPE_CLOSED = 141  # as a shell reports a command that SIGPIPE ended
CONTROLS = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories of what moves a cursor or is no text
# What turns text round for longer than a letter (UAX 9), and spaces of no width.
DISGUISES = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u2060\ufeff"


def prepare_streams() -> None:
    """UTF-8 whatever the locale says; what cannot be written is escaped rather than fatal.

    A stream that is closed leads nowhere.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, _nowhere(mode))
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace")


def result(text: str = "") -> None:
    """One line, or several, of what was asked for.

    Raises:
        BrokenPipeError: the reader has left.
        PlatformError: standard output cannot be written.
    """
    _write(f"{text}\n")


def flush() -> None:
    """Writes out what is held back. Raises as `result` does."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable(error) from error


def _write(text: str) -> int:
    try:
        return sys.stdout.write(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable(error) from error


def unwritable(error: OSError) -> PlatformError:
    """Standard output is a full disk, or closed."""
    return PlatformError(f"standard output cannot be written: {error.strerror or error}")


def drop_output() -> None:
    """Standard output leads nowhere from now on, so that leaving does not fail on it again."""
    sys.stdout = _nowhere("w")


def _nowhere(mode: str) -> IO[str]:
    return open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123 - open until exit


class Results:
    """Standard output for those who need a file to write rows to."""

    def write(self, text: str) -> int:
        """Raises as `result` does."""
        return _write(text)


def json_document(value: Any) -> None:
    """One JSON value, indented."""
    result(json.dumps(value, ensure_ascii=False, indent=2))


def json_line(value: Any) -> None:
    """One JSON value on one line."""
    result(json.dumps(value, ensure_ascii=False))


def note(text: str) -> None:
    """Something worth saying that is not a result."""
    print(text, file=sys.stderr)


def warn(text: str) -> None:
    """A reason to trust a result less."""
    note(f"warning: {text}")


def fail(error: PlatformError) -> None:
    """An error in its own words."""
    note(f"error: {error.message}")
    if error.hint:
        note(f"hint: {error.hint}")


def is_terminal(stream: IO[str]) -> bool:
    """Whether a person reads the stream on a screen that can draw."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def show_log(verbose: int) -> None:
    """Sends our log to standard error: warnings, with ``-v`` also loads, switches, evictions.

    Args:
        verbose: 2 and more add everything that the platform logs.
    """
    log = logging.getLogger(LOGGER)
    for handler in [h for h in log.handlers if isinstance(h, _Lines)]:
        log.removeHandler(handler)
    log.addHandler(_Lines([logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)]))
    log.setLevel([logging.NOTSET, logging.INFO, logging.DEBUG][min(verbose, 2)])


def printable(text: str) -> str:
    """The text on one line, without what would move a terminal's cursor or hide."""
    return "".join(_shown(c) for c in text)


def _shown(character: str) -> str:
    if character in "\n\r\t":
        return " "
    if character in DISGUISES or unicodedata.category(character) in CONTROLS:
        return character.encode("unicode_escape").decode("ascii")
    return character


class _Lines(logging.Handler):
    """Log records as lines on whatever standard error is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        loud = record.levelno >= logging.WARNING
        room = record.name.rpartition(".")[2]
        note(f"{record.levelname.lower()}: {text}" if loud else f"{room}: {text}")
        if record.exc_info and record.exc_info[0] is not None:
            note(logging.Formatter().formatException(record.exc_info))
