"""How far float32 answers lie from the same model in float64, ours and plain PEFT's."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from peft import PeftModel

from ..bench import WrongAnswer
from ..fixtures.texts import dealt, real_texts, tokenized
from ..measured import Measured
from ..peers.batches import Heads, mean, pad
from ..row import Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adapter_platform.core.store.source import AdapterSource

    from ..bench import Bench

TEXTS, ADAPTERS, QUICK_ADAPTERS = 32, 16, 3
LARGE = 5.0  # at least one logit of each adapter is
CLEAR = 1e-4  # margins at which the label may not depend on float32


def error(bench: Bench) -> Measured:
    """The largest error of each adapter over the texts."""
    limit = min(128, bench.base.max_positions)
    tokens = tokenized(bench.base, real_texts(TEXTS), limit)
    ours, peers = [], []
    for source in bench.adapters(QUICK_ADAPTERS if bench.options.quick else ADAPTERS):
        true = plain(bench, source, tokens, torch.float64)
        if np.abs(true).max() < LARGE:
            raise WrongAnswer(f"no logit of {source.manifest.reference} is {LARGE} or more")
        found = np.stack(bench.engine.logits(dealt(tokens, [source])))
        ordered = np.sort(true)
        clear = ordered[:, -1] - ordered[:, -2] > CLEAR
        if (found.argmax(1) != true.argmax(1))[clear].any():
            raise WrongAnswer(f"a clear label of {source.manifest.reference} is another's")
        ours.append(float(np.abs(found - true).max()))
        peers.append(float(np.abs(plain(bench, source, tokens, torch.float32) - true).max()))
    note = f"largest error over {TEXTS} texts, for {len(ours)} adapters"
    return Measured(ours, peers, unit="logit", note=note)


def plain(
    bench: Bench, source: AdapterSource, tokens: list[tuple[int, ...]], dtype: torch.dtype
) -> NDArray[np.float64]:
    """``(texts, classes)``: PEFT with the adapter alone, in one padded batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PeftModel.from_pretrained(bench.encoder(), str(source.path)).eval()
    if dtype != torch.float32:
        model = copy.deepcopy(model).to(dtype)  # the tensors are every encoder's of this bench
    weight, bias = (tensor.to(dtype) for tensor in Heads([source]).of(source))
    with torch.inference_mode():
        ids, mask = pad(tokens, bench.base.pad_id)
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        return torch.nn.functional.linear(mean(states, mask), weight, bias).double().numpy()


ROWS = (
    Row(
        "error",
        "error against float64",
        "plain PEFT in float32",
        error,
        "at most",
        2.0,
        1.2,
    ),
)
