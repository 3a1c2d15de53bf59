"""Names of adapters: any script, safe as a directory, one spelling on disk."""

from __future__ import annotations

import pytest

from adapter_platform.core.errors import UsageError
from adapter_platform.core.store.names import check_name, parse_reference


@pytest.mark.parametrize(
    "name",
    ["support", "data_eng", "v1.2-beta", "7", "客服", "обращения", "ग्राहक", "ふりがな", "x" * 64],
)
def test_letters_of_any_script_make_a_name(name: str) -> None:
    assert check_name(name) == name


IMPOSSIBLE = ["", "a b", "a\n", "a\0b", "\ud800", "🙂", "x" * 65, "𠀀" * 64]
IMPOSSIBLE += [".", "..", ".hidden", "-x", "_x", "a/b", "a\\b", "../etc", "a@2", "a:b", "a*"]
IMPOSSIBLE += ["current", "Current", "auto", "CON"]


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_name_that_cannot_be_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_name(name)
    assert caught.value.message.startswith("an adapter cannot be named ")
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_two_spellings_of_one_accent_are_one_name() -> None:
    assert check_name("cafe\u0301") == check_name("caf\u00e9") == "caf\u00e9"


def test_a_reference_names_an_adapter_and_perhaps_a_version() -> None:
    assert parse_reference("support") == ("support", None)
    assert parse_reference("客服@12") == ("客服", 12)


@pytest.mark.parametrize(
    "reference", ["a@", "a@0", "a@-1", "a@x", "a@1@2", "a@1.0", "a@" + "9" * 5000]
)
def test_a_reference_with_no_version_behind_its_at_is_refused(reference: str) -> None:
    with pytest.raises(UsageError, match="does not name a version"):
        parse_reference(reference)
