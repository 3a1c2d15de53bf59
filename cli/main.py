"""The command ``platform``: which subcommands there are, and the options before them."""

from __future__ import annotations

import os
from typing import Annotated, NoReturn

import typer

from . import options
from .group import Root

app = typer.Typer(
    cls=Root,
    help="Many text classifiers on one BERT: train small adapters, classify with any of them.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich is imported where a table is drawn, not for --help
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def start(
    ctx: typer.Context,
    store: options.Store = None,  # noqa: ARG001 - its callback acts
    verbose: options.Verbose = 0,
    version: Annotated[  # noqa: ARG001 - its callback acts
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=options.version, is_eager=True
        ),
    ] = False,
) -> None:
    """Holds what the options before the subcommand say."""
    ctx.obj = options.session(ctx)
    if not verbose:
        _hush_libraries()


def main() -> NoReturn:
    """Entry point of the console script; leaves with the exit code."""
    # Pydantic would look through every installed distribution for plugins to watch validation.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # OpenMP, which reads it as torch is imported, would let torch's threads wait by spinning: where
    # another process wants the cores, they burn what both could compute with.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    app(prog_name="platform")
    raise SystemExit(0)  # not reached: the app itself leaves


def _hush_libraries() -> None:
    """Bars and advice of the model libraries, which are not about what the user asked for."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
