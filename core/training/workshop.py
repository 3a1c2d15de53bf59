"""What all work on adapters shares: a platform's parts, the device, and who hears how far it is."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from ..bases import Bases
from ..engine.encoder import pick_device
from ..engine.threads import usual_threads
from ..registry import Listener, Registry
from ..store.store import Store

if TYPE_CHECKING:
    from ..settings import Settings

log = logging.getLogger(__name__)


class Progress(Protocol):
    """Who is told how far a training is; core knows no terminal."""

    def say(self, message: str) -> None:
        """One line worth keeping."""
        ...

    def advance(self, done: int, total: int, note: str) -> None:
        """A step of the present long piece of work, which `note` names."""
        ...


class Quiet:
    """Progress that goes to the log alone."""

    def say(self, message: str) -> None:
        log.info("%s", message)

    def advance(self, done: int, total: int, note: str) -> None:
        log.debug("%s: %d of %d", note, done, total)


@dataclass(frozen=True, slots=True)
class Workshop:
    """The parts of a platform that training works with."""

    store: Store
    bases: Bases
    registry: Registry
    listener: Listener
    device: torch.device
    batch_tokens: int
    cache: Path


def open_workshop(
    settings: Settings, store: Store, bases: Bases, registry: Registry, listener: Listener
) -> Workshop:
    """The workshop on the device, with the threads and in the cache that the settings name."""
    torch.set_num_threads(settings.threads or usual_threads())
    device = pick_device(settings.device)
    return Workshop(store, bases, registry, listener, device, settings.batch_tokens, settings.cache)
