"""A LoRA configuration means to the packed engine what it means to PEFT."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key

from adapter_platform.core.engine.bert import EMBEDDINGS, POOLER, SITES
from adapter_platform.core.engine.lora import by_pattern, targets

NAMES = [f"encoder.layer.{i}.{name}" for i in (0, 1, 10, 11) for site in SITES for name in site]
NAMES += [POOLER, *EMBEDDINGS]
PARTS = ["query", "key", "dense", "output.dense", "self.value", "pooler.dense", "attention", "nse"]
PARTS += ["encoder.layer.1.output.dense", "word_embeddings", "layer.1.intermediate.dense"]
PATTERNS = [r".*\.(query|value)", r"encoder\.layer\.\d\..*dense", "dense", r".*", r"^query"]
LAYERS = st.none() | st.integers(0, 11) | st.lists(st.sampled_from([0, 1, 10, 11]), max_size=3)
WHICH = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4) | st.sampled_from(PATTERNS)


@given(
    target_modules=WHICH,
    exclude_modules=st.none() | WHICH,
    layers_to_transform=LAYERS,
    layers_pattern=st.sampled_from([None, [], "layer", ["layers", "layer"], ["nothing"]]),
)
def test_it_finds_the_modules_that_peft_finds(**settings: Any) -> None:
    if isinstance(settings["target_modules"], str):  # PEFT refuses layers beside an expression
        settings |= {"layers_to_transform": None, "layers_pattern": None}
    elif settings["layers_to_transform"] is None:
        settings["layers_pattern"] = None
    config = LoraConfig(**settings)
    theirs = [name for name in NAMES if _is_target(config, name)]
    saved = config.to_dict()
    for name in ("target_modules", "exclude_modules"):
        if isinstance(saved[name], set):
            saved[name] = sorted(saved[name])
    assert targets(saved, NAMES) == theirs


def _is_target(config: LoraConfig, name: str) -> bool:
    # What PEFT gives for an excluded module is true, and of a class of its own.
    found = check_target_module_exists(config, name)
    return bool(found) and type(found).__name__ != "_ExcludedModule"


@given(st.lists(st.sampled_from([*PARTS, *PATTERNS]), max_size=4), st.sampled_from(NAMES))
def test_it_reads_patterns_as_peft_does(patterns: list[str], name: str) -> None:
    values = {pattern: i for i, pattern in enumerate(patterns)}
    theirs = values.get(get_pattern_key(list(values), name), -1)
    assert by_pattern(values, name, -1) == theirs
