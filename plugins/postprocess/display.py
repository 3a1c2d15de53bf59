"""``display``: the answer in the reader's language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from adapter_platform.core.errors import PluginError
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.predictions import Prediction

from . import settings as checked

AUTO = "auto"
_CHINESE = (
    ("\u3400", "\u4dbf"),  # extension A
    ("\u4e00", "\u9fff"),  # the characters in daily use
    ("\uf900", "\ufaff"),  # compatibility
    ("\U00020000", "\U0003ffff"),  # later extensions
)


class Display:
    """Puts the label's name in `language` into `Prediction.display`.

    `language` is a code of the scheme's display names, or ``auto`` (the default): ``zh`` for a text
    with a Chinese character, else ``en``. A label without a name in that language shows as it is.
    """

    name = "display"

    def build(
        self, settings: Mapping[str, Any], scheme: LabelScheme
    ) -> Callable[[Prediction], Prediction]:
        checked.only(self.name, settings, ("language",))
        language = settings.get("language", AUTO)
        languages = sorted({code for label in scheme.labels for code in label.display})
        if language != AUTO and language not in languages:
            hint = f"use {', '.join([AUTO, *languages])}"
            raise PluginError(
                f"no label of the scheme has a name in the language {language!r}", hint
            )

        def step(prediction: Prediction) -> Prediction:
            display = None
            if prediction.label is not None:
                found = "zh" if has_chinese(prediction.text) else "en"
                code = found if language == AUTO else language
                display = scheme.display_name(prediction.label, code)
            return replace(prediction, display=display, steps=(*prediction.steps, self.name))

        return step


def has_chinese(text: str) -> bool:
    """Whether a Chinese character stands in the text."""
    return any(first <= c <= last for c in text for first, last in _CHINESE)
