"""The network that is trained: a PEFT model of the encoder, a head, and the loss over both."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from peft import PeftConfig, PeftModel, PeftType, TaskType, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.utils import INCLUDE_LINEAR_LAYERS_SHORTHAND
from torch.nn import functional

from ..engine.encoder import pooled
from ..engine.peft_groups import IMPOSSIBLE, PROMPTS
from ..errors import RecipeError, unknown
from ..heads import Pooling
from ..store.manifest import BaseRecord
from . import adalora
from .allowed import listed
from .peft_settings import check_values
from .recipe import SEED_PEFT, Recipe
from .starts import EVA, check_start

POOLER = "pooler.dense"
OURS = frozenset({"task_type", "peft_type", "base_model_name_or_path", "inference_mode"})
VIRTUAL_TOKENS = 16
TARGETS: Mapping[str, list[str]] = {
    "LN_TUNING": ["LayerNorm"],
    "TRAINABLE_TOKENS": ["word_embeddings"],
}
"""Modules that a method is for, where they are not the seed's."""
USUAL = ("LORA", "DORA", "IA3", "ADALORA", "LOHA", "LOKR", "OFT", "VERA", "PREFIX_TUNING")
"""Methods to offer to whoever names none that there is."""
METHOD_NAMES = frozenset({"method", "peft_method", "peft_type"})
"""What the recipe's `peft_method` is taken for among the method's own settings."""


class Classifier(torch.nn.Module):
    """Encoder with adapter, pooling, linear head; gives the loss that Trainer asks for.

    Args:
        encoder: a `PeftModel` of the base's encoder.
        class_weights: ``(classes,)``, or None.
        contrastive: share of the supervised contrastive term, 0 for none.
        regulariser: a term that the PEFT method adds to the loss.
    """

    class_weights: torch.Tensor | None

    def __init__(
        self,
        encoder: PeftModel,
        head: torch.nn.Linear,
        pooling: Pooling,
        *,
        multi: bool,
        class_weights: torch.Tensor | None = None,
        label_smoothing: float = 0.0,
        contrastive: float = 0.0,
        temperature: float = 0.1,
        regulariser: Callable[[], torch.Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self._pooling = pooling
        self._multi = multi
        self._smoothing = label_smoothing
        self._contrastive = contrastive
        self._temperature = temperature
        self._regulariser = regulariser
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(
        self, inputs: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Loss ``()`` and logits ``(texts, classes)``; inputs and mask as `pooled` takes them."""
        states = pooled(self.encoder, inputs, attention_mask, self._pooling)
        logits = self.head(states)
        if self._multi:
            # Each label is a choice of two, so either side gets half of what is smoothed away.
            wanted = labels.float() * (1 - self._smoothing) + self._smoothing / 2
            loss = functional.binary_cross_entropy_with_logits(
                logits, wanted, pos_weight=self.class_weights
            )
        else:
            loss = functional.cross_entropy(
                logits, labels, weight=self.class_weights, label_smoothing=self._smoothing
            )
            if self._contrastive:
                term = supervised_contrastive(states, labels, self._temperature)
                loss = (1 - self._contrastive) * loss + self._contrastive * term
        if self._regulariser:
            loss = loss + self._regulariser()
        return {"loss": loss, "logits": logits}

    def trained_state(self) -> dict[str, torch.Tensor]:
        """The tensors that training changes, by name."""
        return {name: p.detach() for name, p in self.named_parameters() if p.requires_grad}


def supervised_contrastive(
    states: torch.Tensor, labels: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Supervised contrastive loss, L_out of Khosla et al. 2020, equation 2.

    Pools ``(texts, hidden)`` are centred over the batch first, since pools of one encoder all point
    nearly the same way. Texts that are alone with their label in the batch do not count.
    """
    unit = functional.normalize(states - states.mean(0, keepdim=True), dim=-1)
    similarity = unit @ unit.T / temperature
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    log_share = similarity - similarity.masked_fill(itself, -torch.inf).logsumexp(1, keepdim=True)
    positive = (labels[:, None] == labels[None, :]) & ~itself
    count = positive.sum(1)
    per_anchor = -(log_share * positive).sum(1) / count.clamp(min=1)
    anchored = count > 0
    return per_anchor[anchored].mean() if anchored.any() else states.sum() * 0.0


def virtual_tokens(recipe: Recipe) -> int:
    """How many of the base's positions a prompt method fills before each text; 0 for the others.

    Raises:
        RecipeError: the recipe's own number is none.
    """
    if recipe.peft_method not in PROMPTS:
        return 0
    number = recipe.peft.get("num_virtual_tokens", VIRTUAL_TOKENS)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise RecipeError(
            f"peft.num_virtual_tokens cannot be {number!r}: it is a number of tokens",
            f"leave it out for {VIRTUAL_TOKENS}",
        )
    return number


def peft_config(recipe: Recipe, pooling: Pooling, base: BaseRecord, steps: int) -> PeftConfig:
    """PEFT's configuration for a recipe and a training of so many steps.

    The pooler's dense layer matches the usual target ``dense``; it is left out where the head does
    not read the pooler, so that the adapter loads on the plain encoder exactly as it was trained.

    Raises:
        RecipeError: an unknown method or setting, or one that would change the base's weights.
    """
    method = "LORA" if recipe.peft_method == "DORA" else recipe.peft_method
    known = [kind.value for kind in PEFT_TYPE_TO_CONFIG_MAPPING]
    if method not in known:
        fit = [*(set(known) - set(IMPOSSIBLE)), "DORA"]
        usual = f"usual ones are: {', '.join(USUAL)}"
        raise unknown("PEFT method", recipe.peft_method, fit, RecipeError, usual)
    kind = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(method)]
    if method in IMPOSSIBLE:
        raise RecipeError(f"{method} cannot train a classifier: it needs {IMPOSSIBLE[method]}")
    fields = {field.name for field in dataclasses.fields(kind)} - OURS
    settings = recipe.peft_settings()
    wrong = sorted(set(settings) - fields)
    if wrong:
        error = unknown(f"setting of {recipe.peft_method}", wrong[0], fields, RecipeError)
        hint = error.hint
        if wrong[0] in METHOD_NAMES:
            hint = f"the method is set by peft_method: --set peft_method={settings[wrong[0]]}"
        raise RecipeError(error.message, hint)
    _check_settings(method, settings)
    check_start(method, settings)
    check_values(recipe.peft_method, kind, settings, base.layers)
    if method in PROMPTS:
        settings["num_virtual_tokens"] = virtual_tokens(recipe)
    if method == adalora.METHOD:
        settings = adalora.with_steps(settings, steps)
    if "target_modules" in fields and method != "IA3":  # PEFT knows where that one goes
        settings.setdefault(
            "target_modules", list(TARGETS.get(method, SEED_PEFT["target_modules"]))
        )
    if settings.get("init_lora_weights") == EVA and settings.get("eva_config") is None:
        settings["eva_config"] = {}  # PEFT warns where it is to take its own defaults
    _choose_layers(settings, recipe, fields, base.layers, pooling)
    if pooling != "pooler":
        _leave_out_pooler(settings, method, fields)
    try:
        with warnings.catch_warnings():
            # Its own way to publish PiSSA as plain LoRA is not right there; `starts.Taken` is.
            warnings.filterwarnings("ignore", "Using Rank-Stabilized LoRA with rank_pattern")
            return kind(
                task_type=TaskType.FEATURE_EXTRACTION,
                base_model_name_or_path=base.id,
                inference_mode=False,
                **settings,
            )
    # PEFT's configurations raise whatever their first use of a value happens to raise.
    except Exception as error:
        raise RecipeError(f"PEFT refuses these settings of {method}: {error}") from error


def _leave_out_pooler(settings: dict[str, Any], method: str, fields: Collection[str]) -> None:
    """Adds the pooler to what the settings exclude, by whichever of them the method has."""
    if "exclude_modules" in fields:
        excluded = settings.get("exclude_modules") or []
        if isinstance(excluded, list):
            settings["exclude_modules"] = list(dict.fromkeys([*excluded, POOLER]))
        elif isinstance(excluded, str):
            settings["exclude_modules"] = rf"(?:{excluded})|(?:.*\.)?{re.escape(POOLER)}"
        return
    targets = settings.get("target_modules")
    if isinstance(targets, list) and settings.get("layers_to_transform") is None:
        targets = rf"(?:.*\.)?(?:{'|'.join(re.escape(str(t)) for t in targets)})"
    if isinstance(targets, str):
        if targets.lower() == INCLUDE_LINEAR_LAYERS_SHORTHAND:
            raise RecipeError(
                f"{targets!r} with {method} would also change the pooler, which the head does not "
                "read",
                "name the modules in peft.target_modules, for example ['query', 'value']",
            )
        settings["target_modules"] = rf"(?!{re.escape(POOLER)})(?:{targets})"


def _choose_layers(
    settings: dict[str, Any],
    recipe: Recipe,
    fields: Collection[str],
    layers: int,
    pooling: Pooling,
) -> None:
    """Adds the layers that the recipe means to the settings of a method that can be told them.

    PEFT then leaves out what lies in no layer, such as a pooler, unless its whole name is given.
    """
    wanted = recipe.layers_of(layers)
    if wanted == layers:
        return
    refusal = None
    if "layers_to_transform" not in fields:
        refusal = f"{recipe.peft_method} cannot be kept to some of the layers"
    elif settings.get("layers_to_transform") is not None:
        refusal = "layers and peft.layers_to_transform cannot both be given"
    elif isinstance(settings.get("target_modules"), str):
        refusal = "PEFT does not take layers beside a pattern for peft.target_modules"
    if refusal is None:
        settings["layers_to_transform"] = list(range(layers - wanted, layers))
        targets = settings["target_modules"]
        if pooling == "pooler" and any(f".{POOLER}".endswith(f".{name}") for name in targets):
            settings["target_modules"] = list(dict.fromkeys([*targets, POOLER]))
    elif recipe.layers != "auto":
        raise RecipeError(refusal, "leave layers out, or use 'all'")


def _check_settings(method: str, settings: Mapping[str, Any]) -> None:
    if settings.get("modules_to_save"):
        raise RecipeError(
            "modules_to_save would put copies of the base's layers into the adapter",
            "the head is kept apart by itself; leave modules_to_save out",
        )
    if method == "TRAINABLE_TOKENS" and not settings.get("token_indices"):
        raise RecipeError(
            f"it is not said which tokens {method} trains",
            "name their ids in the base's vocabulary: --set 'peft.token_indices=[101, 102]'",
        )


def wrap(encoder: torch.nn.Module, config: PeftConfig) -> PeftModel:
    """The encoder with a fresh adapter, in evaluation mode.

    Raises:
        RecipeError: PEFT cannot place it, or the encoder does not run with it.
    """
    _check_targets(encoder, config)
    try:
        with warnings.catch_warnings():
            # PEFT asks transformers for it by its old name.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            # The pooler is left out on bases without one too: AutoModel gives them a random one.
            warnings.filterwarnings("ignore", "You have passed exclude_modules", UserWarning)
            # The memory that it would save is that of the adapter alone.
            warnings.filterwarnings("ignore", "lora with eva initialization used", UserWarning)
            model = get_peft_model(encoder, config).eval()
            ids = torch.zeros((1, 2), dtype=torch.long, device=next(encoder.parameters()).device)
            with torch.no_grad():  # some methods find out only now that a setting does not fit
                model(input_ids=ids, attention_mask=torch.ones_like(ids))
    # PEFT's tuners raise whatever their first use of a value happens to raise.
    except Exception as error:
        raise RecipeError(
            f"PEFT cannot put {config.peft_type.value} on this base: {error}",
            "check peft.target_modules and the method's other settings",
        ) from error
    return model


def _check_targets(encoder: torch.nn.Module, config: PeftConfig) -> None:
    """That each of the targets means a module of the base, as PEFT alone would not ask.

    What PEFT's shorthands mean, it knows itself.
    """
    targets = getattr(config, "target_modules", None)
    if not targets or targets == INCLUDE_LINEAR_LAYERS_SHORTHAND:
        return
    names = [name for name, _ in encoder.named_modules()]
    linear = dict.fromkeys(
        name.rpartition(".")[2]
        for name, module in encoder.named_modules()
        if isinstance(module, torch.nn.Linear)
    )
    among = f"its linear layers are {', '.join(linear)}"
    if isinstance(targets, str):
        try:
            if any(re.fullmatch(targets, name) for name in names):
                return
        except re.error:
            pass  # no module's name is matched by what is no pattern
        raise RecipeError(
            f"no module of the base has a name that the pattern {targets!r} of "
            "peft.target_modules matches as a whole",
            f"for names give a list: --set 'peft.target_modules=[\"query\"]'; {among}",
        )
    absent = sorted(t for t in targets if not any(f".{n}".endswith(f".{t}") for n in names))
    if absent:
        raise RecipeError(
            f"the base has no module that is named {listed(map(repr, absent))}, as "
            "peft.target_modules says",
            among,
        )


def set_dropout(encoder: torch.nn.Module, probability: float | None) -> None:
    """Sets every dropout inside the base; None leaves them."""
    if probability is not None:
        for module in encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = probability


def trainable_line(model: PeftModel) -> str:
    """What PEFT's `print_trainable_parameters` prints."""
    trainable, total = model.get_nb_trainable_parameters()
    share = 100 * trainable / total
    return f"trainable params: {trainable:,d} || all params: {total:,d} || trainable%: {share:.4f}"
