"""The training loop: batches of like lengths, what a checkpoint holds, going on after a stop."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainingArguments
from transformers.training_args import ParallelMode

from adapter_platform.core.errors import TrainingError
from adapter_platform.core.training import trainer
from adapter_platform.core.training.model import Classifier
from adapter_platform.core.training.recipe import Recipe, make_recipe
from adapter_platform.core.training.trainer import (
    STATE,
    WEIGHTS,
    LikeLengths,
    TrainingRows,
    arguments,
    fit,
    last_checkpoint,
)

from .conftest import MakeClassifier

try:
    import resource
except ImportError:
    resource = None  # type: ignore[assignment]  # Windows has none


def stop_at(step: int) -> Any:
    """Ctrl-C after a step, or a step that must not come."""

    def tick(done: int, total: int, loss: float | None) -> None:
        if done >= step:
            raise KeyboardInterrupt

    return tick


def quiet(done: int, total: int, loss: float | None) -> None: ...


def nothing(message: str) -> None: ...


def some_rows(count: int) -> TrainingRows:
    """Rows of unlike lengths whose first token says their class."""
    random = np.random.default_rng(0)
    wanted = random.integers(0, 3, count)
    lengths = random.integers(3, 12, count)
    rows = [
        (2, 10 + int(c), *random.integers(20, 60, n).tolist(), 3)
        for c, n in zip(wanted, lengths, strict=True)
    ]
    return TrainingRows(rows, wanted)


def run(
    model: Classifier,
    directory: Path,
    rows: TrainingRows,
    tick: Any = quiet,
    said: list[str] | None = None,
    **settings: Any,
) -> bool:
    recipe = make_recipe({"epochs": 2, "batch_size": 4, **settings})
    assert isinstance(recipe.epochs, int)
    assert isinstance(recipe.batch_size, int)
    torch.manual_seed(recipe.seed)
    model.train()
    return fit(
        model,
        rows,
        recipe,
        recipe.epochs,
        recipe.batch_size,
        pad_id=0,
        device=torch.device("cpu"),
        directory=directory,
        logs=None,
        tick=tick,
        say=said.append if said is not None else nothing,
    )


def log_of(directory: Path) -> list[dict[str, float]]:
    checkpoint = last_checkpoint(directory, nothing)
    assert checkpoint is not None
    history = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["log_history"]
    return [entry for entry in history if "learning_rate" in entry]


# The order of texts


def batches(lengths: Sequence[int], size: int, seed: int = 1, epoch: int = 0) -> list[list[int]]:
    order = LikeLengths(lengths, size, seed)
    order.set_epoch(epoch)
    indices = list(order)
    assert len(order) == len(lengths)
    return [indices[at : at + size] for at in range(0, len(indices), size)]


LENGTHS = np.random.default_rng(0).integers(3, 60, 203).tolist()


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 65, 203])
def test_an_epoch_has_every_text_once(count: int) -> None:
    assert sorted(chain(*batches(LENGTHS[:count], 8))) == list(range(count))


def test_the_same_seed_and_epoch_give_the_same_order_and_others_another() -> None:
    assert batches(LENGTHS, 8) == batches(LENGTHS, 8)
    assert batches(LENGTHS, 8, epoch=1) == batches(LENGTHS, 8, epoch=1)
    assert batches(LENGTHS, 8, epoch=1) != batches(LENGTHS, 8)
    assert batches(LENGTHS, 8, seed=2) != batches(LENGTHS, 8)


def test_texts_meet_other_texts_in_the_next_epoch() -> None:
    one, other = ({frozenset(b) for b in batches(LENGTHS, 8, epoch=e)} for e in (0, 1))
    assert len(one & other) <= 1


def test_batches_have_texts_of_like_lengths() -> None:
    """Padding would otherwise be most of the work."""

    def padded(groups: Sequence[Sequence[int]]) -> int:
        return sum(len(group) * max(LENGTHS[i] for i in group) for group in groups)

    order = np.random.default_rng(0).permutation(len(LENGTHS)).tolist()
    random = padded([order[at : at + 8] for at in range(0, len(order), 8)])
    real = sum(LENGTHS)
    assert padded(batches(LENGTHS, 8)) - real < 0.35 * (random - real)


def test_batches_do_not_come_in_the_order_of_their_lengths() -> None:
    longest = [max(LENGTHS[i] for i in batch) for batch in batches(LENGTHS, 8)]
    falls = sum(b < a for a, b in pairwise(longest))
    assert 0.25 < falls / (len(longest) - 1) < 0.75


# Training


def test_training_moves_the_adapter_and_the_head_and_no_tensor_of_the_base(
    make_classifier: MakeClassifier, tmp_path: Path
) -> None:
    model = make_classifier()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    run(model, tmp_path, some_rows(24), epochs=1)
    trained = set(model.trained_state())
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == (name not in trained), name


def test_the_loss_falls(make_classifier: MakeClassifier, tmp_path: Path) -> None:
    run(make_classifier(layers="all"), tmp_path, some_rows(60), epochs=6, learning_rate=5e-3)
    losses = [entry["loss"] for entry in log_of(tmp_path)]
    assert losses[-1] < 0.7 * losses[0]


def test_progress_counts_every_step(make_classifier: MakeClassifier, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    run(
        make_classifier(),
        tmp_path,
        some_rows(22),
        lambda done, total, _: seen.append((done, total)),
    )
    assert seen == [(step, 12) for step in range(1, 13)]


def test_the_learning_rate_rises_for_a_tenth_of_the_steps_and_falls_to_nothing(
    make_classifier: MakeClassifier, tmp_path: Path
) -> None:
    seed = make_recipe(preset="seed")
    run(make_classifier(), tmp_path, some_rows(80), **seed.model_dump())
    rates = {int(entry["step"]): entry["learning_rate"] for entry in log_of(tmp_path)}
    # 80 texts in batches of 8, five times: 50 steps, 5 of them warm-up. The rate is logged with
    # the step that it was used for.
    for step, rate in rates.items():
        assert rate == pytest.approx(1e-4 * (50 - (step - 1)) / 45, rel=1e-6)
    assert len(rates) == 5


def test_a_checkpoint_holds_what_is_trained_and_not_the_base(
    make_classifier: MakeClassifier, tmp_path: Path
) -> None:
    model = make_classifier()
    run(model, tmp_path, some_rows(24), epochs=1)
    checkpoint = last_checkpoint(tmp_path, nothing)
    assert checkpoint is not None
    saved = load_file(checkpoint / WEIGHTS)
    assert set(saved) == set(model.trained_state())
    assert not list(checkpoint.glob("*.bin"))


def test_no_more_than_two_checkpoints_are_kept(
    make_classifier: MakeClassifier, tmp_path: Path
) -> None:
    run(make_classifier(), tmp_path / "state", some_rows(8), epochs=4)
    assert {path.name for path in (tmp_path / "state").iterdir()} == {
        "checkpoint-6",
        "checkpoint-8",
    }


# Where


@pytest.fixture
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine on which torch says that there are three; the devices that are made current."""
    current: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: current.append(str(device)))
    monkeypatch.setattr("accelerate.state.check_cuda_p2p_ib_support", lambda: True)
    return current


@pytest.mark.parametrize(("named", "device"), [("cuda:1", "cuda:1"), ("cuda", "cuda:2")])
def test_a_training_takes_the_gpu_that_is_named_and_no_other(
    three_gpus: list[str], tmp_path: Path, named: str, device: str
) -> None:
    stock = TrainingArguments(str(tmp_path), per_device_train_batch_size=4)
    assert (str(stock.device), stock.n_gpu) == ("cuda:0", 3), "the trap that this is about"
    ours = arguments(make_recipe(), 1, 4, 8, torch.device(named), tmp_path, None)
    assert (str(ours.device), ours.n_gpu) == (device, 1)
    assert ours.parallel_mode == ParallelMode.NOT_PARALLEL
    assert ours.train_batch_size == 4
    assert three_gpus[-1] == device


def test_a_training_on_the_cpu_takes_no_gpu(three_gpus: list[str], tmp_path: Path) -> None:
    ours = arguments(make_recipe(), 1, 4, 8, torch.device("cpu"), tmp_path, None)
    assert (str(ours.device), ours.n_gpu) == ("cpu", 0)
    assert three_gpus == []


# Stopping and going on


@pytest.mark.parametrize("step", [3, 5, 8, 12])
def test_a_run_that_was_stopped_ends_with_the_weights_of_one_that_was_not(
    make_classifier: MakeClassifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    monkeypatch.setattr(trainer, "SAVE_EVERY", 3)  # in the middle of epochs of four steps
    rows = some_rows(16)
    whole, stopped, resumed = (make_classifier() for _ in range(3))
    assert not run(whole, tmp_path / "whole", rows, epochs=3)
    with pytest.raises(KeyboardInterrupt):
        run(stopped, tmp_path / "stopped", rows, stop_at(step), epochs=3)
    assert run(resumed, tmp_path / "stopped", rows, epochs=3) == (step > 3)
    for name, tensor in whole.trained_state().items():
        assert torch.equal(tensor, resumed.trained_state()[name]), name


def test_a_finished_run_is_not_trained_again(
    make_classifier: MakeClassifier, tmp_path: Path
) -> None:
    first, second = make_classifier(), make_classifier()
    run(first, tmp_path, some_rows(16))
    assert run(second, tmp_path, some_rows(16), stop_at(1))
    for name, tensor in first.trained_state().items():
        assert torch.equal(tensor, second.trained_state()[name]), name


def cut(name: str) -> Callable[[Path], Any]:
    """Keeps the first half of a checkpoint's file."""

    def change(checkpoint: Path) -> None:
        content = (checkpoint / name).read_bytes()
        (checkpoint / name).write_bytes(content[: len(content) // 2])

    return change


def flip(name: str) -> Callable[[Path], Any]:
    """Changes a byte in the middle of a checkpoint's file."""

    def change(checkpoint: Path) -> None:
        content = bytearray((checkpoint / name).read_bytes())
        content[len(content) // 2] ^= 1
        (checkpoint / name).write_bytes(content)

    return change


def lose(name: str) -> Callable[[Path], Any]:
    return lambda checkpoint: (checkpoint / name).unlink()


@pytest.mark.parametrize(
    "spoil",
    [
        cut(STATE),
        lose(STATE),
        cut(WEIGHTS),
        lose(WEIGHTS),
        cut("optimizer.pt"),
        flip("optimizer.pt"),
        lose("scheduler.pt"),
        cut("rng_state.pth"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_told_of_and_the_one_before_is_gone_on_from(
    make_classifier: MakeClassifier, tmp_path: Path, spoil: Callable[[Path], Any]
) -> None:
    rows = some_rows(16)
    whole, resumed = make_classifier(), make_classifier()
    run(whole, tmp_path / "whole", rows, epochs=3)
    with pytest.raises(KeyboardInterrupt):
        run(make_classifier(), tmp_path / "stopped", rows, stop_at(9), epochs=3)
    newest = tmp_path / "stopped" / "checkpoint-8"
    spoil(newest)
    (tmp_path / "stopped" / "checkpoint-12").mkdir()
    (tmp_path / "stopped" / "checkpoint-12" / WEIGHTS).write_bytes(b"half")
    said: list[str] = []
    steps: list[int] = []

    def seen(done: int, total: int, loss: float | None) -> None:
        steps.append(done)

    assert run(resumed, tmp_path / "stopped", rows, seen, said, epochs=3)
    assert steps[0] == 5, "it went on from the checkpoint before"
    assert [line.partition("(")[0] for line in said] == [
        "the checkpoint of step 12 is not whole ",
        "the checkpoint of step 8 is not whole ",
    ]
    for name, tensor in whole.trained_state().items():
        assert torch.equal(tensor, resumed.trained_state()[name]), name


def test_there_is_no_checkpoint_where_none_was_finished(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path / "nothing", nothing) is None
    (tmp_path / "checkpoint-2").mkdir()
    (tmp_path / "checkpoint-x").mkdir()
    said: list[str] = []
    assert last_checkpoint(tmp_path, said.append) is None
    assert said == [f"the checkpoint of step 2 is not whole ({STATE}): deleted"]
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-x"]


@pytest.mark.skipif(resource is None, reason="Windows limits no file's size")
@pytest.mark.parametrize("share", [0.5, 1.5], ids=["the weights", "the optimiser"])
def test_a_disk_that_is_full_ends_in_a_sentence(
    make_classifier: MakeClassifier, tmp_path: Path, share: float
) -> None:
    """The optimiser's state is twice the weights, and torch reports it in a way of its own."""
    assert resource is not None
    model = make_classifier()
    weights = sum(t.numel() * t.element_size() for t in model.trained_state().values())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * weights) + 8192, hard))
    try:
        with pytest.raises(TrainingError, match="checkpoints cannot be written to") as caught:
            run(model, tmp_path, some_rows(8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(tmp_path) in caught.value.message
    assert caught.value.hint is not None


# How long


@pytest.mark.parametrize(
    ("examples", "classes", "epochs"),
    [(1500, 15, 4), (150, 15, 11), (75, 15, 16), (74, 15, 40), (10, 10, 40), (100_000, 10, 3)],
)
def test_automatic_epochs_are_fewer_the_more_examples_a_class_has(
    examples: int, classes: int, epochs: int
) -> None:
    assert Recipe().epochs_for(examples, classes) == epochs
    assert Recipe(epochs=2).epochs_for(examples, classes) == 2


@pytest.mark.parametrize(("examples", "classes", "size"), [(2159, 15, 32), (2160, 15, 16)])
def test_automatic_batches_are_smaller_where_epochs_do_not_get_fewer_any_more(
    examples: int, classes: int, size: int
) -> None:
    assert Recipe().batch_for(examples, classes) == size
    assert Recipe(batch_size=4).batch_for(examples, classes) == 4
    assert Recipe().epochs_for(examples, classes) == Recipe().epochs_for(10 * examples, classes)
