"""LoRA that begins as a part of the base, or from the texts: what is published is plain LoRA."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from safetensors.numpy import load_file, save_file

from adapter_platform.core.bases import Base
from adapter_platform.core.engine.encoder import load_encoder, pad
from adapter_platform.core.engine.peft import PeftEngine
from adapter_platform.core.engine.protocol import Row
from adapter_platform.core.errors import RecipeError
from adapter_platform.core.hashes import sha256
from adapter_platform.core.registry import NullListener
from adapter_platform.core.training import starts
from adapter_platform.core.training.linear import fit_temperature
from adapter_platform.core.training.model import Classifier
from adapter_platform.core.training.prepare import prepare
from adapter_platform.core.training.run import plan, train
from adapter_platform.core.training.starts import Taken, begin
from adapter_platform.core.training.tuning import tune
from adapter_platform.core.training.workshop import Quiet, Workshop

from .conftest import TOPICS, MakeClassifier, MakeRequest, WriteTexts
from .outcomes import (
    TENSORS,
    Said,
    adapter_of,
    assert_same_adapter,
    config_of,
    plain_logits,
    platform_logits,
    tensors,
)

CPU = torch.device("cpu")
TAKING = ["pissa", "pissa_niter_2", "olora"]
STARTS = [*TAKING, "eva"]
QUESTIONS = ["my money was charged", "late parcel", "reset the password please"]
ROWS = [
    (2, *np.random.default_rng(i).integers(5, 60, 3 + i % 9).tolist(), 3)  # as many as of a text
    for i in range(48)
]
TOKENS = pad(ROWS[:8], 0, CPU)


def start_of(start: Any, **settings: Any) -> dict[str, Any]:
    return {"peft": {"init_lora_weights": start, **settings}}


def begun(model: PeftModel, rows: list[tuple[int, ...]] = ROWS, seed: int = 0) -> Taken | None:
    return begin(model, rows, pad_id=0, seed=seed, tick=lambda *_: None)


def moved(model: torch.nn.Module, by: float = 0.05) -> None:
    """Changes all that would be trained, as a training might."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(by * torch.randn(parameter.shape, generator=random))


@torch.no_grad()
def states(encoder: Any) -> torch.Tensor:
    found: torch.Tensor = encoder(input_ids=TOKENS[0], attention_mask=TOKENS[1]).last_hidden_state
    return found


def lora_layers(model: torch.nn.Module) -> dict[str, LoraLayer]:
    return {name: m for name, m in model.named_modules() if isinstance(m, LoraLayer)}


# What is published


KINDS: Mapping[str, dict[str, Any]] = {
    "plain": {},
    "rsLoRA": {"use_rslora": True},
    "patterns": {"rank_pattern": {"query": 3, "1.output.dense": 5}, "alpha_pattern": {"key": 3}},
    "biases": {"bias": "all"},
    "biases of its layers": {"bias": "lora_only"},
    "DoRA": {"use_dora": True},
    "rsLoRA with patterns": {
        "use_rslora": True,
        "rank_pattern": {"query": 3},
        "alpha_pattern": {"query": 7, "value": 2},
    },
    "DoRA with all of it": {
        "use_dora": True,
        "use_rslora": True,
        "bias": "all",
        "rank_pattern": {"dense": 3},
        "alpha_pattern": {"0.attention.self.key": 5},
    },
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("start", STARTS)
def test_it_gives_the_states_of_the_trained_model_on_a_base_that_nothing_was_taken_from(
    make_classifier: MakeClassifier, tiny: Base, tmp_path: Path, start: str, kind: str
) -> None:
    settings = {"r": 4, **KINDS[kind]}
    model = make_classifier(layers="all", **start_of(start, **settings)).encoder
    taken = begun(model)
    plain = states(load_encoder(tiny, CPU))
    torch.testing.assert_close(states(model), plain, atol=1e-5, rtol=0)
    moved(model)
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    if taken:
        taken.write_plain(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["init_lora_weights"] is True
    assert config["eva_config"] is None
    loaded = PeftModel.from_pretrained(load_encoder(tiny, CPU), tmp_path).eval()
    assert (states(loaded) - plain).abs().max() > 0.05, "training made a difference"
    # In float64, since how float32 products round differs from one CPU to another.
    torch.testing.assert_close(states(loaded.double()), states(model.double()), atol=1e-5, rtol=0)


@pytest.mark.parametrize("rslora", [False, True], ids=["LoRA", "rsLoRA"])
def test_ranks_are_twice_those_that_were_trained_and_the_scaling_is_theirs(
    make_classifier: MakeClassifier, tmp_path: Path, rslora: bool
) -> None:
    patterns = {"rank_pattern": {"query": 3}, "alpha_pattern": {"query": 7}}
    settings = {"r": 4, "lora_alpha": 6, "use_rslora": rslora, **patterns}
    model = make_classifier(**start_of("pissa", **settings)).encoder
    taken = begun(model)
    assert taken is not None
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    taken.write_plain(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["rank_pattern"]) == (8, {"query": 6})
    more = math.sqrt(2) if rslora else 2
    assert config["lora_alpha"] == pytest.approx(6 * more)
    assert config["alpha_pattern"] == {"query": pytest.approx(7 * more)}
    published = load_file(tmp_path / TENSORS)
    ranks = {len(t) for name, t in published.items() if "query.lora_A" in name}
    assert ranks == {6}


@pytest.mark.parametrize("layers", ["auto", "all"])
@pytest.mark.parametrize("pooling", ["mean", "pooler"])
@pytest.mark.parametrize("start", STARTS)
def test_both_engines_and_peft_alone_give_the_logits_that_were_judged(
    ask: MakeRequest,
    workshop: Workshop,
    write_texts: WriteTexts,
    tiny_base: Path,
    start: str,
    pooling: str,
    layers: str,
) -> None:
    data = {
        split: write_texts(dict.fromkeys(TOPICS, n), name=split, seed=n)
        for split, n in {"train": 16, "val": 12, "test": 4}.items()
    }
    recipe = {"pooling": pooling, "layers": layers, **start_of(start)}
    request = ask(data=data, request={"allow_worse": True}, **recipe)
    outcome = train(request, workshop, Quiet())
    logits = plain_logits(tiny_base, adapter_of(outcome, workshop), pooling, QUESTIONS)
    for engine in ("packed", "peft"):
        found = platform_logits(workshop, "support", QUESTIONS, engine)
        np.testing.assert_allclose(found, logits, atol=1e-4, err_msg=engine)
    # The temperature was fitted on logits of the model as it was trained.
    prepared = prepare(request, workshop)
    texts = [example.text for example in prepared.splits.val]
    scheme, wanted = prepared.scheme, prepared.wanted["val"]
    temperature = fit_temperature(scheme, platform_logits(workshop, "support", texts), wanted)
    assert temperature == pytest.approx(outcome.manifest.calibration.temperature, rel=1e-2)


@pytest.mark.parametrize("start", STARTS)
def test_the_recipe_says_what_was_asked_for_and_the_manifest_what_was_trained(
    ask: MakeRequest, workshop: Workshop, start: str
) -> None:
    said = Said()
    outcome = train(ask(pooling="mean", **start_of(start, r=4)), workshop, said)
    directory, config = adapter_of(outcome, workshop), config_of(outcome, workshop)
    recipe = json.loads((directory / "training_config.json").read_text(encoding="utf-8"))
    assert recipe["peft"] == {"init_lora_weights": start, "r": 4}
    assert config["init_lora_weights"] is True
    assert (config["r"], config["lora_alpha"]) == ((4, 16) if start == "eva" else (8, 32))
    published = load_file(directory / TENSORS)
    size = sum(t.size for t in published.values())
    if start != "eva":
        halves = [np.split(t, 2, axis="lora_B" in name) for name, t in published.items()]
        assert all(not np.allclose(abs(a), abs(b), atol=1e-5) for a, b in halves), "it was trained"
    trained = outcome.manifest.trainable_parameters
    assert size == (trained if start == "eva" else 2 * trained)
    assert any(f"trainable params: {trained:,d} " in line for line in said.lines)
    assert workshop.store.verify("support") == []


@pytest.mark.parametrize("start", STARTS)
def test_neither_the_base_nor_a_neighbour_notices(
    ask: MakeRequest, workshop: Workshop, tiny_base: Path, start: str
) -> None:
    train(ask(request={"name": "neighbour"}, pooling="mean"), workshop, Quiet())
    source = workshop.store.resolve("neighbour")
    base = workshop.bases.resolve(source.manifest.base.id)
    weights = {n: t.clone() for n, t in load_encoder(base, CPU).state_dict().items()}
    files = {path.name: sha256(path) for path in tiny_base.iterdir() if path.is_file()}
    engine = PeftEngine(base, CPU, NullListener(), 4, 1024, 1)
    try:
        before = engine.logits([Row(ROWS[0], source)])[0]
        train(ask(pooling="mean", **start_of(start)), workshop, Quiet())
        other = workshop.store.resolve("support")
        both = engine.logits([Row(ROWS[1], other), Row(ROWS[0], source)])
        after = engine.logits([Row(ROWS[0], source)])[0]
    finally:
        engine.close()
    np.testing.assert_allclose(both[1], before, atol=1e-6)
    assert np.array_equal(after, before)
    assert {path.name: sha256(path) for path in tiny_base.iterdir() if path.is_file()} == files
    now = load_encoder(base, CPU).state_dict()
    assert all(torch.equal(now[name], tensor) for name, tensor in weights.items())


# Stopped trainings, plans and searches


@pytest.mark.parametrize("start", STARTS)
def test_a_stopped_training_ends_as_one_that_was_not_stopped(
    ask: MakeRequest, workshop: Workshop, start: str
) -> None:
    request = ask(epochs=3, pooling="mean", **start_of(start))
    whole = train(request, workshop, Quiet())
    stopped = replace(request, name="other")
    with pytest.raises(KeyboardInterrupt):
        train(stopped, workshop, Said(stop_at=8))
    resumed = train(stopped, workshop, Quiet())
    assert resumed.resumed
    assert config_of(resumed, workshop) == config_of(whole, workshop)
    assert_same_adapter(tensors(whole, workshop), tensors(resumed, workshop))


def test_a_checkpoint_brings_its_own_start_where_this_machine_finds_another(
    make_classifier: MakeClassifier,
) -> None:
    """Its matrices mean nothing beside a base that something else was taken from."""
    recipe = start_of("pissa_niter_1", r=4, use_rslora=True)
    first, second = (make_classifier(layers="all", **recipe) for _ in range(2))
    other = make_classifier(layers="all", **start_of("olora", r=4, use_rslora=True))
    begins = begun(first.encoder), begun(other.encoder)
    same = begun(second.encoder)
    assert begins[0]
    assert begins[1]
    assert same
    moved(first)
    for model, taken in ((second, same), (other, begins[1])):
        residual = residuals(model)
        taken.restore(begins[0].state())
        for name, tensor in first.trained_state().items():
            model.trained_state()[name].copy_(tensor)
        torch.testing.assert_close(states(model.encoder), states(first.encoder), atol=1e-5, rtol=0)
        unchanged = all(torch.equal(a, b) for a, b in zip(residual, residuals(model), strict=True))
        assert unchanged == (model is second)
        assert all(torch.equal(taken.state()[n], t) for n, t in begins[0].state().items())


def residuals(model: Classifier) -> list[torch.Tensor]:
    layers = lora_layers(model).values()
    return [layer.get_base_layer().weight.detach().clone() for layer in layers]


def test_a_checkpoint_of_other_ranks_than_eva_gives_now_is_dropped_and_that_is_said(
    ask: MakeRequest, workshop: Workshop
) -> None:
    request = ask(epochs=3, pooling="mean", **start_of("eva"))
    whole = train(request, workshop, Quiet())
    stopped = replace(request, name="other")
    with pytest.raises(KeyboardInterrupt):
        train(stopped, workshop, Said(stop_at=8))
    (path,) = (workshop.cache / "training").glob("*/checkpoint-*/model.safetensors")
    wider = {n: np.concatenate([t, t]) for n, t in load_file(path).items()}
    save_file(wider, path)
    said = Said()
    again = train(stopped, workshop, said)
    assert not again.resumed
    assert said.steps[0][0] == 1
    assert any("are of other ranks than EVA gives on this machine" in line for line in said.lines)
    assert_same_adapter(tensors(whole, workshop), tensors(again, workshop))


@pytest.mark.parametrize("start", STARTS)
def test_a_plan_counts_the_parameters_that_will_be_trained(
    ask: MakeRequest, workshop: Workshop, start: str
) -> None:
    request, said = ask(pooling="mean", **start_of(start)), Said()
    planned = plan(request, workshop)
    train(request, workshop, said)
    assert planned.trainable in said.lines


def test_a_search_may_choose_among_starts(
    ask: MakeRequest, workshop: Workshop, tmp_path: Path
) -> None:
    path = tmp_path / "space.toml"
    choices = json.dumps([*STARTS, True])
    path.write_text(f"[peft.init_lora_weights]\nchoices = {choices}\n", encoding="utf-8")
    search = tune(ask(), workshop, Quiet(), trials=4, space=path)
    tried = [trial.settings["peft.init_lora_weights"] for trial in search.trials]
    assert len(set(tried)) > 1
    assert set(tried) & set(STARTS)
    assert all(trial.score is not None for trial in search.trials)
    outcome = train(replace(ask(), recipe=search.recipe), workshop, Quiet())
    assert config_of(outcome, workshop)["init_lora_weights"] is True


# EVA


def test_eva_begins_along_what_the_layers_read_of_the_texts_without_padding(
    make_classifier: MakeClassifier, tiny: Base
) -> None:
    model = make_classifier(layers="all", **start_of("eva", r=2)).encoder
    read: list[torch.Tensor] = []
    encoder = load_encoder(tiny, CPU)
    encoder.encoder.layer[1].attention.self.query.register_forward_hook(
        lambda _, inputs, __: read.append(inputs[0])
    )
    ids, mask = pad(ROWS, 0, CPU)
    with torch.no_grad():
        encoder(input_ids=ids, attention_mask=mask)
    seen = read[0][mask.bool()]
    begun(model)
    own = lora_layers(model)["base_model.model.encoder.layer.1.attention.self.query"]
    first = own.lora_A["default"].weight[0].detach()
    principal = torch.linalg.svd(seen - seen.mean(0)).Vh[0]
    assert abs(torch.dot(first, principal)) > 0.999
    padded = torch.linalg.svd(read[0].flatten(0, 1) - read[0].flatten(0, 1).mean(0)).Vh[0]
    assert abs(torch.dot(first, padded)) < 0.99, "with padding it would be another"


def test_eva_gives_ranks_to_where_they_explain_most_and_as_many_as_were_asked_for(
    make_classifier: MakeClassifier,
) -> None:
    plain = lora_layers(make_classifier(layers="all", **start_of(True, r=4)).encoder)
    model = make_classifier(layers="all", **start_of("eva", r=4)).encoder
    begun(model)
    ranks = {name: layer.r["default"] for name, layer in lora_layers(model).items()}
    assert sum(ranks.values()) == 4 * len(plain)
    assert len(set(ranks.values())) > 1
    config = model.active_peft_config
    for name, rank in ranks.items():
        site = name.removeprefix("base_model.model.")
        assert config.rank_pattern.get(site, 4) == rank
        assert config.alpha_pattern.get(site, 16) == pytest.approx(16 * rank / 4)


@pytest.mark.parametrize("bias", ["none", "lora_only", "all"])
def test_eva_may_leave_a_layer_out_and_what_is_published_knows_it(
    make_classifier: MakeClassifier, tiny: Base, tmp_path: Path, bias: str
) -> None:
    recipe = start_of("eva", r=1, bias=bias, eva_config={"rho": 4.0})
    model = make_classifier(layers="all", **recipe).encoder
    every = set(lora_layers(model))
    plain = load_encoder(tiny, CPU)
    for encoder in (model.get_base_model(), plain):
        wide: Any = encoder.encoder.layer[0].output.LayerNorm  # what layer 1 reads are two numbers
        with torch.no_grad():
            wide.weight.copy_(torch.tensor([9.0, 9.0] + [0.1] * 30))
    begun(model)
    left = set(lora_layers(model))
    assert left < every
    moved(model)
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    loaded = PeftModel.from_pretrained(plain, tmp_path).eval()
    assert set(lora_layers(loaded)) == left
    torch.testing.assert_close(states(loaded), states(model), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "value"), [("rho", 1.0), ("whiten", True), ("adjust_scaling_factors", False)]
)
def test_settings_of_eva_change_where_it_starts(
    make_classifier: MakeClassifier, name: str, value: Any
) -> None:
    usual = make_classifier(layers="all", **start_of("eva", r=4)).encoder
    begun(usual)
    recipe = start_of("eva", r=4, eva_config={name: value})
    model = make_classifier(layers="all", **recipe).encoder
    begun(model)
    layers, others = lora_layers(model), lora_layers(usual)
    ranks = {site: layer.r["default"] for site, layer in layers.items()}
    if name == "rho":
        assert set(ranks.values()) == {4}, "no rank goes elsewhere"
        return
    assert ranks == {site: layer.r["default"] for site, layer in others.items()}
    if name == "whiten":
        first = next(iter(layers))
        norms = [
            found[first].lora_A["default"].weight[0].norm().item() for found in (layers, others)
        ]
        assert norms[1] == pytest.approx(1, abs=1e-4)
        assert norms[0] != pytest.approx(1, abs=1e-2)
    else:
        assert {layer.lora_alpha["default"] for layer in layers.values()} == {16}


def test_eva_begins_the_same_for_the_same_seed_and_otherwise_for_another(
    make_classifier: MakeClassifier,
) -> None:
    found = []
    for seed in (0, 0, 1):
        model = make_classifier(**start_of("eva", r=4))
        begun(model.encoder, ROWS * 2, seed)
        found.append({n: t.clone() for n, t in model.trained_state().items()})
    assert all(torch.equal(tensor, found[1][name]) for name, tensor in found[0].items())
    assert any(
        found[2][name].shape != tensor.shape or not torch.equal(found[2][name], tensor)
        for name, tensor in found[0].items()
    )


@pytest.mark.parametrize(
    ("settings", "texts", "says"),
    [
        ({"r": 20}, 48, "reads 32 numbers, too few for the rank of 40 that EVA may give it"),
        ({"r": 8}, 2, "the training texts are too few for EVA: "),
        ({"eva_config": {"tau": 1.0}}, 48, "does not settle"),
    ],
    ids=str,
)
def test_eva_says_what_is_too_few_or_does_not_end(
    make_classifier: MakeClassifier,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    texts: int,
    says: str,
) -> None:
    monkeypatch.setattr(starts, "LOOKS", 20)
    model = make_classifier(**start_of("eva", **settings)).encoder
    with pytest.raises(RecipeError, match=says) as error:
        begun(model, ROWS[:texts])
    assert error.value.hint is not None


def test_eva_takes_a_pooler_that_reads_one_state_a_text(make_classifier: MakeClassifier) -> None:
    model = make_classifier(pooling="pooler", **start_of("eva", r=4)).encoder
    begun(model)
    assert any(name.endswith("pooler.dense") for name in lora_layers(model))
    model = make_classifier(pooling="pooler", **start_of("eva", r=4)).encoder
    with pytest.raises(RecipeError, match=r"pooler\.dense reads 7 states"):
        begun(model, ROWS[:7])


# What cannot be


@pytest.mark.parametrize("start", TAKING)
def test_a_rank_that_no_part_of_the_base_has_is_refused(
    make_classifier: MakeClassifier, start: str
) -> None:
    model = make_classifier(**start_of(start, r=33)).encoder
    with pytest.raises(RecipeError, match="has no part of rank 33 to begin from, it has 32"):
        begun(model)


@pytest.mark.parametrize("start", STARTS)
def test_embeddings_are_no_place_for_these_starts(
    make_classifier: MakeClassifier, start: str
) -> None:
    targets = ["query", "word_embeddings"]
    model = make_classifier(layers="all", **start_of(start, target_modules=targets)).encoder
    with pytest.raises(RecipeError, match=r"is for linear layers, and .*word_embeddings is none"):
        begun(model)


@pytest.mark.parametrize("start", [True, "gaussian", "orthogonal"])
def test_other_starts_are_left_as_they_are(make_classifier: MakeClassifier, start: Any) -> None:
    model = make_classifier(**start_of(start)).encoder
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert begun(model) is None
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert model.active_peft_config.init_lora_weights == start
