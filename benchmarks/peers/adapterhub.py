"""AdapterHub (``pip install adapters``): rows of a batch split among adapters by `BatchSplit`.

It does not install beside our transformers, so it runs in another Python, which is asked
turn by turn and times itself.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..row import NotHere

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adapter_platform.core.engine.protocol import Row
    from adapter_platform.core.store.source import AdapterSource

    from ..bench import Bench

WORKER = Path(__file__).with_name("adapterhub_worker.py")
HOW = (
    "adapters 1.3 needs transformers 4.57, so make it an environment of its own: "
    "python -m venv DIR && DIR/bin/pip install torch adapters==1.3.0; then --adapterhub "
    "DIR/bin/python"
)


class AdapterHub(AbstractContextManager["AdapterHub"]):
    """The other Python with one batch to answer; ended with the block.

    Args:
        sources: all adapters that are loaded.
        rows: of one length; rows of one adapter lie together.

    Raises:
        NotHere: there is no such Python.
    """

    def __init__(
        self, bench: Bench, sources: Sequence[AdapterSource], rows: Sequence[Row], rank: int
    ) -> None:
        if bench.options.adapterhub is None:
            raise NotHere(HOW)
        groups = [(key, len(list(group))) for key, group in groupby(rows, key=_name)]
        job = {
            "threads": bench.options.threads,
            "base": str(bench.base.path),
            "adapters": [{"name": s.manifest.name, "path": str(s.path)} for s in sources],
            "rank": rank,
            "alpha": 2 * rank,
            "rows": [row.tokens for row in rows],
            "names": [name for name, _ in groups],
            "sizes": [size for _, size in groups],
            "heads": [str(row.adapter.path) for row in rows],
        }
        self._process = subprocess.Popen(
            [str(bench.options.adapterhub), str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self._ask(job)
        except BaseException:
            self._process.kill()
            self._process.communicate()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def logits(self) -> NDArray[np.float32]:
        """``(texts, classes)``"""
        return np.array(self._ask("check"), np.float32)

    def seconds(self) -> float:
        """Answers once more; how long it took."""
        return float(self._ask("time"))

    def _ask(self, message: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"AdapterHub's Python has ended with {self._process.wait()}")
        return json.loads(line)


def _name(row: Row) -> str:
    return row.adapter.manifest.name
