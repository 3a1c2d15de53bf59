"""One question to one adapter by torch, transformers and PEFT alone: a script to be run anew.

``python one_shot.py BASE ADAPTER TEXT`` prints the logits.
"""

from __future__ import annotations

import json
import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer


def main(base: str, adapter: str, text: str) -> None:
    model = PeftModel.from_pretrained(AutoModel.from_pretrained(base), adapter).eval()
    batch = AutoTokenizer.from_pretrained(base)(
        [text], truncation=True, max_length=128, return_tensors="pt"
    )
    head = load_file(adapter + "/head.safetensors")
    with torch.inference_mode():
        states = model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        pooled = (states * mask).sum(1) / mask.sum(1)
        logits = pooled @ head["weight"].T + head["bias"]
    print(json.dumps(logits[0].tolist()))


if __name__ == "__main__":
    main(*sys.argv[1:])
