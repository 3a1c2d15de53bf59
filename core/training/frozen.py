"""The lowest layers of an encoder, where training leaves them alone: run once for all epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch

from ..engine.encoder import length_batches, pad
from ..engine.peft_groups import PROMPTS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from peft import PeftModel

    from .workshop import Workshop

    Floats = NDArray[np.float32]

KINDS = ("bert", "roberta", "xlm-roberta", "camembert")
"""Models that are `embeddings`, then `encoder.layer` one after another, and nothing between."""
ROOM = 2 << 30  # bytes of states that are kept at most


class States(Sequence["Floats"]):
    """Hidden states ``(tokens, hidden)`` of each text, end to end in one array.

    Args:
        lengths: tokens of each text.
    """

    def __init__(self, lengths: Sequence[int], hidden: int) -> None:
        self._ends = np.concatenate([[0], np.cumsum(lengths)])
        self._flat: Floats = np.empty((int(self._ends[-1]), hidden), np.float32)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> Floats: ...
    @overload
    def __getitem__(self, index: slice) -> list[Floats]: ...
    def __getitem__(self, index: int | slice) -> Floats | list[Floats]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        return self._flat[self._ends[index] : self._ends[index + 1]]


Rows = Sequence[tuple[int, ...]] | States
"""What an encoder is fed of texts: tokens, or the states that its frozen layers make of them."""


def frozen_layers(model: PeftModel) -> int:
    """How many of the lowest layers give the same states in every epoch.

    0 where training changes what comes before them, or the encoder is built otherwise.
    """
    encoder = model.get_base_model()
    if encoder.config.model_type not in KINDS or model.active_peft_config.peft_type in PROMPTS:
        return 0
    if _is_trained(encoder.embeddings):
        return 0
    layers = encoder.encoder.layer
    return next((i for i, layer in enumerate(layers) if _is_trained(layer)), len(layers))


def fits(rows: Mapping[str, Sequence[tuple[int, ...]]], hidden: int) -> bool:
    """Whether there is room for the states of the texts, by split."""
    tokens = sum(len(row) for of_split in rows.values() for row in of_split)
    return tokens * hidden * 4 <= ROOM


def frozen_states(
    model: PeftModel,
    layers: int,
    rows: Sequence[tuple[int, ...]],
    pad_id: int,
    workshop: Workshop,
    tick: Callable[[int, int], None],
) -> States:
    """What the lowest layers make of token rows."""
    encoder = model.get_base_model()
    encoder.eval()
    states = States([len(row) for row in rows], encoder.config.hidden_size)
    whole = encoder.encoder.layer
    encoder.encoder.layer = whole[:layers]
    done = 0
    try:
        with torch.inference_mode():
            for batch in length_batches([len(row) for row in rows], workshop.batch_tokens):
                ids, mask = pad([rows[i] for i in batch], pad_id, workshop.device)
                found = encoder(input_ids=ids, attention_mask=mask).last_hidden_state.cpu().numpy()
                for place, i in enumerate(batch):
                    states[i][:] = found[place, : len(rows[i])]
                done += len(batch)
                tick(done, len(rows))
    finally:
        encoder.encoder.layer = whole
    return states


@contextmanager
def above(model: PeftModel, layers: int) -> Iterator[None]:
    """Within the block the encoder takes ``inputs_embeds`` for what its lowest layers gave.

    Its other modules keep their names.
    """
    encoder = model.get_base_model()
    embeddings, whole = encoder.embeddings, encoder.encoder.layer
    passing = [_Pass() for _ in range(layers)]
    encoder.embeddings = _Given()
    encoder.encoder.layer = torch.nn.ModuleList([*passing, *whole[layers:]])
    try:
        yield
    finally:
        encoder.embeddings, encoder.encoder.layer = embeddings, whole


def feed(
    rows: Sequence[Any], pad_id: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids ``(texts, longest)`` or states ``(texts, longest, hidden)`` of rows, and their mask."""
    if not isinstance(rows[0], np.ndarray):
        return pad(rows, pad_id, device)
    longest = max(len(row) for row in rows)
    states = torch.zeros((len(rows), longest, rows[0].shape[1]))
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for i, row in enumerate(rows):
        states[i, : len(row)] = torch.from_numpy(row)
        mask[i, : len(row)] = 1
    return states.to(device), mask.to(device)


class _Given(torch.nn.Module):
    """In place of embeddings: the states, as they are."""

    def forward(self, inputs_embeds: torch.Tensor, **_: Any) -> torch.Tensor:
        return inputs_embeds


class _Pass(torch.nn.Module):
    """In place of a layer: nothing."""

    def forward(self, states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return states


def _is_trained(module: torch.nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())
