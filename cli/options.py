"""Arguments and options that several subcommands share."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from . import complete, output
from .session import Session

if TYPE_CHECKING:
    from typer.core import TyperOption

    from adapter_platform.core.labels import Kind

Reference = Annotated[
    str,
    typer.Argument(
        metavar="NAME[@V]",
        help="The adapter, by name for its current version or as NAME@VERSION.",
        autocompletion=complete.adapters,
        show_default=False,
    ),
]
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The adapter's name.",
        autocompletion=complete.adapters,
        show_default=False,
    ),
]
Trainable = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The adapter's name; a domain's name brings its own data and recipe.",
        autocompletion=complete.trainable,
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Data = Annotated[
    list[str],
    typer.Option(
        "--data",
        metavar="[SPLIT=]URI",
        help="A file or URI (csv:, tsv:, jsonl:, parquet:, hf:); again for further splits: "
        "--data train=a.csv --data test=b.csv.",
        show_default=False,
    ),
]
TextColumn = Annotated[
    str | None,
    typer.Option("--text-column", metavar="C", help="The column that holds the text."),
]
Split = Annotated[
    str, typer.Option("--split", metavar="SPLIT", help="Which side: train, val or test.")
]
JsonFile = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", help="Write the JSON to a file as well."),
]
HtmlFile = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write a report with plots, one HTML file."),
]
LabelColumn = Annotated[
    str | None,
    typer.Option("--label-column", metavar="C", help="The column that holds the label."),
]


OwnBase = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="ID",
        help="Where the adapter's own base lies, if not where its id says.",
        autocompletion=complete.bases,
    ),
]
Device = Annotated[
    str | None, typer.Option("--device", metavar="D", help="auto, cpu, cuda or cuda:N.")
]


TrainingBase = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="ID",
        help="The base: a name, a directory or a Hub id.",
        autocompletion=complete.bases,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="P",
        help="Recipe to start from: default, fast or seed.",
        autocompletion=complete.presets,
    ),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option("--recipe", metavar="FILE", help="Recipe settings in TOML or JSON."),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One recipe setting, over the file's: --set epochs=5 --set peft.r=4.",
        show_default=False,
    ),
]


class SchemeKind(StrEnum):
    """How labels relate to texts."""

    single = "single"
    multi = "multi"
    hierarchical = "hierarchical"


LabelKind = Annotated[
    SchemeKind | None,
    typer.Option("--kind", help="What labels are, where the data does not make it plain."),
]


def kind_name(kind: SchemeKind | None) -> Kind | None:
    """The kind as the platform takes it."""
    return None if kind is None else kind.value


def version(wanted: bool) -> None:
    """Prints the version and leaves."""
    if wanted:
        from importlib.metadata import version as installed

        output.result(f"adapter-platform {installed('adapter-platform')}")
        raise typer.Exit


def directory(text: str) -> Path:
    """The path. An empty one, which an unset variable makes, is not the working directory."""
    if not text.strip():
        raise typer.BadParameter("the path is empty")
    return Path(text)


def choose_store(ctx: typer.Context, directory: Path | None) -> Path | None:
    """Puts ``--store`` into the session, from wherever on the line it stands."""
    if directory is not None and not ctx.resilient_parsing:
        ctx.obj = replace(session(ctx), store=directory)
    return directory


def choose_log(ctx: typer.Context, verbose: int) -> int:
    """Shows as much of the log as ``-v`` asks for."""
    if not ctx.resilient_parsing:
        level = max(session(ctx).verbose, verbose)
        ctx.obj = replace(session(ctx), verbose=level)
        output.show_log(level)
    return verbose


def session(ctx: typer.Context) -> Session:
    """The session of this run."""
    return ctx.obj if isinstance(ctx.obj, Session) else Session()


Store = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="DIR",
        help="The directory of adapters to use, instead of PLATFORM_STORE's or the user's own.",
        parser=directory,
        callback=choose_store,
    ),
]
Verbose = Annotated[
    int,
    typer.Option(
        "-v",
        "--verbose",
        count=True,
        help="Show what is loaded, switched and evicted, on standard error; -vv more.",
        callback=choose_log,
        show_default=False,
    ),
]


class Command(TyperCommand):
    """A subcommand; it takes ``--store`` and ``-v`` too, as those who type them last expect."""

    def __init__(self, name: str | None, **settings: Any) -> None:
        own = list(settings.pop("params", None) or ())
        super().__init__(name, params=own + everywhere(), **settings)


@cache
def everywhere() -> list[TyperOption]:
    """The options that every subcommand takes; they act by themselves, no handler sees them."""
    from typer.main import get_command

    app = typer.Typer(add_completion=False, rich_markup_mode=None)

    @app.command()
    def options(store: Store = None, verbose: Verbose = 0) -> None:
        """Never called: only its options are wanted."""

    found: list[TyperOption] = list(get_command(app).params)  # type: ignore[arg-type]  # options all
    for option in found:
        option.expose_value = False
    return found


def split_data(given: list[str], option: str = "--data ") -> dict[str, str] | None:
    """``--data`` as the platform takes it: URIs by split, one alone for all; None: not given.

    Args:
        option: what stands before each on the command line; empty where they are arguments.

    Raises:
        UsageError: two URIs for one split, or one without a split beside others.
    """
    from adapter_platform.core.data.columns import SPLIT_WORDS
    from adapter_platform.core.data.example import ALL
    from adapter_platform.core.errors import UsageError

    which = f"say which: {option}train=A {option}test=B"
    by_split: dict[str, str] = {}
    for text in given:
        split, equals, uri = text.partition("=")
        if not equals or split not in (*SPLIT_WORDS, ALL):
            split, uri = "", text
        if split in by_split:
            what = f"for the split {split!r}" if split else "without a split"
            raise UsageError(f"{option.strip() or 'data'} is given twice {what}", which)
        by_split[split] = uri
    if "" in by_split and len(by_split) > 1:
        raise UsageError(f"{option}{by_split['']} does not say which split it is", which)
    return {split or ALL: uri for split, uri in by_split.items()} or None


def columns(text: str | None, label: str | None) -> dict[str, str]:
    """The columns that were named, by what they hold."""
    named = {"text": text, "label": label}
    return {what: column for what, column in named.items() if column is not None}
