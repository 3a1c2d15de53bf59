"""Which engines there are, and which of them runs an adapter."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import SettingsError, UsageError, unknown
from ..token_bag import read_token_bag
from .forks import renew_in_child
from .owner import closed
from .resident import Residents

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..bases import Base
    from ..heads import Pooling
    from ..registry import Listener
    from ..settings import Settings
    from ..store.source import AdapterSource
    from .protocol import Answer, Engine, Row

    FloatArray = NDArray[np.float32]

ENGINES = ("auto", "packed", "numpy", "peft")
BAGS = 4  # of the room for adapters their token bags get one in so many
REMEMBERED = 4096  # adapters of which it is known whether they are refused


def check_engine(wanted: str) -> str:
    """The engine of this name. Raises `UsageError` where there is none."""
    if wanted not in ENGINES:
        raise unknown("engine", wanted, ENGINES, UsageError)
    return wanted


class ColdStart:
    """How much a process is answered by NumPy before it imports torch. Threads may share it.

    Args:
        tokens: of all texts together. A text too many brings torch, and what has been imported is
            used.
    """

    def __init__(self, tokens: int) -> None:
        self._left = tokens  # without a lock: a count lost between threads costs nobody an answer

    def covers(self, tokens: int) -> bool:
        """Whether texts of so many tokens are NumPy's; if they are, they have been counted."""
        if "torch" in sys.modules or tokens > self._left:
            return False
        self._left -= tokens
        return True

    def end(self) -> None:
        """From here on no text is NumPy's."""
        self._left = -1


class Engines:
    """The engines over one base, each made when it is first wanted. Safe from any thread.

    Args:
        start: shared by all bases.
    """

    def __init__(
        self, base: Base, settings: Settings, listener: Listener, start: ColdStart
    ) -> None:
        from .lora import LoraReader

        self._base = base
        self._settings = settings
        self._listener = listener
        self._start = start
        self._reader = LoraReader(base)
        room = settings.adapter_megabytes * 1_000_000 // BAGS
        self._bags = Residents(read_token_bag, room, "token bag")
        self._made: dict[str, Engine] = {}
        self._refused: dict[str, bool] = {}
        self._closed = False
        self._renew()
        renew_in_child(self, Engines._renew)

    def answers(self, rows: Sequence[Row], wanted: str) -> list[tuple[Answer, str]]:
        """One for each row, and the name of the engine that ran it.

        Raises:
            as `Engine.answers`.
        """
        shares: dict[str, list[int]] = {}
        for index, name in enumerate(self._pick(rows, wanted)):
            shares.setdefault(name, []).append(index)
        found: dict[int, tuple[Answer, str]] = {}
        for name, indices in shares.items():
            answers = self._engine(name).answers([rows[index] for index in indices])
            found |= {i: (answer, name) for i, answer in zip(indices, answers, strict=True)}
        return self._with_bags(rows, [found[index] for index in range(len(rows))])

    def _with_bags(
        self, rows: Sequence[Row], answers: list[tuple[Answer, str]]
    ) -> list[tuple[Answer, str]]:
        """The answers with what adapters' token bags add, whichever engine ran them."""
        places: dict[str, list[int]] = {}
        for index, row in enumerate(rows):
            if row.adapter.manifest.token_bag:
                places.setdefault(row.adapter.content_hash, []).append(index)
        for indices in places.values():
            bag, _ = self._bags.get(rows[indices[0]].adapter)
            added = bag.logits([rows[index].tokens for index in indices])
            for index, more in zip(indices, added, strict=True):
                answer, name = answers[index]
                answers[index] = replace(answer, logits=answer.logits + more), name
        return answers

    def features(
        self, rows: Sequence[tuple[int, ...]], pooling: Pooling, wanted: str
    ) -> tuple[FloatArray, str]:
        """``(texts, hidden)`` float32 of the bare base, and the name of the engine that ran it.

        Raises:
            as `Engine.features`.
        """
        name = wanted
        if wanted == "auto":
            from .bert import refuses_base

            refused = refuses_base(self._base) is not None
            light = not refused and self._is_light(sum(map(len, rows)))
            name = "peft" if refused else "numpy" if light else "packed"
        return self._engine(name).features(rows, pooling), name

    def close(self) -> None:
        """Ends them once the calls that wait have their answers. Later calls raise."""
        with self._lock:
            self._closed = True
            made = list(self._made.values())
        for engine in made:
            engine.close()

    def _pick(self, rows: Sequence[Row], wanted: str) -> list[str]:
        """The name of the engine that each row goes to.

        ``auto`` is peft for adapters that the packed engine refuses. The others are NumPy's while
        the process is cold, for another device has not been asked for, and torch is not needed
        anyway; else they are packed.
        """
        if wanted != "auto":
            return [wanted] * len(rows)
        refused = [self._refuses(row.adapter) for row in rows]
        light = not any(refused) and self._is_light(sum(len(row.tokens) for row in rows))
        return ["peft" if no else "numpy" if light else "packed" for no in refused]

    def _is_light(self, tokens: int) -> bool:
        """Whether texts of so many tokens are NumPy's; if they are, they have been counted."""
        return not self._settings.device.startswith("cuda") and self._start.covers(tokens)

    def _refuses(self, adapter: AdapterSource) -> bool:
        refused = self._refused.get(adapter.content_hash)
        if refused is None:
            refused = self._reader.refuses(adapter) is not None
            if len(self._refused) >= REMEMBERED:  # the oldest goes
                self._refused.pop(next(iter(self._refused)), None)
            self._refused[adapter.content_hash] = refused
        return refused

    def _engine(self, name: str) -> Engine:
        with self._lock:
            if self._closed:
                raise closed()
            if name not in self._made:
                self._made[name] = self._make(name)
                if name == "packed":  # what NumPy has held is torch's from here; calls end with it
                    self._made.pop("numpy", None)
            return self._made[name]

    def _make(self, name: str) -> Engine:
        settings = self._settings
        room = settings.adapter_megabytes * 1_000_000
        if name == "numpy":
            if settings.device.startswith("cuda"):
                raise SettingsError(
                    "the numpy engine runs on the CPU alone",
                    f"leave --device {settings.device} out, or use --engine packed",
                )
            from .numpy_engine import NumpyEngine

            return NumpyEngine(self._reader, self._listener, room, settings.batch_tokens)
        from .encoder import pick_device
        from .threads import usual_threads

        device = pick_device(settings.device)
        threads = settings.threads or usual_threads()
        if name == "peft":
            from .peft import PeftEngine

            return PeftEngine(
                self._base,
                device,
                self._listener,
                settings.peft_resident,
                settings.batch_tokens,
                threads,
            )
        from .packed import PackedEngine

        return PackedEngine(
            self._reader,
            device,
            self._listener,
            room,
            settings.batch_tokens,
            threads,
        )

    def _renew(self) -> None:
        self._lock = threading.Lock()
