"""What the rows of one base share: the base, published adapters, models to put peers on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from adapter_platform.core.bases import Base, Bases
from adapter_platform.core.engine.encoder import load_encoder
from adapter_platform.core.engine.lora import LoraReader
from adapter_platform.core.engine.packed import PackedEngine
from adapter_platform.core.engine.protocol import Row
from adapter_platform.core.registry import NullListener
from adapter_platform.core.settings import load_settings
from adapter_platform.core.store.source import AdapterSource
from adapter_platform.plugins.manager import load_plugins

from .fixtures.adapters import Shape, publish
from .measured import Measured
from .timing import Clocked, clocked, interleave

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

T = TypeVar("T")

CPU = torch.device("cpu")
ROOM = 8 << 30  # bytes: no adapter leaves unless a row asks for it
TOLERANCE = 1e-3  # between a peer's logits and ours, as a share of the largest


@dataclass(frozen=True, slots=True)
class Options:
    """How the rows are to be measured.

    Attributes:
        threads: torch's, in every process.
        rounds: timed rounds.
        quick: fewer and smaller, to end within three minutes.
        adapterhub: a Python that has AdapterHub's `adapters`; None: there is none.
    """

    threads: int
    rounds: int
    quick: bool = False
    adapterhub: Path | None = None


class WrongAnswer(AssertionError):
    """A peer says something else than we do, so that comparing times would mean nothing."""


class Bench:
    """One base's workbench; `close` frees what stands on it.

    Args:
        scratch: an empty directory.
    """

    def __init__(self, base_id: str, options: Options, scratch: Path) -> None:
        self.options = options
        self.scratch = scratch
        self.settings = load_settings(store=scratch / "store", threads=options.threads)
        self.registry = load_plugins(self.settings).registry
        self.base: Base = Bases(self.registry, self.settings.cache).resolve(base_id)
        self._kept: dict[object, Any] = {}
        self._closing = ExitStack()
        torch.set_num_threads(options.threads)

    def close(self) -> None:
        self._closing.close()
        self._kept.clear()

    def keep(self, key: object, make: Callable[[], T]) -> T:
        """What `make` gives, made once and shared by the rows that ask for the same key."""
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    # Ours

    def adapters(self, count: int, shape: Shape | None = None) -> list[AdapterSource]:
        """Published adapters, the same ones for the same shape."""
        shape = shape or Shape()
        folder = self.scratch / f"adapters-{len(self._kept)}"
        held = self.keep(
            ("adapters", shape, count), lambda: publish(folder, self.base, count, shape)
        )
        return held[:count]

    def new_engine(self, room: int = ROOM) -> PackedEngine:
        """An engine of its own, closed with the bench."""
        engine = PackedEngine(
            LoraReader(self.base),
            CPU,
            NullListener(),
            room,
            self.settings.batch_tokens,
            self.options.threads,
        )
        self._closing.callback(engine.close)
        return engine

    @property
    def engine(self) -> PackedEngine:
        """The engine that rows share; it has room for all their adapters."""
        return self.keep("engine", self.new_engine)

    # Peers

    def encoder(self) -> Any:
        """The base in transformers, with its own modules and the base's one set of tensors."""
        whole = self.keep("encoder", lambda: load_encoder(self.base, CPU))
        return copy.deepcopy(whole, {id(tensor): tensor for tensor in whole.parameters()})

    # Measuring

    def compare(
        self, ours: Callable[[], object], peer: Callable[[], object], *, note: str = ""
    ) -> Measured:
        """Interleaved times of ours and the peer's."""
        return self.compare_clocked(clocked(ours), clocked(peer), note=note)

    def compare_clocked(self, ours: Clocked, peer: Clocked, *, note: str = "") -> Measured:
        """The same for calls that time themselves."""
        mine, theirs = interleave([ours, peer], self.options.rounds)
        return Measured(mine, theirs, note=note)

    def compare_answers(
        self, rows: Sequence[Row], peer: Callable[[], FloatArray], *, note: str = ""
    ) -> Measured:
        """The same for the shared engine on rows, once it is sure that the peer answers alike.

        Args:
            peer: gives ``(texts, classes)`` logits in the order of the rows.
        """
        self.check(rows, peer())
        engine = self.engine
        return self.compare(lambda: engine.logits(rows), peer, note=note)

    def check(self, rows: Sequence[Row], peers: FloatArray) -> None:
        """Raises `WrongAnswer` where a peer's logits for the rows are not the shared engine's."""
        check_alike(np.stack(self.engine.logits(rows)), peers)


def check_alike(ours: FloatArray, peers: FloatArray) -> None:
    """Raises `WrongAnswer` where two sets of logits are not those of one model."""
    if ours.shape != peers.shape:
        raise WrongAnswer(f"the peer's logits are {peers.shape}, ours {ours.shape}")
    apart = float(np.abs(ours - peers).max())
    allowed = TOLERANCE * float(np.abs(ours).max())
    if not apart <= allowed:
        raise WrongAnswer(f"the peer's logits are {apart:.2g} from ours; {allowed:.2g} is allowed")
    sure = np.sort(ours)[:, -1] - np.sort(ours)[:, -2] > 2 * allowed
    if (ours.argmax(1) != peers.argmax(1))[sure].any():
        raise WrongAnswer("the peer's labels are not ours")
