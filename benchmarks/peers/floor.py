"""The floor: one adapter merged into a transformers model of its own, which then costs nothing.

SDPA, inference mode, texts sorted by length; no mask where nothing is padded. It answers for one
adapter only.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from peft import PeftModel

from .batches import Heads, mean, pad

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from adapter_platform.core.store.source import AdapterSource

    from ..bench import Bench


def merged(bench: Bench, source: AdapterSource) -> Any:
    """The base with the adapter's products added to its weights; embeddings are everyone's."""
    encoder = bench.encoder()
    embeddings = {id(tensor): tensor for tensor in encoder.embeddings.parameters()}
    encoder = copy.deepcopy(encoder, embeddings)
    return PeftModel.from_pretrained(encoder, str(source.path)).merge_and_unload().eval()


def floor(
    bench: Bench, source: AdapterSource, tokens: Sequence[Sequence[int]]
) -> Callable[[], NDArray[np.float32]]:
    """A function that gives the texts' logits ``(texts, classes)``, in the texts' order."""
    model = bench.keep(("merged", source.content_hash), lambda: merged(bench, source))
    weight, bias = Heads([source]).of(source)
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    rows = [tokens[i] for i in order]
    back = torch.tensor(order).argsort()

    def answer() -> NDArray[np.float32]:
        with torch.inference_mode():
            ids, mask = pad(rows, bench.base.pad_id)
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
            logits = torch.nn.functional.linear(mean(states, mask), weight, bias)
            return logits[back].numpy()

    return answer
