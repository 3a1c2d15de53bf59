"""Numbered lines of a UTF-8 file, for the sources that read text; never the whole file at once."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from adapter_platform.core.errors import DataError

MAX_LINE = 16 * 2**20
"""Bytes of one line, at most; a longer one is reported and skipped."""

_FORMATS = (
    (codecs.BOM_UTF32_LE, "UTF-32 text", "save it as UTF-8"),  # begins like UTF-16
    (codecs.BOM_UTF32_BE, "UTF-32 text", "save it as UTF-8"),
    (codecs.BOM_UTF16_LE, "UTF-16 text", "save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16 text", "save it as UTF-8"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "save the sheet as CSV, UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "save the sheet as CSV, UTF-8"),
    (b"\x1f\x8b", "compressed by gzip", "decompress it first"),
    (b"PAR1", "a Parquet file", "give it the suffix .parquet, or put parquet: before it"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its end, and why it cannot be used as it stands, if it cannot."""

    number: int
    text: str
    problem: str | None = None


@contextmanager
def open_file(location: str) -> Iterator[BufferedReader]:
    """A file for reading.

    Raises:
        DataError: there is none, it is a directory, it may not be read, or it holds no byte.
    """
    if not location or "\0" in location:
        raise DataError(f"{location!r} is not the name of a file")
    path = Path(location).expanduser()
    try:
        with path.open("rb") as file:
            if not file.peek(1):
                raise DataError(f"{location} is empty")
            yield file
    except FileNotFoundError:
        raise DataError(
            f"there is no file {location}", f"the path is seen from {Path.cwd()}"
        ) from None
    except IsADirectoryError:
        raise DataError(
            f"{location} is a directory, not a file of rows", "name a file in it"
        ) from None
    except PermissionError as error:
        if path.is_dir():  # how Windows refuses to open a directory
            raise DataError(f"{location} is a directory, not a file of rows") from error
        raise DataError(f"{location} may not be read by this user", "check its mode") from error
    except OSError as error:
        raise DataError(f"{location} cannot be read: {error.strerror or error}") from error


def read_lines(location: str) -> Iterator[Line]:
    """The lines of a file, the first one without a byte order mark.

    A line that is not UTF-8 or holds NUL bytes is given with its problem, its text repaired as far
    as it goes. Lines end at a line feed, a carriage return or both.

    Raises:
        DataError: as `open_file`; or the file as a whole is not UTF-8 text: it starts like another
            format, or so many lines fail that the encoding must be another.
    """
    with open_file(location) as file:
        _check_format(location, file.peek(4096)[:4096])
        number = offset = broken = wide = 0
        guess = ""
        for raw, whole in _raw_lines(file):
            number += 1
            start = offset
            offset += len(raw)
            if number == 1:
                raw = raw.removeprefix(codecs.BOM_UTF8)
                start += offset - start - len(raw)
            if not whole:
                yield Line(number, "", f"the line is longer than {MAX_LINE // 2**20} MB")
                continue
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                broken += 1
                guess = guess or _guess(raw)
                reason = f"the line is not UTF-8: byte {start + error.start} of the file{guess}"
                # One odd line is the line's fault; where most lines beyond ASCII fail, the
                # file's encoding is another.
                if broken >= 10 and broken > wide:
                    raise _not_utf8(location, reason, number) from None
                yield Line(number, raw.decode("utf-8", "replace"), reason)
                continue
            wide += not raw.isascii()
            nul = "the line holds a NUL byte" if "\0" in text else None
            yield Line(number, text, nul)
        if 2 * broken > number:
            raise _not_utf8(location, f"{broken} of {number} lines do not decode{guess}", number)


def _raw_lines(file: BufferedReader) -> Iterator[tuple[bytes, bool]]:
    """(line, whether it is there in full); what is left out of a long one is read past."""
    while chunk := file.readline(MAX_LINE + 1):
        if len(chunk) <= MAX_LINE or chunk.endswith(b"\n"):
            for line in chunk.splitlines(keepends=True):
                yield line, True
            continue
        while rest := file.readline(MAX_LINE):
            chunk = rest
            if rest.endswith(b"\n"):
                break
        yield chunk, False


def _check_format(location: str, head: bytes) -> None:
    for magic, what, hint in _FORMATS:
        if head.startswith(magic):
            raise DataError(f"{location} is {what}, which cannot be read here", hint)
    if head.count(b"\0") > len(head) // 5:
        raise DataError(
            f"{location} is not UTF-8 text: it is full of NUL bytes", "save it as UTF-8"
        )
    if len(head) < 4096 and not head.removeprefix(codecs.BOM_UTF8).strip():
        raise DataError(f"{location} is empty")


def _guess(raw: bytes) -> str:
    """What the bytes may be instead; GB18030 also reads all of GBK and GB2312."""
    try:
        text = raw.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    return ", but it would be GB18030 (GBK)" if any("一" <= c <= "鿿" for c in text) else ""


def _not_utf8(location: str, reason: str, line: int) -> DataError:
    encoding = "GB18030" if "GB18030" in reason else "ENCODING"
    return DataError(
        f"{location} is not UTF-8 (seen up to line {line}): {reason}",
        f"save it as UTF-8, for example: iconv -f {encoding} -t UTF-8 {location} > utf8-file",
    )
