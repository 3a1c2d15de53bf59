"""Files that a wheel brings, found without importing its package, which might import others."""

from __future__ import annotations

from importlib import util
from pathlib import Path


def folder_in_wheel(package: str, *files: str) -> Path | None:
    """The installed package's folder; None where it is not installed, or lacks one of the files."""
    spec = util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place)
        if all((folder / name).is_file() for name in files):
            return folder
    return None
