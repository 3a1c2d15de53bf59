"""The cards of the shipped adapters: their lines alone give the platform's logits."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from adapter_platform.plugins import open_platform

NAMES = ("data_eng", "support", "feedback", "question_type")


def test_the_cards_of_the_shipped_adapters_give_their_logits(
    embedded_cache: Path, tmp_path: Path, card_logits: Callable[..., list[list[float]]]
) -> None:
    cards, expected = [], []
    with open_platform(cache=embedded_cache, store=tmp_path / "store") as platform:
        for name in NAMES:
            source = platform.resolve(name)
            base, _ = platform.bases.for_adapter(source.manifest)
            card = (source.path / "README.md").read_text(encoding="utf-8")
            (lines,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
            (text,) = re.findall(r"\(\[(.*)\], \*\*tokens\)", lines)
            lines = lines.replace("'BASE_DIRECTORY'", repr(str(base.path)))
            cards.append(lines.replace("'ADAPTER_DIRECTORY'", repr(str(source.path))))
            expected.append(platform.logits([ast.literal_eval(text)], name)[0])
    given = card_logits(cards)
    for theirs, ours in zip(given, expected, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-4)
        assert np.argmax(theirs) == np.argmax(ours)
