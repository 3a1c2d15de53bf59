"""The ten lines of each card give the platform's logits, in a process that knows nothing of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from adapter_platform.core.answers import mean_answer
from adapter_platform.core.engine.peft import PeftEngine
from adapter_platform.core.engine.protocol import Row
from adapter_platform.core.registry import NullListener
from adapter_platform.core.store.manifest import Manifest
from adapter_platform.core.token_bag import read_token_bag
from adapter_platform.core.tokens import TextEncoder
from adapter_platform.core.training.recipe import make_recipe
from adapter_platform.core.training.requests import TrainingRequest
from adapter_platform.core.training.run import train
from adapter_platform.core.training.workshop import Quiet, Workshop

from .conftest import published

LONG = 'how do I load "this" table into the platform\'s store? ' * 9
TEXTS = ("数据清洗流程是什么？", "x", LONG)
WORDS = {
    "data/load": "load table rows",
    "data/clean": "clean dedupe fix",
    "chat": "hello thanks hi",
}
KINDS = (
    ("single", "pooler", {"long_text": "windows", "stride": 16}),
    ("single", "mean", {"peft_method": "DORA", "token_bag": "always"}),
    ("single", "cls", {"peft_method": "IA3"}),
    ("multi", "mean", {"long_text": "windows", "stride": 0, "token_bag": "always"}),
    ("hierarchical", "pooler", {"peft_method": "LOHA"}),
    ("single", "mean", {"peft_method": "PROMPT_TUNING"}),
    ("single", "pooler", {"peft_method": "PROMPT_TUNING"}),
    ("multi", "cls", {"peft_method": "P_TUNING"}),
    ("single", "mean", {"peft_method": "PREFIX_TUNING"}),
    ("hierarchical", "pooler", {"peft_method": "PREFIX_TUNING"}),
)


def write_data(path: Path, kind: str) -> str:
    """Texts made of each label's words; with `multi`, every third has a second label."""
    lines = ["text,label"]
    for n in range(48):
        label = list(WORDS)[n % 3]
        words, labels = [*WORDS[label].split(), chr(97 + n % 26) * (1 + n % 5)], [label]
        if kind == "multi" and n % 9 == 0:
            labels.append("chat" if label != "chat" else "data/load")
        lines.append(f"{' '.join(words[n % 2 :])} {n},{'|'.join(labels)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"csv:{path}"


def trained(
    workshop: Workshop, base: Path, data: str, kind: str, pooling: str, settings: dict[str, Any]
) -> Manifest:
    request = TrainingRequest(
        name=f"{kind}-{pooling}-{settings.get('peft_method', 'LORA')}",
        data={"all": data},
        recipe=make_recipe(
            {"pooling": pooling, "epochs": 2, "max_length": 48, "learning_rate": 0.01}, settings
        ),
        base_id=str(base),
        kind=kind,
        allow_worse=True,
    )
    return train(request, workshop, Quiet()).manifest


def card_block(path: Path, base: Path) -> tuple[str, str]:
    """The card's Python block with the two directories put in, and the text that it reads."""
    card = (path / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert "'BASE_DIRECTORY', 'ADAPTER_DIRECTORY'" in block
    block = block.replace("'BASE_DIRECTORY'", repr(str(base)))
    block = block.replace("'ADAPTER_DIRECTORY'", repr(str(path)))
    (text,) = re.findall(r"\(\[(.*)\], \*\*tokens\)", block)
    return block, text


def test_every_cards_ten_lines_give_the_platforms_logits(
    workshop: Workshop,
    tiny_base: Path,
    tmp_path: Path,
    card_logits: Callable[..., list[list[float]]],
) -> None:
    base = workshop.bases.resolve(str(tiny_base))
    encoder = TextEncoder(base)
    engine = PeftEngine(base, workshop.device, NullListener(), 4, 4096, 0)
    blocks, expected = [], []
    for kind, pooling, settings in KINDS:
        data = write_data(tmp_path / f"{kind}.csv", kind)
        source = published(workshop, trained(workshop, tiny_base, data, kind, pooling, settings))
        assert source.manifest.scheme.kind == kind
        assert source.manifest.pooling == pooling
        block, own = card_block(source.path, tiny_base)
        stride = source.manifest.window_stride
        bag = read_token_bag(source) if source.manifest.token_bag else None
        assert block.count("\n") <= 16 + (2 if stride is not None else 0) + (6 if bag else 0)
        for text in (own, *map(repr, TEXTS)):
            blocks.append(block.replace(own, text))
            limit = source.manifest.max_length
            (encoded,) = encoder.encode([ast.literal_eval(text)], limit, stride)
            windows = [encoded.ids, *encoded.further]
            assert (len(windows) > 4) == (stride is not None and text == repr(LONG))
            rows = [Row(ids, source) for ids in windows]
            answers = engine.answers(rows)
            if bag:
                added = bag.logits(windows)
                answers = [
                    replace(a, logits=a.logits + b) for a, b in zip(answers, added, strict=True)
                ]
            expected.append(mean_answer(answers, windows).logits)
    engine.close()
    assert max(np.abs(logits).max() for logits in expected) > 5
    given = card_logits(blocks)
    for theirs, ours in zip(given, expected, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=2e-5)
        assert np.argmax(theirs) == np.argmax(ours)
