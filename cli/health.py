"""What `platform doctor` looks at, room by room."""

from __future__ import annotations

import platform as machine
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from adapter_platform.core.errors import PlatformError

from . import output
from .checks import BROKEN, OK, WARNING, Check, check_library, check_writable
from .render.figures import count

if TYPE_CHECKING:
    from adapter_platform.core.settings import Settings

    from .session import Session

LIBRARIES = (
    *("torch", "transformers", "peft", "accelerate", "datasets", "scikit-learn", "numpy"),
    *("safetensors", "tokenizers", "huggingface_hub", "filelock", "pluggy"),
    *("pydantic", "pydantic-settings", "typer", "rich"),
)


def examine(session: Session) -> Iterator[Check]:
    """Every check, in an order in which a later failure is explained by an earlier one."""
    from importlib.metadata import version

    yield Check("adapter-platform", OK, version("adapter-platform"))
    yield Check("python", OK, f"{machine.python_version()} ({sys.executable})")
    for name in LIBRARIES:
        yield check_library(name)
    try:
        settings = session.settings()
    except PlatformError as error:
        yield Check("settings", BROKEN, error.message, error.hint or "")
        return
    for name, examination in (
        ("device", _device),
        ("store", _store),
        ("starters", _starters),
        ("plugins", _plugins),
        ("base", _base),
    ):
        yield from _guarded(name, examination, session, settings)


Examination = Callable[["Session", "Settings"], Iterator[Check]]


def _guarded(
    name: str, examination: Examination, session: Session, settings: Settings
) -> Iterator[Check]:
    """The examination's checks; a failure of its own is a broken thing, and ends it."""
    try:
        yield from examination(session, settings)
    except PlatformError as error:
        yield Check(name, BROKEN, error.message, error.hint or "")
    except ImportError as error:
        yield Check(name, BROKEN, f"a library is missing: {error}")


def _device(_: Session, settings: Settings) -> Iterator[Check]:
    import torch

    from adapter_platform.core.engine.encoder import pick_device

    device = pick_device(settings.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    threads = "" if device.type == "cuda" else count(torch.get_num_threads(), "thread")
    yield Check("device", OK, f"{device} {name or threads}")


def _store(session: Session, settings: Settings) -> Iterator[Check]:
    yield check_writable("store", settings.store, "training and importing need another --store")
    listing = [entry for entry in session.open_store().listing() if entry.layer == "store"]
    yield Check("adapters", OK, count(len(listing), "adapter"))
    for entry in listing:
        if entry.error is not None:
            hint = entry.error.hint or ""
            yield Check(f"adapter {entry.name}", WARNING, entry.error.message, hint)


def _starters(session: Session, _: Settings) -> Iterator[Check]:
    store = session.open_store()
    if store.starters is None:
        yield Check("starters", WARNING, "this installation has none")
        return
    from adapter_platform.core.store.store import Store

    alone = Store(store.starters)  # without the user's own store, which may hide them
    names, problems = alone.names(), []
    for name in names:
        problems += [f"{name}: {problem}" for problem in alone.verify(name)]
    if problems:
        hint = "install adapter-platform again"
        yield Check("starters", BROKEN, f"{store.starters}: {problems[0]}", hint)
    else:
        yield Check("starters", OK, f"{store.starters}: {', '.join(names) or 'none'}")


def _plugins(session: Session, settings: Settings) -> Iterator[Check]:
    infos = session.load_plugins().infos
    if settings.plugins_dir is not None:
        yield Check("plugins directory", OK, str(settings.plugins_dir))
    loaded = [info.name for info in infos if not info.failure and not info.skipped]
    yield Check("plugins", OK, ", ".join(loaded))
    for info in infos:
        if info.failure:
            state = BROKEN if info.origin == "built-in" else WARNING
            hint = f"platform plugins show {info.name}"
            yield Check(f"plugin {info.name}", state, info.failure, hint)


def _base(session: Session, settings: Settings) -> Iterator[Check]:
    output.note(f"reading the base {settings.base!r} in full; the first time it is built")
    base = session.open_bases().resolve(settings.base, rehash=True)
    shape = f"{base.architecture}, {base.layers} layers of {base.hidden_size}"
    yield Check("base", OK, f"{base.id}: {shape}, {base.fingerprint[:12]}, {base.path}")
