"""Settings from the environment (``PLATFORM_*``) and `platform.toml`, checked at the start."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from .errors import SettingsError, unknown

PREFIX = "PLATFORM_"
FILE = "platform.toml"
EngineChoice = Literal["auto", "packed", "numpy", "peft"]
# Importing torch costs as much as some 4,700 tokens cost more in NumPy, on one core of a server:
# `python -m benchmarks.numpy_tokens` measures it.
NUMPY_TOKENS = 4000


def data_home() -> Path:
    """Where a user's data lies on this system, by its own convention."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "adapter-platform"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "adapter-platform"
    root = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(root) / "adapter-platform"


def cache_home() -> Path:
    """Where files that can be made again lie on this system."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "adapter-platform"
    if sys.platform == "win32":
        return data_home() / "cache"
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "adapter-platform"


class Settings(BaseSettings):
    """What a user can set. Environment first, then `platform.toml` in the working directory.

    An empty environment variable counts as not set, but for `load_plugins`: an empty list is one.

    Attributes:
        store: directory of published adapters.
        cache: directory for built bases and fingerprints.
        default_adapter: answers when no adapter is named; ``auto`` chooses for each text.
        base: base id for new adapters whose recipe names none.
        engine: ``auto`` picks per adapter: ``packed`` for LoRA on a BERT base, ``peft`` for what
            that cannot run. ``numpy`` is ``packed`` without torch; see `numpy_tokens`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: torch's threads for a forward pass; 0 leaves torch's own choice.
        batch_tokens: tokens in one forward pass, at most; with the peft engine, padded ones.
        adapter_megabytes: of adapters that the packed engine holds before the least recently used
            goes.
        peft_resident: adapters that one PEFT model holds before the least recently used goes.
        resident_bases: base models held in memory.
        numpy_tokens: tokens that a process is answered by NumPy before it imports torch; 0: none.
        route_reject: the share of training texts, half by the adapter's own and half by all
            adapters', that ``--adapter auto`` would take for strangers to theirs; a text that is
            as far goes to no adapter. 0: every text goes to the nearest.
        plugins_dir: directory of single-file plugins and domain folders.
        load_plugins: allow-list of plugin names, comma-separated; not set: all. Built-ins always
            load.
        strict_plugins: a plugin that fails ends the command.
        report_to: experiment trackers of trainings whose recipe names none, comma-separated:
            ``tensorboard,mlflow``.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    store: Path = Field(default_factory=lambda: data_home() / "adapters")
    cache: Path = Field(default_factory=cache_home)
    default_adapter: str | None = None
    base: str = "multilingual"
    engine: EngineChoice = "auto"
    device: str = "auto"
    threads: int = Field(0, ge=0)
    batch_tokens: int = Field(4096, ge=1)
    adapter_megabytes: int = Field(1000, ge=0)
    peft_resident: int = Field(16, ge=1)
    resident_bases: int = Field(2, ge=1)
    numpy_tokens: int = Field(NUMPY_TOKENS, ge=0)
    route_reject: float = Field(0.02, ge=0, lt=1)
    plugins_dir: Path | None = None
    load_plugins: str | None = None
    strict_plugins: bool = False
    report_to: str = ""

    @property
    def allowed_plugins(self) -> set[str] | None:
        """The names in `load_plugins`; None: all are."""
        return None if self.load_plugins is None else set(_names(self.load_plugins))

    @property
    def trackers(self) -> list[str]:
        """The names in `report_to`."""
        return _names(self.report_to)

    @field_validator("device")
    @classmethod
    def _check_device(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", device):
            raise ValueError("it is auto, cpu, cuda or cuda:N")
        return device

    @field_validator("store", "cache", "plugins_dir", mode="before")
    @classmethod
    def _refuse_empty(cls, path: Any) -> Any:
        # An empty path is the working directory to `Path`, which nobody means by it.
        if isinstance(path, str) and not path.strip():
            raise ValueError("the path is empty")
        return path

    @field_validator("store", "cache", "plugins_dir")
    @classmethod
    def _expand(cls, path: Path | None) -> Path | None:
        return path.expanduser().absolute() if path else path

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic names it
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic names it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic names it
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments over environment over `platform.toml`."""
        file = TomlConfigSettingsSource(settings_cls, Path(FILE))
        return (init_settings, _Environment(settings_cls), file)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


class _Environment(EnvSettingsSource):
    """The environment without what is empty there, so that the file and the defaults count."""

    def __call__(self) -> dict[str, Any]:
        return {key: v for key, v in super().__call__().items() if v or key == "load_plugins"}


def load_settings(**overrides: Any) -> Settings:
    """The settings in force; an override of None counts as not given.

    Raises:
        SettingsError: a setting that there is not, or a value that cannot be; the sentence names it
            and where it comes from.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "setting"
        if first["type"] == "extra_forbidden":
            kind = "setting" if name in given else f"setting of {FILE}"
            raise unknown(kind, name, Settings.model_fields, SettingsError) from error
        reason = first["msg"].removeprefix("Value error, ")
        raise SettingsError(
            f"the setting {name!r} cannot be {first.get('input')!r}: {reason}",
            f"see {PREFIX}{name.upper()}, {FILE} and the command's options",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{FILE} cannot be read: {error}") from error
