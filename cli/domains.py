"""``platform domains``: what can be trained by its name alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import complete, options, output
from .group import Group
from .render.scheme import tree
from .render.table import Table, draw, pad

if TYPE_CHECKING:
    from adapter_platform.core.registry import Brought, Domain


class Domains(Group):
    """Its commands."""

    ours = {  # noqa: RUF012 - a constant of the class that it overrides
        "list": "domains:list_domains",
        "show": "domains:show",
    }


app = typer.Typer(
    cls=Domains,
    help="Look at domains: data, labels and recipe under one name, ready to train.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def list_domains(ctx: typer.Context, json: options.Json = False) -> None:
    """List the domains that plugins bring."""
    domains = options.session(ctx).load_plugins().registry.domains
    if json:
        output.json_document([_document(domains[name]) for name in sorted(domains)])
        return
    if not domains:
        output.note("no plugin brings a domain")
        return
    headings = ("name", "kind", "labels>", "languages", "plugin", "description")
    draw(Table.of(headings, [_row(domains[name]) for name in sorted(domains)]))


def show(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The domain's name.",
            autocompletion=complete.domains,
            show_default=False,
        ),
    ],
    json: options.Json = False,
) -> None:
    """Show one domain: its data, labels, recipe and steps."""
    registry = options.session(ctx).load_plugins().registry
    domain = registry.domain(name)
    brought = registry.domains[name]
    if json:
        output.json_document(_document(brought))
        return
    for what, value in _facts(brought):
        if value:
            output.result(output.printable(f"{pad(what, 12)}  {value}"))
    if domain.scheme is not None:
        output.result()
        output.result("labels")
        for line in tree(domain.scheme):
            output.result(line)
    output.result()
    output.result(f"train it: platform adapters train {domain.name}")


def _row(brought: Brought[Domain]) -> tuple[str, ...]:
    domain = brought.value
    scheme = domain.scheme
    return (
        domain.name,
        scheme.kind if scheme else "from the data",
        str(len(scheme.classes)) if scheme else "-",
        ", ".join(domain.languages) or "-",
        brought.plugin,
        domain.description,
    )


def _facts(brought: Brought[Domain]) -> list[tuple[str, str]]:
    domain = brought.value
    scheme = domain.scheme
    steps = [f"{step.name}({_settings(step.settings)})" for step in domain.postprocess]
    return [
        ("domain", domain.name),
        ("description", domain.description),
        ("plugin", f"{brought.plugin} {brought.version}".strip()),
        ("languages", ", ".join(domain.languages)),
        *((f"data, {split}", uri) for split, uri in domain.data.items()),
        ("columns", _settings(domain.columns)),
        ("recipe", _settings(domain.recipe)),
        ("steps", ", ".join(steps)),
        ("kind", f"{scheme.kind}, {len(scheme.classes)} labels" if scheme else "from the data"),
    ]


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def _document(brought: Brought[Domain]) -> dict[str, Any]:
    domain = brought.value
    return {
        "name": domain.name,
        "description": domain.description,
        "plugin": brought.plugin,
        "version": brought.version,
        "languages": list(domain.languages),
        "data": dict(domain.data),
        "columns": dict(domain.columns),
        "recipe": dict(domain.recipe),
        "postprocess": [{"name": s.name, "settings": dict(s.settings)} for s in domain.postprocess],
        "scheme": domain.scheme.to_dict() if domain.scheme else None,
    }
