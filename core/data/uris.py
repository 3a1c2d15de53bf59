"""Where rows come from: a URI names a source and a place, a bare path is taken by its suffix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError, PlatformError, PluginError, unknown
from ..registry import BadRow, Record, Rows

if TYPE_CHECKING:
    from ..registry import Brought, DataSource, Registry

# Two letters at least: one is a Windows drive.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9_+.-]+):(.*)", re.DOTALL)


def split_uri(uri: str) -> tuple[str, str]:
    """The scheme in small letters and the place; no scheme is an empty one."""
    match = _SCHEME.fullmatch(uri)
    return (match[1].lower(), match[2]) if match else ("", uri)


def open_rows(uri: str, registry: Registry) -> tuple[Rows[Record | BadRow], DataSource]:
    """The rows at ``scheme:location`` or at a bare path, and the source that reads them.

    A path that holds a colon and exists is a path.

    Raises:
        DataError: no source has this scheme or takes this suffix; the hint lists the choices. What
            is wrong with the place itself is raised when the first row is asked for.
        PluginError: while rows are asked for, the source fails otherwise than sources may.
    """
    if not uri.strip():
        raise DataError("the data's place is empty", "give a file or a URI such as csv:data.csv")
    scheme, location = split_uri(uri)
    if scheme:
        brought = registry.sources.get(scheme)
        if brought is not None:
            return _read(brought, location), brought.value
        if what_is_at(uri) is None:
            raise unknown("data source", scheme, registry.sources, DataError)
    suffix = Path(uri).suffix
    found = registry.source_for_suffix(suffix) if suffix else None
    if found is None:
        place = what_is_at(uri)
        if place is not None and place.is_dir():
            raise DataError(f"{uri} is a directory, not a file of rows", "name a file in it")
        known = sorted({s for b in registry.sources.values() for s in b.value.suffixes})
        kind = f"the suffix {suffix!r}" if suffix else "no suffix"
        raise DataError(
            f"{uri} has {kind}, which does not say how to read it",
            f"suffixes that do: {', '.join(known)}; or put a scheme before it, one of "
            + ", ".join(f"{name}:" for name in sorted(registry.sources)),
        )
    return _read(found, uri), found.value


def _read(brought: Brought[DataSource], location: str) -> Rows[Record | BadRow]:
    columns: list[str] = []
    return Rows(_checked(brought, location, columns), columns)


def _checked(
    brought: Brought[DataSource], location: str, columns: list[str]
) -> Iterator[Record | BadRow]:
    """The source's rows; whatever else its code raises or yields is a sentence with its plugin.

    Args:
        columns: gets those that the source knows.
    """
    whose = f"the data source {brought.value.name!r} of the plugin {brought.plugin!r}"
    try:
        rows = brought.value.read(location)
        for row in rows:
            if isinstance(rows, Rows) and not columns:
                columns.extend(rows.columns)
            if not isinstance(row, Record | BadRow):
                raise PluginError(
                    f"{whose} yields a {type(row).__name__}, not a Record or a BadRow"
                )
            yield row
        if isinstance(rows, Rows) and not columns:
            columns.extend(rows.columns)
    except PlatformError:
        raise
    # A plugin's code may raise anything.
    except Exception as error:
        raise PluginError(
            f"{whose} failed on {location!r}: {type(error).__name__}: {error}"
        ) from error


def what_is_at(path: str) -> Path | None:
    """The path, where a file or anything else is; None also for what can be no path at all."""
    try:
        return Path(path) if Path(path).exists() else None
    except (OSError, ValueError):  # too long, or with a NUL
        return None
