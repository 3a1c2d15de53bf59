"""After how many tokens a process is better off with torch: what `settings.NUMPY_TOKENS` stands on.

    python -m benchmarks.numpy_tokens [ADAPTER]

Torch costs its import and the copying of the base once; NumPy costs more for each token. Where both
have cost the same, a process that does not know how much will come has lost the least by changing
(the rent-or-buy rule; Karlin et al. 1988).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from time import perf_counter

ROUNDS = 9
LENGTH, TEXTS = 16, 32  # tokens of a question, special tokens included; questions at once


def seconds(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def main() -> None:
    from adapter_platform.core.engine.protocol import Row
    from adapter_platform.plugins import open_platform

    def fresh(code: str) -> float:
        return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))

    importing = min(fresh("import torch") - fresh("import numpy") for _ in range(ROUNDS))

    import torch

    from adapter_platform.core.engine.lora import LoraReader
    from adapter_platform.core.engine.numpy_engine import NumpyEngine
    from adapter_platform.core.engine.packed import PackedEngine

    with open_platform() as platform:
        source = platform.resolve(sys.argv[1] if sys.argv[1:] else "data_eng")
        reader = LoraReader(platform.bases.for_adapter(source.manifest)[0])
        room, listener = 1 << 30, platform.listener
        light = NumpyEngine(reader, listener, room, 4096)
        heavy = PackedEngine(reader, torch.device("cpu"), listener, room, 4096, threads=0)
        rows = [Row((0, *range(1000 + i, 1014 + i), 2), source) for i in range(TEXTS)]
        light.logits(rows)
        loading = seconds(lambda: heavy.logits(rows)) - seconds(lambda: heavy.logits(rows))
        pairs = [
            (seconds(lambda: light.logits(rows)), seconds(lambda: heavy.logits(rows)))
            for _ in range(ROUNDS)
        ]
        heavy.close()
    # The best rounds: other work on the machine only ever adds to a time.
    a_token = [min(times) / (TEXTS * LENGTH) for times in zip(*pairs, strict=True)]
    print(f"importing torch {importing:.2f} s, loading the base {loading:.2f} s")
    for name, time in zip(("numpy", "packed"), a_token, strict=True):
        print(f"{name:6} {1000 * time:.2f} ms a token, {1 / time:,.0f} tokens a second")
    extra = a_token[0] - a_token[1]
    if extra <= 0:
        print("NumPy is no slower here")
    else:
        print(f"even after {(importing + loading) / extra:,.0f} tokens")


if __name__ == "__main__":
    main()
