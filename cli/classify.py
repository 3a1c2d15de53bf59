"""``platform classify``: texts from the command line, a file, a pipe or a prompt."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapter_platform.core.errors import UsageError

from . import complete, options, output
from .rows.places import STDIN, check_target, is_whole

if TYPE_CHECKING:
    from adapter_platform.core.labels import LabelScheme
    from adapter_platform.core.platform import Platform
    from adapter_platform.core.predictions import Prediction

    from .rows.answering import Meanings, Question


class Engine(StrEnum):
    """Who runs the model."""

    auto = "auto"
    packed = "packed"
    numpy = "numpy"
    peft = "peft"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How answers are to be given."""

    json: bool
    top_k: int | None
    quiet: bool


def classify(
    ctx: typer.Context,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT",
            help="Texts. Without any, and without --input: lines of standard input, or a prompt.",
            show_default=False,
        ),
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            "--adapter",
            "-a",
            metavar="NAME[@V]|auto",
            help="Who answers, or auto: the adapter that each text belongs to, or none; auto:A,B "
            "chooses among these. Else the only adapter, or PLATFORM_DEFAULT_ADAPTER.",
            autocompletion=complete.answering,
        ),
    ] = None,
    input_file: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE|-",
            help="Classify each row of a CSV, TSV, JSONL or Parquet file or data URI, or each "
            "line of a .txt file or of standard input (-). Its columns stay, ours are added.",
        ),
    ] = None,
    output_file: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the rows to a .csv, .tsv or .jsonl file instead. Stopped, the same "
            "command goes on where it was.",
        ),
    ] = None,
    text_field: Annotated[
        str | None,
        typer.Option(
            "--text-field",
            metavar="COLUMN",
            help="The column with the text, else 'text'; a table's only column needs no name.",
        ),
    ] = None,
    adapter_field: Annotated[
        str | None,
        typer.Option(
            "--adapter-field",
            metavar="COLUMN",
            help="The column that names each row's adapter; --adapter answers where it is empty.",
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(
            "--top-k", "-k", metavar="N", min=1, help="How many labels to show, with their scores."
        ),
    ] = None,
    json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object for one TEXT, else one a line."),
    ] = False,
    engine: Annotated[
        Engine | None, typer.Option("--engine", help="Who runs the model; else the settings'.")
    ] = None,
    base: options.OwnBase = None,
    device: options.Device = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, notes or warnings.")
    ] = False,
) -> None:
    """Classify texts: one, several, a file, a pipe, or one after the other at a prompt."""
    from .rows.answering import Meanings, Question

    given = list(texts or ())
    check_request(given, input_file, output_file, json)
    for option, field in (("--text-field", text_field), ("--adapter-field", adapter_field)):
        if field is not None and input_file is None:
            raise UsageError(f"{option} names a column of --input, which is not given")
    wanted = Wanted(json, top_k, quiet)
    engine_name = None if engine is None else engine.value
    with options.session(ctx).open_platform(device=device, engine=engine_name) as platform:
        meanings = Meanings(platform)
        named = adapter_field is None or adapter is not None
        asked, kind = meanings.asked(adapter) if named else (None, "")
        question = Question(asked, kind, base, engine_name, top_k, adapter_field)
        alone = not given and input_file is None and sys.stdin.isatty()
        if asked and given and output_file is None:
            answer_texts(platform, question, meanings, given, wanted, alone=len(given) == 1)
        elif asked and alone:
            prompt(platform, question, meanings, wanted)
        else:
            from .bulk import Job, answer_all

            location = None if given else STDIN if input_file is None else input_file
            job = Job(question, given, location, text_field, output_file, json, quiet)
            tally = answer_all(platform, job, meanings)
            if tally.failed and not tally.answered:
                raise typer.Exit(1)


def check_request(
    texts: list[str], input_file: str | None, output_file: Path | None, json: bool
) -> None:
    """Refuses what cannot be meant, before anything is loaded. Raises `UsageError`."""
    if texts and input_file is not None:
        raise UsageError("TEXT and --input are both given", "give one of them")
    for number, text in enumerate(texts, start=1):
        if not is_whole(text):
            raise UsageError(f"TEXT {number} is not valid UTF-8", "check the terminal's encoding")
    if output_file is not None:
        check_target(output_file, json, [] if input_file is None else [input_file])


def answer_texts(
    platform: Platform,
    question: Question,
    meanings: Meanings,
    texts: list[str],
    wanted: Wanted,
    *,
    alone: bool,
) -> None:
    """Answers texts that were typed: one in full, several as a table.

    Args:
        alone: there is one, and none will follow; its JSON may take several lines.
    """
    predictions = platform.classify(
        texts, question.adapter, base=question.base, engine=question.engine
    )
    if wanted.json:
        write = output.json_document if alone else output.json_line
        for prediction in predictions:
            write(prediction.to_dict(top_k=wanted.top_k))
        return
    show(predictions, [meanings.scheme(prediction) for prediction in predictions], wanted)


def show(
    predictions: Sequence[Prediction], schemes: Sequence[LabelScheme | None], wanted: Wanted
) -> None:
    """Answers for people; the reasons to doubt them go to standard error.

    Args:
        schemes: of who answered each text; None: nobody did.
    """
    from .render import prediction as rendering
    from .render.table import draw, shorten

    if len(predictions) == 1:
        bars = output.is_terminal(sys.stdout)
        for line in rendering.lines(predictions[0], schemes[0], wanted.top_k, bars=bars):
            output.result(line)
    else:
        draw(rendering.table(predictions, schemes, wanted.top_k))
    if wanted.quiet:
        return
    output.flush()  # the answer stands above the doubts
    for prediction in predictions:
        about = "" if len(predictions) == 1 else f"{shorten(prediction.text, 40)!r}: "
        for sentence in rendering.sentences(prediction):
            output.warn(about + sentence)


def prompt(platform: Platform, question: Question, meanings: Meanings, wanted: Wanted) -> None:
    """Asks for texts until the input ends."""
    with suppress(ImportError):  # not on every system; then lines are typed plainly
        import readline  # noqa: F401 - importing it gives input() a line editor
    if not wanted.quiet:
        who = (
            "auto finds an adapter for each text"
            if question.routes
            else f"{question.adapter} listens"
        )
        output.note(f"{who}; one text a line, Ctrl-D ends")
    while True:
        try:
            text = _ask()
        except EOFError:
            output.note("")
            return
        except UnicodeDecodeError:
            output.warn("that line is not valid UTF-8")
            continue
        if not text.strip():
            continue
        if not is_whole(text):
            output.warn("that line is not valid UTF-8")
            continue
        answer_texts(platform, question, meanings, [text], wanted, alone=False)
        output.flush()


def _ask() -> str:
    """A line from the terminal. Raises as `input`."""
    if sys.stdout.isatty():
        return input("> ")
    # Answers alone go where somebody has sent them.
    print("> ", end="", file=sys.stderr, flush=True)
    return input()
