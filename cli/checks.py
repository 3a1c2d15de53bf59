"""Single checks of `platform doctor`: libraries that import, directories that can be written."""

from __future__ import annotations

import importlib
import os
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

State = Literal["ok", "warning", "broken"]
OK: State = "ok"
WARNING: State = "warning"
BROKEN: State = "broken"

MODULES = {"scikit-learn": "sklearn"}  # where the import has another name; a dash is an underscore


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it is, and what to do about it."""

    name: str
    state: State
    detail: str
    hint: str = ""


def check_library(name: str) -> Check:
    """Whether a distribution is installed and its module can be imported."""
    try:
        version = metadata.version(name)
        importlib.import_module(MODULES.get(name, name.replace("-", "_")))
    except metadata.PackageNotFoundError:
        return Check(name, BROKEN, "not installed", f"pip install {name}")
    except Exception as error:  # noqa: BLE001 - a half-installed library may raise anything
        text = " ".join(str(error).split())[:200]
        hint = f"pip install --force-reinstall {name}"
        return Check(name, BROKEN, f"cannot be imported: {type(error).__name__}: {text}", hint)
    return Check(name, OK, version)


def check_writable(name: str, directory: Path, hint: str) -> Check:
    """Whether files can be made in a directory, or it can itself be made."""
    place = directory
    while not place.exists() and place != place.parent:
        place = place.parent
    made = "" if place == directory else " (not there yet)"
    if not place.is_dir():
        return Check(name, BROKEN, f"{place} is not a directory", hint)
    try:
        if place == directory:
            with tempfile.TemporaryFile(dir=directory):
                pass
        elif not os.access(place, os.W_OK):
            raise PermissionError(f"{place} cannot be written")
    except OSError as error:
        return Check(name, WARNING, f"{directory}, read-only: {error.strerror or error}", hint)
    return Check(name, OK, f"{directory}{made}, writable")
