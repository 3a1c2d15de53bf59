"""One answer as people read it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapter_platform.cli.render.prediction import lines
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.predictions import Prediction

SCHEME = LabelScheme.of("single", ["a", "b"])
GIVEN = Prediction("x", "a", (("a", 1.0),), 1.0, {"a": 1.0, "b": 0.0}, "one", 1, "tiny", "peft")
WITHHELD = replace(GIVEN, label=None, abstained=True)


@pytest.mark.parametrize(
    ("prediction", "first"),
    [
        (replace(WITHHELD, scope=0.03), "no answer (abstained)  confidence 100.0 %, scope 3.0 %"),
        (WITHHELD, "no answer (abstained)  100.0 %"),
        (replace(GIVEN, scope=0.03), "a  100.0 %"),
    ],
)
def test_a_withheld_answer_shows_its_scope_beside_its_confidence(
    prediction: Prediction, first: str
) -> None:
    assert next(lines(prediction, SCHEME, None, bars=False)) == first
