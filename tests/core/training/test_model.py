"""The network that is trained: its losses, where PEFT puts the adapter, and what is refused."""

from __future__ import annotations

import dataclasses
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from torch.nn import functional

from adapter_platform.core.bases import Base, Bases
from adapter_platform.core.engine.encoder import load_encoder, pad
from adapter_platform.core.engine.peft_groups import IMPOSSIBLE
from adapter_platform.core.errors import RecipeError
from adapter_platform.core.registry import Registry
from adapter_platform.core.store.manifest import BaseRecord
from adapter_platform.core.training.model import (
    peft_config,
    set_dropout,
    supervised_contrastive,
    wrap,
)
from adapter_platform.core.training.peft_settings import check_values
from adapter_platform.core.training.recipe import make_recipe

from .conftest import MakeClassifier

CPU = torch.device("cpu")
TOKENS = pad([(2, 10, 11, 3), (2, 12, 3), (2, 13, 14, 15, 3), (2, 16, 3)], 0, CPU)
CLASSES = torch.tensor([0, 1, 0, 2])


# The losses


def slow_contrastive(states: torch.Tensor, labels: list[int], temperature: float) -> float:
    """L_out of Khosla et al. 2020, equation 2, term by term; anchors without positives left out."""
    mean = [sum(column) / len(states) for column in states.T.tolist()]
    units = []
    for row in states.tolist():
        centred = [x - m for x, m in zip(row, mean, strict=True)]
        norm = math.sqrt(sum(x * x for x in centred))
        units.append([x / norm for x in centred])
    losses = []
    for i, anchor in enumerate(units):
        others = [a for a in range(len(units)) if a != i]
        near = {
            a: math.exp(sum(x * y for x, y in zip(anchor, units[a], strict=True)) / temperature)
            for a in others
        }
        positives = [p for p in others if labels[p] == labels[i]]
        if positives:
            terms = [math.log(near[p] / sum(near.values())) for p in positives]
            losses.append(-sum(terms) / len(positives))
    return sum(losses) / len(losses)


@pytest.mark.parametrize(
    "labels",
    [[0, 0, 1, 1, 2, 2, 2], [0, 1, 0, 2, 3, 4, 5], [0] * 7],
    ids=["pairs and more", "most alone", "all one"],
)
@pytest.mark.parametrize("temperature", [0.1, 0.7])
def test_the_contrastive_loss_is_that_of_the_paper(labels: list[int], temperature: float) -> None:
    states = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)) + 3
    found = supervised_contrastive(states, torch.tensor(labels), temperature)
    assert found.item() == pytest.approx(slow_contrastive(states, labels, temperature), rel=1e-4)


@pytest.mark.parametrize("labels", [[0], [0, 1, 2]], ids=["one text", "all alone"])
def test_texts_that_are_alone_with_their_label_cost_nothing(labels: list[int]) -> None:
    states = torch.randn(len(labels), 5, requires_grad=True)
    loss = supervised_contrastive(states, torch.tensor(labels), 0.1)
    loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    assert loss.item() == 0
    assert states.grad is not None
    assert (states.grad == 0).all()


def test_equal_texts_give_a_finite_loss_and_gradient() -> None:
    states = torch.ones(4, 5, requires_grad=True)
    loss = supervised_contrastive(states, torch.tensor([0, 0, 1, 1]), 0.1)
    loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    assert torch.isfinite(loss)
    assert states.grad is not None
    assert torch.isfinite(states.grad).all()


def test_the_loss_is_cross_entropy_with_the_classes_weights(
    make_classifier: MakeClassifier,
) -> None:
    weights = torch.tensor([1.0, 5.0, 2.0])
    model = make_classifier(loss={"class_weights": weights}).eval()
    out = model(*TOKENS, CLASSES)
    expected = functional.cross_entropy(out["logits"], CLASSES, weight=weights)
    assert out["loss"].item() == pytest.approx(expected.item())
    assert out["logits"].shape == (4, 3)


def test_the_contrastive_share_is_mixed_in(make_classifier: MakeClassifier) -> None:
    model = make_classifier(loss={"contrastive": 0.3, "temperature": 0.2}).eval()
    out = model(*TOKENS, CLASSES)
    hidden = model.encoder(input_ids=TOKENS[0], attention_mask=TOKENS[1]).last_hidden_state
    weights = TOKENS[1].unsqueeze(-1)
    states = (hidden * weights).sum(1) / weights.sum(1)
    entropy = functional.cross_entropy(out["logits"], CLASSES)
    term = supervised_contrastive(states, CLASSES, 0.2)
    assert out["loss"].item() == pytest.approx((0.7 * entropy + 0.3 * term).item(), rel=1e-5)


def test_the_multi_label_loss_is_binary_cross_entropy_a_label(
    make_classifier: MakeClassifier,
) -> None:
    wanted = torch.tensor([[1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 0, 1]])
    weights = torch.tensor([1.0, 3.0, 3.0])
    model = make_classifier(loss={"multi": True, "class_weights": weights}).eval()
    out = model(*TOKENS, wanted)
    expected = functional.binary_cross_entropy_with_logits(
        out["logits"], wanted.float(), pos_weight=weights
    )
    assert out["loss"].item() == pytest.approx(expected.item())


def test_label_smoothing_moves_the_targets_of_every_kind_of_scheme(
    make_classifier: MakeClassifier,
) -> None:
    smoothing = {"label_smoothing": 0.2}
    out = make_classifier(loss=smoothing).eval()(*TOKENS, CLASSES)
    expected = functional.cross_entropy(out["logits"], CLASSES, label_smoothing=0.2)
    assert out["loss"].item() == pytest.approx(expected.item())
    wanted = torch.tensor([[1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 0, 1]])
    out = make_classifier(loss={"multi": True} | smoothing).eval()(*TOKENS, wanted)
    smoothed = torch.where(wanted == 1, 0.9, 0.1)
    expected = functional.binary_cross_entropy_with_logits(out["logits"], smoothed)
    assert out["loss"].item() == pytest.approx(expected.item())


def test_what_is_trained_is_the_adapter_and_the_head_alone(
    make_classifier: MakeClassifier,
) -> None:
    names = set(make_classifier().trained_state())
    assert {"head.weight", "head.bias"} <= names
    assert all("lora_" in name for name in names - {"head.weight", "head.bias"})


def test_dropout_inside_the_base_can_be_set_or_left(make_classifier: MakeClassifier) -> None:
    def inside(model: Any) -> set[float]:
        found = model.encoder.get_base_model().named_modules()
        kinds = [(n, m) for n, m in found if isinstance(m, torch.nn.Dropout) and "lora" not in n]
        return {m.p for _, m in kinds}

    model = make_classifier()
    assert inside(model) == {0.1}
    set_dropout(model.encoder.get_base_model(), None)
    assert inside(model) == {0.1}
    set_dropout(model.encoder.get_base_model(), 0.0)
    assert inside(model) == {0.0}


# Where PEFT puts the adapter


def sites(model: Any) -> set[str]:
    """The modules that carry LoRA, as the base names them."""
    return {
        name.removeprefix("base_model.model.").removesuffix(".lora_A.default")
        for name, _ in model.named_modules()
        if name.endswith(".lora_A.default")
    }


def encoder_sites(layers: int) -> set[str]:
    parts = [f"attention.self.{name}" for name in ("query", "key", "value")]
    parts += ["attention.output.dense", "intermediate.dense", "output.dense"]
    return {f"encoder.layer.{i}.{part}" for i in range(layers) for part in parts}


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_heads_that_read_no_pooler_have_no_adapter_on_it(
    make_classifier: MakeClassifier, pooling: str
) -> None:
    assert sites(make_classifier(pooling=pooling, layers="all").encoder) == encoder_sites(2)


@pytest.mark.parametrize("layers", [1, "all"])
def test_a_head_that_reads_the_pooler_has_an_adapter_on_it(
    make_classifier: MakeClassifier, layers: Any
) -> None:
    model = make_classifier(pooling="pooler", layers=layers).encoder
    last = {name for name in encoder_sites(2) if layers == "all" or "layer.1" in name}
    assert sites(model) == last | {"pooler.dense"}


@pytest.mark.parametrize("method", ["IA3", "LOHA", "VERA", "OFT", "HRA", "ROAD"])
def test_no_method_touches_a_pooler_that_the_head_does_not_read(
    make_classifier: MakeClassifier, method: str
) -> None:
    settings = {"group_size": 16} if method == "ROAD" else {}
    model = make_classifier(peft_method=method, peft=settings)
    trained = set(model.trained_state()) - {"head.weight", "head.bias"}
    assert trained
    assert not [name for name in trained if "pooler" in name]


EXCLUDED = encoder_sites(2) - {"encoder.layer.0.output.dense"}


@pytest.mark.parametrize(
    "excluded",
    [["layer.0.output.dense"], r".*layer\.0\.output\.dense"],
    ids=["names", "expression"],
)
def test_what_a_recipe_excludes_comes_on_top_of_the_pooler(
    make_classifier: MakeClassifier, excluded: Any
) -> None:
    recipe = {"layers": "all", "peft": {"exclude_modules": excluded}}
    assert sites(make_classifier(**recipe).encoder) == EXCLUDED
    reading = make_classifier(**recipe, pooling="pooler").encoder
    assert sites(reading) == EXCLUDED | {"pooler.dense"}


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["dense"]},
        {"target_modules": r".*\.dense"},
        {"target_modules": r"pooler\.dense|.*\.output\.dense"},
        {"target_modules": ["dense"], "layers_to_transform": [0]},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["LORA", "VERA"])
def test_no_way_of_naming_targets_reaches_the_pooler(
    make_classifier: MakeClassifier, method: str, settings: dict[str, Any]
) -> None:
    model = make_classifier(peft_method=method, peft=settings)
    trained = set(model.trained_state()) - {"head.weight", "head.bias"}
    assert trained
    assert not [name for name in trained if "pooler" in name]
    if "layers_to_transform" in settings:
        assert not [name for name in trained if "layer.1" in name]


def test_all_linear_layers_are_those_of_the_encoder_or_refused(
    make_classifier: MakeClassifier,
) -> None:
    everything = {"target_modules": "all-linear"}
    assert sites(make_classifier(peft=everything).encoder) == encoder_sites(2)
    error = refusal(peft_method="VERA", peft=everything)
    assert "pooler" in error.message
    assert error.hint is not None


@pytest.mark.filterwarnings("ignore:Unsupported layer type:UserWarning")  # PEFT's, of its own
def test_layer_norm_tuning_tunes_layer_norms(make_classifier: MakeClassifier) -> None:
    trained = set(make_classifier(peft_method="LN_TUNING").trained_state())
    assert all("LayerNorm" in name for name in trained - {"head.weight", "head.bias"})


@pytest.mark.parametrize("pooler", [True, False], ids=["pooler", "no pooler"])
def test_wrapping_warns_of_nothing(
    tiny_base: Path, tiny_base_without_pooler: Path, tmp_path: Path, pooler: bool
) -> None:
    directory = str(tiny_base if pooler else tiny_base_without_pooler)
    base = Bases(Registry(), tmp_path).resolve(directory)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrap(load_encoder(base, CPU), peft_config(make_recipe(), "mean", base.record(), 100))


# What is refused


def refusal(pooling: Any = "mean", **settings: Any) -> RecipeError:
    with pytest.raises(RecipeError) as error:
        peft_config(make_recipe(settings), pooling, BaseRecord("tiny", "", 32, 2), 100)
    return error.value


def test_an_unknown_method_or_setting_suggests_the_nearest() -> None:
    error = refusal(peft_method="LORAA")
    assert error.message == "there is no PEFT method named 'LORAA'"
    assert error.hint == "did you mean 'LORA'?"
    error = refusal(peft={"lora_alfa": 3})
    assert error.message == "there is no setting of LORA named 'lora_alfa'"
    assert error.hint == "did you mean 'lora_alpha'?"


@pytest.mark.parametrize("name", ["method", "peft_method"])
def test_the_method_among_its_own_settings_is_told_where_it_belongs(name: str) -> None:
    error = refusal(peft={name: "IA3"})
    assert error.message == f"there is no setting of LORA named {name!r}"
    assert error.hint == "the method is set by peft_method: --set peft_method=IA3"


def test_an_unknown_method_near_to_none_is_offered_usual_ones_that_can_be() -> None:
    hint = refusal(peft_method="FOO").hint
    assert hint is not None
    usual = hint.removeprefix("usual ones are: ").split(", ")
    assert usual[:2] == ["LORA", "DORA"]
    for method in usual:
        recipe = make_recipe({"peft_method": method})
        peft_config(recipe, "mean", BaseRecord("tiny", "", 32, 2), 100)


@pytest.mark.parametrize("method", ["CPTS", "CARTRIDGES", "ADAPTION_PROMPTS"])
def test_a_method_that_cannot_be_is_not_offered(method: str) -> None:
    hint = refusal(peft_method=method).hint
    assert hint is not None
    assert not any(f"'{impossible}'" in hint for impossible in IMPOSSIBLE)


@pytest.mark.parametrize(
    ("start", "needs"),
    [
        ("loftq", "needs a base whose weights were quantised, which training does not have"),
        ("corda", "needs covariances of what each layer reads, measured beforehand"),
        ("lora_ga", "needs gradients of the base, measured beforehand"),
    ],
)
def test_a_start_that_needs_what_training_has_not_is_refused_with_what_that_is(
    start: str, needs: str
) -> None:
    error = refusal(peft={"init_lora_weights": start})
    assert error.message.startswith(f"init_lora_weights = {start!r} {needs}")
    assert error.hint is not None


@pytest.mark.parametrize(
    "start", ["PiSSA_niter_4", "pissa_niter_", "pissa_niter_-1", "OLoRA", "mica", "nonsense", 3, []]
)
def test_a_start_that_training_does_not_know_is_refused(start: Any) -> None:
    error = refusal(peft={"init_lora_weights": start})
    assert error.message == f"init_lora_weights = {start!r} is no start that training knows"
    assert error.hint is not None


@pytest.mark.parametrize("start", ["pissa", "olora", "eva"])
@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ({"peft_method": "ADALORA"}, "is a start of LORA, not of ADALORA"),
        ({"peft": {"lora_bias": True}}, "does not go with peft.lora_bias"),
        ({"peft": {"target_parameters": ["weight"]}}, "does not go with peft.target_parameters"),
        ({"peft": {"kasa_config": {}, "use_qalora": True}}, "does not go with peft.use_qalora"),
    ],
    ids=str,
)
def test_a_start_does_not_go_with_what_would_make_of_it_something_else(
    start: str, recipe: dict[str, Any], says: str
) -> None:
    peft = {"init_lora_weights": start, **recipe.get("peft", {})}
    assert refusal(**{**recipe, "peft": peft}).message == f"init_lora_weights = {start!r} {says}"


@pytest.mark.parametrize(
    ("peft", "says"),
    [
        ({"eva_config": {"rho": 2}}, "peft.eva_config belongs to the start 'eva'"),
        (
            {"init_lora_weights": "pissa", "eva_config": {}},
            "peft.eva_config belongs to the start 'eva'",
        ),
        (
            {"init_lora_weights": "eva", "eva_config": {"row": 2}},
            "there is no setting of peft.eva_config named 'row'",
        ),
        (
            {"init_lora_weights": "eva", "eva_config": {"use_label_mask": False}},
            "there is no setting of peft.eva_config named 'use_label_mask'",
        ),
        ({"init_lora_weights": "eva", "eva_config": {"rho": 0.5}}, "`rho` must be >= 1.0"),
        ({"init_lora_weights": "eva", "eva_config": {"tau": "much"}}, "PEFT refuses"),
        ({"init_lora_weights": "eva", "eva_config": 2}, "'peft.eva_config' cannot be 2"),
    ],
    ids=str,
)
def test_settings_of_eva_that_cannot_be_end_in_a_sentence(peft: dict[str, Any], says: str) -> None:
    assert says in refusal(peft=peft).message


@pytest.mark.parametrize(
    ("start", "own", "dropout"),
    [
        ("pissa", {}, 0.0),
        ("pissa_niter_4", {}, 0.0),
        ("olora", {}, 0.0),
        ("olora", {"lora_dropout": 0.2}, 0.2),
        ("eva", {}, 0.1),
        (True, {}, 0.1),
    ],
)
def test_what_is_the_bases_own_is_not_dropped_unless_that_is_said(
    start: Any, own: dict[str, Any], dropout: float
) -> None:
    recipe = make_recipe({"peft": {"init_lora_weights": start, **own}})
    config: Any = peft_config(recipe, "mean", BaseRecord("tiny", "", 32, 2), 100)
    assert config.lora_dropout == dropout


@pytest.mark.parametrize("start", ["pissa", "eva"])
@pytest.mark.parametrize("rslora", [False, True])
def test_a_start_warns_of_nothing(tiny: Base, start: str, rslora: bool) -> None:
    """PEFT would, of what is not so here."""
    peft = {"init_lora_weights": start, "use_rslora": rslora, "rank_pattern": {"query": 4}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = peft_config(make_recipe({"peft": peft}), "mean", tiny.record(), 100)
        wrap(load_encoder(tiny, CPU), config)


def test_copies_of_the_bases_layers_are_refused() -> None:
    assert "modules_to_save" in refusal(peft={"modules_to_save": ["pooler"]}).message


@pytest.mark.parametrize("method", ["POLY", "XLORA", "CPT", "SHADOW"])
def test_a_method_that_needs_more_than_a_text_is_refused(method: str) -> None:
    assert refusal(peft_method=method).message.startswith(f"{method} cannot train a classifier")


@pytest.mark.parametrize("name", ["task_type", "inference_mode", "peft_type"])
def test_what_the_platform_itself_decides_is_no_setting(name: str) -> None:
    assert repr(name) in refusal(peft={name: "SEQ_CLS"}).message


@pytest.mark.parametrize(
    "settings",
    [
        {"peft_method": "VBLORA"},
        {"peft_method": "PREFIX_TUNING", "peft": {"num_virtual_tokens": 200}},
        {"peft_method": "TRAINABLE_TOKENS", "peft": {"token_indices": [100_000]}},
    ],
    ids=str,
)
def test_settings_that_peft_cannot_use_end_in_a_sentence(
    make_classifier: MakeClassifier, settings: dict[str, Any]
) -> None:
    with pytest.raises(RecipeError, match="PEFT") as error:
        make_classifier(**settings)
    assert "PeftType" not in error.value.message


@pytest.mark.parametrize(
    ("method", "setting", "value", "may_be"),
    [
        ("LORA", "r", 0, "a whole number from 1 on; left out, it is 8"),
        ("LORA", "r", "many", "a whole number from 1 on"),
        ("LORA", "r", True, "a whole number from 1 on"),
        ("DORA", "r", 2.5, "a whole number from 1 on"),
        ("LORA", "lora_alpha", 0, "a number above 0; left out, it is 16"),
        ("LORA", "lora_dropout", 2, "a number from 0 to below 1; left out, it is 0.1"),
        ("LOHA", "rank_dropout", -0.1, "a number from 0 to below 1"),
        ("LORA", "target_modules", 5, "a list of names of modules, or a text"),
        ("LORA", "target_modules", [], "a list of names of modules, or a text"),
        ("IA3", "feedforward_modules", [5], "a list of names of modules, or a text"),
        ("LORA", "layers_to_transform", [2], "whole numbers from 0 to 1"),
        ("LORA", "bias", "some", "'none', 'all' or 'lora_only'; left out, it is 'none'"),
        ("LORA", "use_rslora", "yes", "true or false; left out, it is false"),
        ("LORA", "rank_pattern", {"query": "x"}, "a table of whole numbers from 1 on"),
        ("LORA", "alpha_pattern", {"query": -1}, "a table of numbers above 0"),
        ("ADALORA", "target_r", -1, "a whole number from 1 on; left out, it is 8"),
        ("LOKR", "decompose_factor", "x", "a whole number; left out, it is -1"),
        ("TRAINABLE_TOKENS", "token_indices", "x", "a list of whole numbers"),
    ],
)
def test_a_value_that_a_peft_setting_cannot_have_is_told_by_what_it_may_be(
    method: str, setting: str, value: Any, may_be: str
) -> None:
    error = refusal(peft_method=method, peft={setting: value})
    assert error.message.startswith(f"the recipe setting 'peft.{setting}' cannot be ")
    assert error.hint is not None
    assert error.hint.startswith("it may be ")
    assert may_be in error.hint


@pytest.mark.parametrize(
    ("targets", "says", "hint"),
    [
        (["nothing"], "no module that is named 'nothing'", "query, key, value, dense"),
        (["query", "valeu"], "no module that is named 'valeu'", "query, key, value, dense"),
        ("query", "the pattern 'query'", """'peft.target_modules=["query"]'"""),
        ("(", "the pattern '('", "query, key, value, dense"),
    ],
    ids=str,
)
def test_targets_that_the_base_has_not_are_told_with_those_that_it_has(
    make_classifier: MakeClassifier, targets: Any, says: str, hint: str
) -> None:
    with pytest.raises(RecipeError) as error:
        make_classifier(peft={"target_modules": targets})
    assert says in error.value.message
    assert error.value.hint is not None
    assert hint in error.value.hint


def test_every_default_of_every_method_is_a_value_that_it_may_have() -> None:
    for kind in PEFT_TYPE_TO_CONFIG_MAPPING.values():
        fields = {field.name: field.default for field in dataclasses.fields(kind)}
        known = {name: usual for name, usual in fields.items() if usual != dataclasses.MISSING}
        check_values("ANY", kind, known, 12)
