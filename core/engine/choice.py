"""Which engines there are, and which of them runs an adapter."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import UsageError, unknown
from .forks import renew_in_child

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..bases import Base
    from ..registry import Listener
    from ..settings import Settings
    from ..store.source import AdapterSource
    from .protocol import Engine, Row

    FloatArray = NDArray[np.float32]

ENGINES = ("auto", "packed", "peft")
REMEMBERED = 4096  # adapters that the packed engine does not refuse


def check_engine(wanted: str) -> str:
    """The engine of this name. Raises `UsageError` where there is none."""
    if wanted not in ENGINES:
        raise unknown("engine", wanted, ENGINES, UsageError)
    return wanted


class Engines:
    """The engines over one base, each made when it is first wanted. Safe from any thread."""

    def __init__(self, base: Base, settings: Settings, listener: Listener) -> None:
        self._base = base
        self._settings = settings
        self._listener = listener
        self._made: dict[str, Engine] = {}
        self._fits: set[str] = set()
        self._renew()
        renew_in_child(self, Engines._renew)

    def pick(self, adapter: AdapterSource, wanted: str) -> Engine:
        """The engine of this name; ``auto`` is packed for every adapter that it does not refuse."""
        if wanted != "auto":
            return self._engine(wanted)
        packed = self._engine("packed")
        if adapter.content_hash not in self._fits:
            if packed.refuses(adapter) is not None:
                return self._engine("peft")
            if len(self._fits) >= REMEMBERED:
                self._fits.clear()
            self._fits.add(adapter.content_hash)
        return packed

    def logits(self, rows: Sequence[Row], wanted: str) -> list[FloatArray]:
        """``(classes,)`` float32 for each row, each by the engine picked for its adapter.

        Raises:
            as `Engine.logits`.
        """
        shares: dict[str, list[int]] = {}
        for index, row in enumerate(rows):
            shares.setdefault(self.pick(row.adapter, wanted).name, []).append(index)
        found: dict[int, FloatArray] = {}
        for name, indices in shares.items():
            answers = self._engine(name).logits([rows[index] for index in indices])
            found |= zip(indices, answers, strict=True)
        return [found[index] for index in range(len(rows))]

    def close(self) -> None:
        """Ends them once the calls that wait have their answers."""
        with self._lock:
            made = list(self._made.values())
        for engine in made:
            engine.close()

    def _engine(self, name: str) -> Engine:
        with self._lock:
            if name not in self._made:
                self._made[name] = self._make(name)
            return self._made[name]

    def _make(self, name: str) -> Engine:
        from .encoder import pick_device

        base, settings = self._base, self._settings
        device = pick_device(settings.device)
        if name == "peft":
            from .peft import PeftEngine

            return PeftEngine(
                base,
                device,
                self._listener,
                settings.peft_resident,
                settings.batch_tokens,
                settings.threads,
            )
        from .packed import PackedEngine

        return PackedEngine(
            base,
            device,
            self._listener,
            settings.adapter_megabytes * 1_000_000,
            settings.batch_tokens,
            settings.threads,
        )

    def _renew(self) -> None:
        self._lock = threading.Lock()
