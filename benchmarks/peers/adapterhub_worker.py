"""AdapterHub's `adapters` in a Python of its own, as it needs an older transformers than we do.

Run as a script by `adapterhub.py`, it imports nothing of ours. On standard input come JSON lines: a
job first, then ``"check"`` for the logits, or ``"time"`` for the seconds that answering took.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import adapters
import torch
from adapters import AdapterSetup, LoRAConfig
from adapters.composition import BatchSplit
from safetensors.torch import load_file
from transformers import AutoModel
from transformers.utils import logging

logging.set_verbosity_error()
KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<half>[AB])\.weight")


def load_model(base: str, given: list[dict[str, str]], rank: int, alpha: int) -> Any:
    """The base with SDPA and all adapters, their weights read from PEFT's files."""
    model = AutoModel.from_pretrained(base, attn_implementation="sdpa", add_pooling_layer=False)
    adapters.init(model)
    config = LoRAConfig(
        r=rank,
        alpha=alpha,
        attn_matrices=["q", "k", "v"],
        intermediate_lora=True,
        output_lora=True,
    )
    modules = dict(model.named_modules())
    for adapter in given:
        model.add_adapter(adapter["name"], config=config)
        tensors = load_file(Path(adapter["path"]) / "adapter_model.safetensors")
        for key, tensor in tensors.items():
            found = KEY.fullmatch(key)
            assert found is not None, key
            lora = modules[found["module"]].loras[adapter["name"]]
            getattr(lora, f"lora_{found['half']}").data.copy_(tensor)
    return model.eval()


class Answering:
    """One batch, its rows lying adapter by adapter, answered again and again."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.model = load_model(job["base"], job["adapters"], job["rank"], job["alpha"])
        self.rows: list[list[int]] = job["rows"]
        self.split = BatchSplit(*job["names"], batch_sizes=job["sizes"])
        heads = [load_file(Path(path) / "head.safetensors") for path in job["heads"]]
        self.weights = torch.stack([head["weight"] for head in heads])
        self.biases = torch.stack([head["bias"] for head in heads])

    def logits(self) -> torch.Tensor:
        """``(texts, classes)``; the rows are of one length."""
        with torch.inference_mode(), AdapterSetup(self.split):
            states = self.model(input_ids=torch.tensor(self.rows)).last_hidden_state
            products = torch.bmm(self.weights, states.mean(1).unsqueeze(-1)).squeeze(-1)
            return products + self.biases


def main() -> None:
    job = json.loads(sys.stdin.readline())
    torch.set_num_threads(job["threads"])
    answering = Answering(job)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        if json.loads(line) == "check":
            print(json.dumps(answering.logits().tolist()), flush=True)
            continue
        began = time.perf_counter()
        answering.logits()
        print(json.dumps(time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    main()
