"""What a Hugging Face model directory holds, read without loading the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import BaseUnavailable

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = "pytorch_model*.bin"
TOKENIZERS = ("tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model")
TOKENIZER_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
FETCHED = (
    *(CONFIG, WEIGHTS, INDEX, "model-*.safetensors", *TOKENIZERS),
    *(*TOKENIZER_SETTINGS, "vocab.json", "merges.txt"),
)
"""Names and patterns of what is wanted of a model on the Hub."""

# Settings that change no token: where a file came from, and what is done to batches and answers.
NOT_OF_TOKENS = (
    *("name_or_path", "special_tokens_map_file", "tokenizer_file", "vocab_file", "processor_class"),
    *("padding_side", "padding", "truncation_side", "clean_up_tokenization_spaces"),
    *("chat_template", "is_local"),
)

# Not by loading the model and saving it: that would write a random pooler where there is none.
CONVERT = (
    'convert it: python -c "import glob, torch; from safetensors.torch import save_file; '
    "d = {directory!r}; w = {{}}; "
    "[w.update(torch.load(f, weights_only=True)) for f in glob.glob(d + '/pytorch_model*.bin')]; "
    "save_file({{k: v.contiguous().clone() for k, v in w.items()}}, d + '/model.safetensors', "
    "{{'format': 'pt'}})\""
)


def read_config(directory: Path) -> dict[str, Any]:
    """Its `config.json`. Raises `BaseUnavailable`."""
    path = directory / CONFIG
    if not path.exists():
        raise BaseUnavailable(f"{directory} is not a model directory: it has no {CONFIG}")
    config = _table(path)
    if "model_type" not in config:
        raise BaseUnavailable(f"{path} does not name a model type")
    return config


def default_pooling(directory: Path) -> str:
    """``pooler`` where the checkpoint carries a trained one, else ``mean``.

    Raises:
        BaseUnavailable: the directory has no weights that are read here.
    """
    if weight_files(directory)[0] == INDEX:
        names = tuple(_weight_map(directory))
    else:
        names = _tensor_names(directory / WEIGHTS)
    return "pooler" if any(name.endswith("pooler.dense.weight") for name in names) else "mean"


def decisive_files(directory: Path) -> list[str]:
    """Names of the weights and the tokenizer that transformers would take.

    Raises:
        BaseUnavailable: there are none, or only weights in a format that can carry code.
    """
    weights = weight_files(directory)
    tokenizer = next((name for name in TOKENIZERS if (directory / name).is_file()), None)
    if tokenizer is None:
        raise _incomplete(directory, f"tokenizer ({TOKENIZERS[0]})")
    return [*weights, tokenizer]


def tokenizer_settings(directory: Path) -> dict[str, Any]:
    """How a bare vocabulary is read, by file; empty where a `tokenizer.json` says all by itself.

    Raises:
        BaseUnavailable: a file of settings cannot be read.
    """
    if (directory / TOKENIZERS[0]).is_file():
        return {}
    files = [name for name in TOKENIZER_SETTINGS if (directory / name).is_file()]
    return {
        name: {k: v for k, v in _table(directory / name).items() if k not in NOT_OF_TOKENS}
        for name in files
    }


def weight_files(directory: Path) -> list[str]:
    """The safetensors file, or the index and its shards. Raises as `decisive_files`."""
    if (directory / WEIGHTS).is_file():
        return [WEIGHTS]
    if (directory / INDEX).is_file():
        shards = sorted(set(_weight_map(directory).values()))
        absent = [name for name in shards if not (directory / name).is_file()]
        if absent:
            raise _incomplete(directory, f"{absent[0]}, which its index names")
        return [INDEX, *shards]
    pickled = sorted(directory.glob(PICKLED))
    if pickled:
        raise BaseUnavailable(
            f"{pickled[0]} is in a format that can carry code, and only safetensors are read",
            CONVERT.format(directory=str(directory)),
        )
    raise _incomplete(directory, f"weights ({WEIGHTS})")


def _table(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BaseUnavailable(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise BaseUnavailable(f"{path} is not a table of settings")
    return data


def _weight_map(directory: Path) -> dict[str, str]:
    """From tensor to shard, as the index has it."""
    path = directory / INDEX
    try:
        shards = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BaseUnavailable(f"{path} is not an index of weights") from error
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise BaseUnavailable(f"{path} is not an index of weights")
    return shards


def _tensor_names(path: Path) -> tuple[str, ...]:
    """The tensors in a safetensors file, from its header alone."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        try:
            return tuple(json.loads(file.read(min(size, 100_000_000))))
        except ValueError as error:
            raise BaseUnavailable(f"{path} is not a safetensors file") from error


def _incomplete(directory: Path, lacks: str) -> BaseUnavailable:
    return BaseUnavailable(f"{directory} is not a complete model directory: it has no {lacks}")
