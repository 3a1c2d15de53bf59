"""A whole file, pipe or list of texts answered row by row, into a file that a later run can go on
with, or onto standard output.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter_platform.core.asked import names_of_auto

from . import output
from .progress import shown_progress
from .render.figures import count
from .rows import answering
from .rows.answering import Meanings, Question, Tally, answer_rows
from .rows.atomic import is_device, replacing
from .rows.counting import count_rows
from .rows.partial import Partial, partial_file
from .rows.places import file_of, format_for
from .rows.reading import field_chooser, read_rows, text_rows
from .rows.writing import make_writer

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

    from adapter_platform.core.platform import Platform
    from adapter_platform.core.registry import Rows

    from .rows.reading import InputRow

WORK = "classified"
HEAD = 65_536  # bytes of the input that tell it from another of its size and time


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be answered, and where the answers go.

    Attributes:
        texts: of the command line.
        location: of the input; None: the texts.
        text_field: the input's column with the text, where it is named.
        target: None: standard output.
        json: JSON lines, whatever the input is.
    """

    question: Question
    texts: list[str]
    location: str | None
    text_field: str | None
    target: Path | None
    json: bool
    quiet: bool

    @property
    def format(self) -> str:
        """The output's suffix, else as the input."""
        return format_for(self.location, self.target, self.json)


def answer_all(platform: Platform, job: Job, meanings: Meanings) -> Tally:
    """Answers rows, in their order, into a file or onto standard output."""
    if job.target is None or is_device(job.target):
        with _stream(job.target) as file:
            tally = Tally()
            _answer(platform, job, meanings, file, tally)
    else:
        with partial_file(job.target) as partial:
            tally = _answer_partly(platform, job, meanings, partial)
    if not job.quiet:
        _say(tally, job.target)
    return tally


@contextmanager
def _stream(target: Path | None) -> Iterator[SupportsWrite[str]]:
    if target is None:
        yield output.Results()
    else:
        with replacing(target) as file:
            yield file


def _answer_partly(platform: Platform, job: Job, meanings: Meanings, partial: Partial) -> Tally:
    """Begins the rows or goes on with them, and publishes them; what is begun survives a stop."""
    request = _request(platform, job)
    journal, tally, changed = partial.journal, Tally(), ""
    if journal is not None:
        changed = _changed(journal, request, meanings)
        if not changed:
            tally = Tally.from_dict(journal["tally"])
        if not job.quiet:
            then = f"but {changed}: starting over" if changed else "going on after them"
            output.note(f"an earlier run has answered {count(journal['rows'], 'row')}, {then}")
    try:
        if journal is None or changed:
            partial.start_over()
        else:
            partial.go_on()
        _answer(platform, job, meanings, partial.file, tally, partial, request)
        partial.publish()
    except BaseException:
        if partial.leave() and not job.quiet:
            output.note(f"what is done is kept in {partial.path}; the same command goes on from it")
        raise
    return tally


def _answer(
    platform: Platform,
    job: Job,
    meanings: Meanings,
    file: SupportsWrite[str],
    tally: Tally,
    partial: Partial | None = None,
    request: Mapping[str, Any] | None = None,
) -> None:
    """Answers the rows after those of `tally`, and marks in `partial` how far they are whole."""
    known = partial.journal["columns"] if partial and partial.journal and tally.rows else None
    found = _rows(platform, job)
    writer = make_writer(job.format, file, job.question.columns, known, found.columns)
    rows = islice(found, tally.rows, None)
    total = _expected(job)
    if partial is not None and not 0 < total <= answering.CHUNK:
        # A run that goes on must end with the digits of one that was not stopped.
        platform.end_cold_start()
    screen = job.target is None and output.is_terminal(sys.stdout)
    with shown_progress(job.quiet or screen) as progress:
        progress.advance(tally.rows, total, WORK)
        for _ in answer_rows(platform, job.question, rows, writer, meanings, tally):
            progress.advance(tally.rows, max(total, tally.rows) if total else 0, WORK)
            if partial is not None and request is not None and writer.columns is not None:
                partial.mark(
                    {
                        "request": request,
                        "meanings": meanings.record(),
                        "rows": tally.rows,
                        "tally": tally.to_dict(),
                        "columns": writer.columns,
                    }
                )


def _rows(platform: Platform, job: Job) -> Rows[InputRow]:
    if job.location is None:
        return text_rows(job.texts)
    text, adapter = job.text_field, job.question.adapter_field
    choose = field_chooser(job.location, text, adapter)
    named = {"--text-field": text, "--adapter-field": adapter}
    return read_rows(job.location, choose, platform.registry, named)


def _expected(job: Job) -> int:
    """About how many rows there are; 0 where nobody knows."""
    if job.location is None:
        return len(job.texts)
    file = file_of(job.location)
    try:
        return count_rows(file) if file else 0
    except OSError:  # reading it says so better
        return 0


def _request(platform: Platform, job: Job) -> dict[str, Any] | None:
    """What decides the answers besides the adapters, as JSON holds it; None: nobody can know."""
    file = file_of(job.location) if job.location else None
    if file is None:
        return None
    settings, question = platform.settings, job.question
    try:
        state = file.stat()
        with file.open("rb") as opened:
            head = hashlib.sha256(opened.read(HEAD)).hexdigest()
    except OSError:  # reading it says so better
        return None
    options = {
        "platform": version("adapter-platform"),
        "format": job.format,
        "text_field": job.text_field,
        "settings": [settings.engine, settings.device, settings.threads, settings.batch_tokens],
        "route_reject": settings.route_reject,
        "chunk": answering.CHUNK,
        **asdict(question),
    }
    return {"input": [str(file.resolve()), state.st_size, state.st_mtime_ns, head], **options}


def _changed(
    journal: Mapping[str, Any], request: Mapping[str, Any] | None, meanings: Meanings
) -> str:
    """Why the rows of an earlier run are not those that this one would begin with, or nothing."""
    before = journal.get("request")
    if request is None or not isinstance(before, dict) or before.get("input") != request["input"]:
        return "the input has changed"
    if before.get("adapter") != request["adapter"]:
        return f"{request['adapter'] or 'nobody'} is asked now"
    if before != request:
        return "it was asked otherwise"
    for name, meant in journal["meanings"].items():
        reference, _ = meanings.reference(name)
        if meanings.record()[name] != meant:
            if reference is not None and names_of_auto(reference) is not None:
                return "there are other adapters to choose among now"
            return f"{name or 'the one that answers'} is another adapter now"
    return ""


def _say(tally: Tally, target: Path | None) -> None:
    where = f", written to {target}" if target is not None else ""
    if not tally.rows:
        output.note("there are no rows")
        return
    output.note(f"{count(tally.answered, 'row')} answered{where}")
    for code, number in sorted(tally.warnings.items()):
        output.warn(f"{count(number, 'row')} with the warning {code!r}")
    if tally.failed:
        unanswered = count(tally.failed, "row")
        output.warn(f"{unanswered} without an answer; the first: {tally.first_problem}")
        output.note("hint: the column 'error' says why for each")
