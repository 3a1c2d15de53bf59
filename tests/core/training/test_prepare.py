"""What is read of a text: how many tokens, and how many of them a character usually takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter_platform.core.errors import RecipeError
from adapter_platform.core.tokens import TextEncoder, unreadable
from adapter_platform.core.training.prepare import prepare
from adapter_platform.core.training.run import plan, train
from adapter_platform.core.training.workshop import Quiet, Workshop

from .conftest import TOPICS, MakeRequest, write_rows

PROMPTS = ("PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING")
POSITIONS = 128  # of the tiny base


def long_texts(path: Path, *, short: int = 0) -> str:
    """Texts of far more tokens than the base has positions, and so many short ones."""
    rows = [
        {"text": f"{' '.join([*words, str(n)] * (1 if n < short else 40))}", "label": label}
        for label, words in TOPICS.items()
        for n in range(12)
    ]
    return write_rows(path, rows)


@pytest.mark.parametrize(("short", "density"), [(0, 0.0), (4, 1.0)])
def test_tokens_a_character_are_taken_from_texts_that_were_read_to_their_end(
    ask: MakeRequest, workshop: Workshop, tmp_path: Path, short: int, density: float
) -> None:
    data = long_texts(tmp_path / "long.csv", short=short)
    prepared = prepare(ask(data=data, max_length=64, label_texts=False), workshop)
    assert prepared.tokens_per_character == density
    text = "a plain short text"
    (encoded,) = TextEncoder(prepared.base).encode([text], 64)
    assert unreadable(text, encoded, prepared.base, prepared.tokens_per_character) == ()


@pytest.mark.parametrize("method", PROMPTS)
@pytest.mark.parametrize(("peft", "virtual"), [({}, 16), ({"num_virtual_tokens": 5}, 5)])
def test_a_prompts_tokens_take_the_place_of_a_texts(
    ask: MakeRequest,
    workshop: Workshop,
    tmp_path: Path,
    method: str,
    peft: dict[str, int],
    virtual: int,
) -> None:
    data = long_texts(tmp_path / "long.csv")
    request = ask(data=data, max_length=500, peft_method=method, peft=peft, pooling="mean")
    manifest = train(request, workshop, Quiet()).manifest
    assert manifest.max_length == POSITIONS - virtual


@pytest.mark.parametrize("virtual", [POSITIONS - 3, 1000])
def test_a_prompt_that_leaves_no_room_for_a_text_is_refused(
    ask: MakeRequest, workshop: Workshop, virtual: int
) -> None:
    request = ask(peft_method="PROMPT_TUNING", peft={"num_virtual_tokens": virtual})
    with pytest.raises(RecipeError, match=f"{virtual} virtual tokens leave no room") as error:
        plan(request, workshop)
    assert error.value.hint == "lower peft.num_virtual_tokens"


@pytest.mark.parametrize("number", [0, -1, True, "many", 1.5])
def test_a_number_of_virtual_tokens_that_is_none_is_refused(
    ask: MakeRequest, workshop: Workshop, number: object
) -> None:
    request = ask(peft_method="P_TUNING", peft={"num_virtual_tokens": number})
    with pytest.raises(RecipeError, match=r"peft\.num_virtual_tokens cannot be"):
        plan(request, workshop)


def test_texts_that_the_base_cannot_read_are_counted_in_a_note(
    ask: MakeRequest, workshop: Workshop, tmp_path: Path
) -> None:
    rows = [
        {"text": f"{' '.join(words)} {n}", "label": label}
        for label, words in TOPICS.items()
        for n in range(12)
    ]
    plain = prepare(ask(data=write_rows(tmp_path / "plain.csv", rows)), workshop)
    assert not [note for note in plain.notes if "cannot read" in note]
    strange = [{**row, "text": f"ཀཁགང {n}"} for n, row in enumerate(rows[:6])]
    mixed = prepare(ask(data=write_rows(tmp_path / "mixed.csv", rows + strange)), workshop)
    (note,) = [note for note in mixed.notes if "cannot read" in note]
    count = sum(text.startswith("ཀ") for text in (e.text for e in mixed.examples("train")))
    assert f"cannot read {count} of the {len(mixed.rows['train'])} training texts" in note
