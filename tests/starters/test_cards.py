"""The cards of the shipped adapters: their lines alone give the platform's logits."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from adapter_platform.plugins import open_platform

NAMES = ("data_eng", "support", "feedback", "question_type")
# Runs each card's lines as they stand, the two directories apart, and prints its logits.
RUNNER = """
import json, sys
logits = []
for lines in json.load(sys.stdin):
    names = {}
    exec(lines, names)
    logits.append(names["logits"][0].tolist())
assert not [m for m in sys.modules if m.split(".")[0] == "adapter_platform"]
print(json.dumps(logits))
"""


def test_the_cards_of_the_shipped_adapters_give_their_logits(
    embedded_cache: Path, tmp_path: Path
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
    ran = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps(cards),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    given = json.loads(ran.stdout.splitlines()[-1])
    for theirs, ours in zip(given, expected, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-4)
        assert np.argmax(theirs) == np.argmax(ours)
