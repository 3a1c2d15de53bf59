"""Whether two forms of one adapter say the same: both are run, and what differs is not let through.

PEFT loads much that does not fit in silence, so names alone prove nothing.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..bases import Base
from ..engine.encoder import building_quietly
from ..engine.peft import PeftEngine
from ..engine.protocol import Row
from ..errors import AdapterUnsupported
from ..model_directory import read_config
from ..registry import NullListener
from ..store.source import AdapterSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

LENGTHS = (1, 2, 5, 9, 16, 31)  # tokens of the texts that both forms read
LONGEST_REASON = 300  # characters of what another library says
TOLERANCE = 1e-4  # of the largest logit, or of 1; float32 itself differs by some 1e-5


def sample_rows(base: Base) -> list[tuple[int, ...]]:
    """Token rows of several lengths, the same at each call; real words would prove no more."""
    vocabulary = int(read_config(base.path)["vocab_size"])
    draw = random.Random(0)
    lengths = [min(length, base.max_positions) for length in LENGTHS]
    return [tuple(draw.randrange(vocabulary) for _ in range(length)) for length in lengths]


def engine_logits(
    base: Base, source: AdapterSource, rows: Sequence[tuple[int, ...]], device: torch.device
) -> FloatArray:
    """``(rows, classes)``: what the platform's own engine gives for an adapter of ours.

    Raises:
        AdapterCorrupt, AdapterUnsupported: the engine cannot run it.
    """
    budget = sum(len(row) for row in rows)
    engine = PeftEngine(base, device, NullListener(), 1, budget, 0)
    try:
        return np.stack(engine.logits([Row(row, source) for row in rows]))
    finally:
        engine.close()


def stock_logits(
    base: Base,
    directory: Path,
    classes: int,
    rows: Sequence[tuple[int, ...]],
    device: torch.device,
) -> FloatArray:
    """``(rows, classes)``: what transformers and PEFT alone give for a stock classifier.

    Raises:
        AdapterUnsupported: they cannot load it on this base, or the base has no pooler.
    """
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    try:
        with building_quietly(), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # the head is missing, always: it comes with the adapter
            # The base's own head, of whatever size, gives way to the adapter's.
            model, info = AutoModelForSequenceClassification.from_pretrained(
                str(base.path),
                num_labels=classes,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
            peft: Any = PeftModel.from_pretrained(model, str(directory)).eval().to(device)
    except Exception as error:
        # PEFT's tuners raise errors of any kind for an adapter that does not fit the model.
        reason = " ".join(str(error).split())[:LONGEST_REASON] or type(error).__name__
        raise AdapterUnsupported(
            f"PEFT cannot load {directory} on the base {base.id!r}: {reason}",
            "give the base that it was trained on: --base ID",
        ) from error
    if any(".pooler." in name for name in info["missing_keys"]):
        raise AdapterUnsupported(
            f"the base {base.id!r} has no pooler, so the classifier in {directory} stood on a "
            "random one, which was not saved",
            "give the base that it was trained on: --base ID",
        )
    with torch.inference_mode():
        logits = [
            peft(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
            for ids in (torch.tensor([row], device=device) for row in rows)
        ]
    return torch.cat(logits).float().cpu().numpy()


def check_same(ours: FloatArray, stock: FloatArray, what: str) -> None:
    """Refuses a change of form that changes answers.

    Raises:
        AdapterUnsupported: some logit differs by more than `TOLERANCE`.
    """
    largest = max(1.0, float(np.abs(stock).max()))
    difference = float(np.abs(ours - stock).max())
    if not difference <= TOLERANCE * largest:
        raise AdapterUnsupported(
            f"{what} would change its answers (a logit by {difference:.2g}), so it was not done",
            "train it again: platform adapters train NAME --data FILE",
        )
