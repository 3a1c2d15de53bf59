"""Where settings come from, which source wins, and what cannot be set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapter_platform.core.errors import SettingsError
from adapter_platform.core.settings import Settings, cache_home, data_home, load_settings

OTHERS: dict[str, tuple[Any, Any]] = {
    "store": ("here", "there"),
    "cache": ("here", "there"),
    "default_adapter": ("desk", "tags"),
    "base": ("minilm", "tiny"),
    "engine": ("packed", "peft"),
    "device": ("cpu", "cuda:1"),
    "threads": (1, 2),
    "numpy_tokens": (0, 100),
    "batch_tokens": (10, 20),
    "adapter_megabytes": (10, 20),
    "peft_resident": (3, 4),
    "resident_bases": (3, 4),
    "route_reject": (0.1, 0.2),
    "plugins_dir": ("here", "there"),
    "load_plugins": ("acme", "other"),
    "strict_plugins": (True, False),
    "report_to": ("tensorboard", "mlflow"),
}
"""Two values of each setting; none of the first is its default."""


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and nothing in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PLATFORM_STORE")
    monkeypatch.delenv("PLATFORM_CACHE", raising=False)
    return tmp_path


def in_file(name: str, value: Any) -> None:
    literal = str(value).lower() if isinstance(value, bool | int) else f'"{value}"'
    Path("platform.toml").write_text(f"{name} = {literal}\n", encoding="utf-8")


def as_set(name: str, value: Any) -> Any:
    """What a setting becomes: paths are made absolute."""
    return Path.cwd() / value if name in ("store", "cache", "plugins_dir") else value


def test_every_setting_is_tried_here() -> None:
    assert OTHERS.keys() == Settings.model_fields.keys()


@pytest.mark.parametrize("name", OTHERS)
def test_an_argument_wins_over_the_environment_over_the_file_over_the_default(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = OTHERS[name]
    default = getattr(load_settings(), name)
    assert default != as_set(name, one)
    in_file(name, one)
    assert getattr(load_settings(), name) == as_set(name, one)
    monkeypatch.setenv(f"PLATFORM_{name.upper()}", str(other))
    assert getattr(load_settings(), name) == as_set(name, other)
    assert getattr(load_settings(**{name: one}), name) == as_set(name, one)
    assert getattr(load_settings(**{name: None}), name) == as_set(name, other), "None is not given"


def test_the_defaults_lie_in_the_users_own_directories() -> None:
    settings = load_settings()
    assert settings.store == data_home() / "adapters"
    assert settings.cache == cache_home()
    assert settings.plugins_dir is None


@pytest.mark.parametrize("name", [name for name in OTHERS if name != "load_plugins"])
def test_an_empty_environment_variable_counts_as_not_set(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = getattr(load_settings(), name)
    monkeypatch.setenv(f"PLATFORM_{name.upper()}", "")
    assert getattr(load_settings(), name) == default
    in_file(name, OTHERS[name][0])
    assert getattr(load_settings(), name) == as_set(name, OTHERS[name][0])


def test_an_empty_allow_list_is_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_LOAD_PLUGINS", "")
    in_file("load_plugins", "acme")
    assert load_settings().load_plugins == ""


def test_names_in_a_list_stand_between_commas_with_or_without_spaces() -> None:
    assert load_settings().trackers == []
    assert load_settings().allowed_plugins is None
    listed = " acme, ,beta,"
    assert load_settings(report_to=listed).trackers == ["acme", "beta"]
    assert load_settings(load_plugins=listed).allowed_plugins == {"acme", "beta"}
    assert load_settings(load_plugins="").allowed_plugins == set()


@pytest.mark.parametrize("empty", ["", "  "])
@pytest.mark.parametrize("name", ["store", "cache", "plugins_dir"])
def test_an_empty_path_is_refused_and_not_the_working_directory(name: str, empty: str) -> None:
    with pytest.raises(SettingsError, match=f"'{name}' cannot be '{empty}': the path is empty"):
        load_settings(**{name: empty})
    in_file(name, empty)
    with pytest.raises(SettingsError, match="the path is empty"):
        load_settings()


def test_a_path_may_begin_at_the_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert load_settings(store="~/adapters").store == Path("/home/someone/adapters")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("engine", "quick"),
        ("device", "gpu"),
        ("device", "cuda:x"),
        ("threads", "-1"),
        ("batch_tokens", "0"),
        ("adapter_megabytes", "-1"),
        ("peft_resident", "0"),
        ("resident_bases", "0"),
        ("route_reject", "1"),
        ("route_reject", "-0.1"),
        ("strict_plugins", "perhaps"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_where_it_is_set(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PLATFORM_{name.upper()}", value)
    with pytest.raises(SettingsError, match=f"'{name}' cannot be '{value}'") as caught:
        load_settings()
    assert f"PLATFORM_{name.upper()}" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("name", "hint"), [("bas", "did you mean 'base'?"), ("colour", "choose one of: ")]
)
def test_a_setting_that_there_is_not_is_named_with_the_nearest(name: str, hint: str) -> None:
    in_file(name, "y")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert caught.value.message == f"there is no setting of platform.toml named {name!r}"
    assert (caught.value.hint or "").startswith(hint)
    with pytest.raises(SettingsError, match=f"there is no setting named '{name}'"):
        load_settings(**{name: "y"})


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().threads = 3  # type: ignore[misc]  # the mistake
