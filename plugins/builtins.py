"""The plugins that come with the platform: small ones, by the same hooks as anyone's.

Each hook imports what it brings when it is called, so that this module costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .hookspecs import hookimpl

if TYPE_CHECKING:
    from adapter_platform.core.registry import BaseModel, DataSource, Domain, PostProcessor


class Sources:
    """Files on this machine, and data sets on the Hub."""

    @hookimpl
    def data_sources(self) -> list[DataSource]:
        from .sources.csv_file import CsvSource, TsvSource
        from .sources.hub import HubSource
        from .sources.jsonl import JsonlSource
        from .sources.parquet import ParquetSource

        return [CsvSource(), TsvSource(), JsonlSource(), ParquetSource(), HubSource()]


class Postprocess:
    """Steps for any domain."""

    @hookimpl
    def postprocessors(self) -> list[PostProcessor]:
        from .postprocess.abstain import Abstain
        from .postprocess.alias import Alias
        from .postprocess.display import Display
        from .postprocess.rollup import Rollup

        return [Abstain(), Rollup(), Display(), Alias()]


class Bases:
    """Encoders that pip brings."""

    @hookimpl
    def base_models(self) -> list[BaseModel]:
        from .bases.minilm import MINILM
        from .bases.multilingual import MULTILINGUAL

        return [MULTILINGUAL, MINILM]


class Domains:
    """The starter domains, whose adapters are shipped too."""

    @hookimpl
    def domains(self) -> list[Domain]:
        from .domains import folders
        from .domains.folder import read_domain_folder

        return [read_domain_folder(folder) for folder in folders()]


PLUGINS: Mapping[str, object] = {
    "sources": Sources(),
    "postprocess": Postprocess(),
    "bases": Bases(),
    "domains": Domains(),
}
