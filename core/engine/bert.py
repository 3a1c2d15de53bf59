"""A BERT encoder as its model directory has it: what shape it is, and its tensors by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..bases import Base
from ..errors import BaseUnavailable
from ..model_directory import INDEX, read_config, weight_files
from .tensors import map_tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

EMBEDDINGS = tuple(f"embeddings.{kind}_embeddings" for kind in ("word", "position", "token_type"))
POOLER = "pooler.dense"
# The linear layers of an encoder layer that read the same states, and so can be run as one.
SITES = (
    ("attention.self.query", "attention.self.key", "attention.self.value"),
    ("attention.output.dense",),
    ("intermediate.dense",),
    ("output.dense",),
)
NORMS = ("attention.output.LayerNorm", "output.LayerNorm")
# Early checkpoints name the parameters of layer norms as TensorFlow did.
OLD_NAMES = {".gamma": ".weight", ".beta": ".bias"}


@dataclass(frozen=True, slots=True)
class Bert:
    """A base's weights, memory-mapped; float32 or what the file has.

    Attributes:
        tensors: by their names in transformers' `BertModel`; linear weights are ``(out, in)``.
    """

    layers: int
    hidden: int
    heads: int
    intermediate: int
    epsilon: float
    tensors: Mapping[str, FloatArray]

    @property
    def has_pooler(self) -> bool:
        return f"{POOLER}.weight" in self.tensors

    def modules(self) -> dict[str, tuple[int, int]]:
        """``(in, out)`` of every linear layer, by its name in `BertModel`."""
        wide = {"intermediate.dense": (self.hidden, self.intermediate)}
        wide |= {"output.dense": (self.intermediate, self.hidden)}
        square = (self.hidden, self.hidden)
        names = [name for site in SITES for name in site]
        found = {
            f"encoder.layer.{layer}.{name}": wide.get(name, square)
            for layer in range(self.layers)
            for name in names
        }
        return found | ({POOLER: square} if self.has_pooler else {})


def refuses_base(base: Base) -> str | None:
    """Why this base is not the BERT that is run here, as a sentence; None if it is."""
    config = read_config(base.path)
    if base.architecture != "bert":
        return f"the base {base.id!r} is of the architecture {base.architecture!r}, not BERT"
    if config.get("hidden_act", "gelu") != "gelu":
        return f"the base {base.id!r} has the activation {config['hidden_act']!r}, not gelu"
    if config.get("position_embedding_type", "absolute") != "absolute":
        return f"the base {base.id!r} has {config['position_embedding_type']} position embeddings"
    if config.get("is_decoder") or config.get("add_cross_attention"):
        return f"the base {base.id!r} is a decoder"
    return None


def read_bert(base: Base) -> Bert:
    """Maps the weights of a base that `refuses_base` does not refuse.

    Raises:
        BaseUnavailable: they cannot be read, or some are missing.
    """
    config = read_config(base.path)
    tensors: dict[str, Any] = {}
    try:
        for name in weight_files(base.path):
            if name != INDEX:
                tensors |= map_tensors(base.path / name)
    except (OSError, ValueError) as error:
        raise BaseUnavailable(f"the base {base.id!r} cannot be loaded: {error}") from error
    bert = Bert(
        layers=int(config["num_hidden_layers"]),
        hidden=int(config["hidden_size"]),
        heads=int(config["num_attention_heads"]),
        intermediate=int(config["intermediate_size"]),
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        tensors={_name(name): tensor for name, tensor in tensors.items()},
    )
    expected = [f"{name}.weight" for name in EMBEDDINGS]
    norms = [f"encoder.layer.{i}.{name}" for i in range(bert.layers) for name in NORMS]
    for name in ("embeddings.LayerNorm", *norms, *bert.modules()):
        expected += [f"{name}.weight", f"{name}.bias"]
    absent = [name for name in expected if name not in bert.tensors]
    if absent:
        raise BaseUnavailable(f"the base {base.id!r} lacks weights, among them {absent[0]!r}")
    return bert


def _name(name: str) -> str:
    """As `BertModel` has it, whether the checkpoint is of it or of a model with a task's head."""
    name = name.removeprefix("bert.")
    for old, new in OLD_NAMES.items():
        if name.endswith(old):
            name = name.removesuffix(old) + new
    return name
