"""The plugin API, the loader, and the built-ins, which use the same hooks as anyone's.

`open_platform` is the way in from Python. Nothing here is imported before it is needed: not pluggy,
not pydantic, not torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapter_platform.core.platform import Platform

__all__ = ["open_platform"]


def open_platform(**overrides: Any) -> Platform:
    """A platform with the settings in force and every plugin loaded.

    Args:
        overrides: settings by name (`store`, `engine`, `plugins_dir` ...) over the environment and
            `platform.toml`; None counts as not given.

    Raises:
        SettingsError: a setting cannot be.
        PluginError: a plugin failed, and `strict_plugins` is set.
    """
    from adapter_platform.core.platform import Platform
    from adapter_platform.core.settings import load_settings

    from .manager import load_plugins

    settings = load_settings(**overrides)
    plugins = load_plugins(settings)
    return Platform(settings=settings, registry=plugins.registry, listener=plugins.listener)
