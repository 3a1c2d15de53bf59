"""What the options before the subcommand decide, and the doors to the rest of the platform."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapter_platform.core.bases import Bases
    from adapter_platform.core.platform import Platform
    from adapter_platform.core.settings import Settings
    from adapter_platform.core.store.store import Store
    from adapter_platform.plugins.manager import Plugins


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the command; `typer.Context.obj` holds it.

    Attributes:
        store: the directory that ``--store`` names, or None.
        verbose: how often ``-v`` was given.
    """

    store: Path | None = None
    verbose: int = 0

    def settings(self, **overrides: Any) -> Settings:
        """The settings in force; an override of None counts as not given."""
        from adapter_platform.core.settings import load_settings

        return load_settings(store=self.store, **overrides)

    def open_store(self) -> Store:
        """The store alone: what listing and moving versions about need, and quick."""
        from adapter_platform.core.store.starters import packaged_starters
        from adapter_platform.core.store.store import Store

        settings = self.settings()
        if settings.strict_plugins:
            self.load_plugins()  # fatal where one fails, in every command alike
        return Store(settings.store, packaged_starters())

    def load_plugins(self) -> Plugins:
        """Every plugin, loaded or failed; no command of theirs yet."""
        from adapter_platform.plugins.manager import load_plugins

        return load_plugins(self.settings())

    def open_bases(self) -> Bases:
        """The bases that plugins bring, and those that lie anywhere else."""
        from adapter_platform.core.bases import Bases

        return Bases(self.load_plugins().registry, self.settings().cache)

    def open_platform(self, **overrides: Any) -> Platform:
        """The whole platform, with every plugin."""
        from adapter_platform.plugins import open_platform

        return open_platform(store=self.store, **overrides)
