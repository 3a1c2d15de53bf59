"""One directory of published adapters, read only: ``NAME/VERSION/`` and the pointers beside."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import AdapterNotFound, UsageError
from .disk import read_number
from .names import VERSION, check_name

CURRENT = "current"  # the version that a bare name means
STARTER = "starter"  # the starter's version that was copied in, if the name began as one
HIGHEST = "highest"  # the highest number of a removed version: numbers are never given twice

Kind = Literal["store", "starter"]


@dataclass(frozen=True, slots=True)
class Layer:
    """Reads one directory. A missing directory holds no adapters; other trouble is an OSError."""

    root: Path
    kind: Kind

    def names(self) -> list[str]:
        """Names with at least one version, sorted."""
        try:
            entries = [path.name for path in self.root.iterdir()]
        except FileNotFoundError:
            return []
        return sorted(name for name in entries if self.has(name))

    def has(self, name: str) -> bool:
        """The name is one that the store gives, and has a version here."""
        if not _is_name(name):
            return False
        try:
            return self.pointer(name).exists() or bool(self.versions(name))
        except OSError:
            return True  # something is there; whoever reads it learns why it cannot be read

    def versions(self, name: str) -> list[int]:
        """The version numbers of a name in order; empty where it has none."""
        try:
            with os.scandir(self.root / name) as entries:
                found = [e.name for e in entries if VERSION.fullmatch(e.name) and e.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(version) for version in found)

    def check_version(self, name: str, version: int) -> None:
        """Raises `AdapterNotFound` for a version that the name has not here."""
        versions = self.versions(name)
        if version not in versions:
            known = ", ".join(map(str, versions)) or "none"
            raise AdapterNotFound(f"{name} has no version {version}", f"its versions: {known}")

    def current(self, name: str) -> int | None:
        """The version that the pointer names, or None. Raises `AdapterCorrupt`."""
        repair = f"platform adapters promote {name} VERSION writes it again"
        return read_number(self.pointer(name), repair)

    def copied_starter(self, name: str) -> int | None:
        """The starter's version that the name began with here, or None. Raises `AdapterCorrupt`."""
        return read_number(self.root / name / STARTER, "delete the file")

    def next_version(self, name: str) -> int:
        """A number above all that the name ever had here. Raises `AdapterCorrupt`."""
        removed = read_number(self.root / name / HIGHEST, "delete the file") or 0
        return 1 + max([removed, *self.versions(name)])

    def pointer(self, name: str) -> Path:
        return self.root / name / CURRENT

    def directory(self, name: str, version: int) -> Path:
        return self.root / name / str(version)


def _is_name(name: str) -> bool:
    try:
        return check_name(name) == name
    except UsageError:
        return False
