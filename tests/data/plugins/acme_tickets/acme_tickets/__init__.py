"""Acme's ticket desk: its export format, its domain, and a step that marks what cannot wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapter_platform.core.errors import DataError, PluginError
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.predictions import Notice, Prediction
from adapter_platform.core.registry import BadRow, DataSource, Domain, PostProcessor, Record
from adapter_platform.plugins.domains.folder import read_domain_folder
from adapter_platform.plugins.hookspecs import hookimpl


class TicketSource:
    """One ticket a line, ``queue | text``."""

    name = "acme"
    suffixes = (".tickets",)

    def read(self, location: str) -> Iterator[Record | BadRow]:
        try:
            lines = Path(location).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"the tickets {location} cannot be read: {error}") from error
        for number, line in enumerate(lines, start=1):
            queue, bar, text = (part.strip() for part in line.partition("|"))
            where = f"{Path(location).name}:{number}"
            if bar:
                yield Record(where, {"text": text, "label": queue})
            else:
                yield BadRow(where, "no '|' between queue and text")


class Escalate:
    """Warns where the answer is one of `labels`, if it is at least `threshold` probable."""

    name = "escalate"

    def build(
        self, settings: Mapping[str, Any], scheme: LabelScheme
    ) -> Callable[[Prediction], Prediction]:
        if extra := sorted(set(settings) - {"labels", "threshold"}):
            raise PluginError(f"the step 'escalate' has no setting {extra[0]!r}")
        labels = {scheme.canonical(label) for label in settings.get("labels", ())}
        threshold = settings.get("threshold", 0.5)

        def step(prediction: Prediction) -> Prediction:
            warnings = prediction.warnings
            if prediction.label in labels and prediction.confidence >= threshold:
                warnings += (Notice("escalate", "this ticket cannot wait"),)
            return replace(prediction, warnings=warnings, steps=(*prediction.steps, self.name))

        return step


@hookimpl
def data_sources() -> list[DataSource]:
    return [TicketSource()]


@hookimpl
def postprocessors() -> list[PostProcessor]:
    return [Escalate()]


@hookimpl
def domains() -> list[Domain]:
    return [read_domain_folder(Path(__file__).parent / "tickets")]
