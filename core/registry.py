"""What core needs from outside, as small protocols, and the immutable `Registry` that brings it.

Core never asks who filled the registry: `plugins.manager` does it from pluggy hooks, a test from
literals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from .errors import unknown
from .labels import LabelScheme

if TYPE_CHECKING:
    from .predictions import Prediction
    from .store.manifest import Manifest
    from .training.recipe import Recipe

T = TypeVar("T")

Presence = Literal["here", "to build", "to download", "not installed"]
"""Whether a base lies on this machine, or what must happen first."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row as a data source reads it: where it stands (``file.csv:12``), its fields by name."""

    where: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that could not be read: where it stands and why, as a sentence."""

    where: str
    reason: str


class Rows(Iterator[T], Generic[T]):
    """Rows with the columns that they share, for a source that knows them without any row.

    Attributes:
        columns: a list that may be filled in while rows are read, by the time that the first is
            there or it is known that there is none; empty where each row brings its own.
    """

    def __init__(self, rows: Iterator[T], columns: list[str]) -> None:
        self._rows = rows
        self.columns = columns

    def __iter__(self) -> Iterator[T]:
        return self._rows

    def __next__(self) -> T:
        return next(self._rows)


class DataSource(Protocol):
    """Reads rows from somewhere; what they mean is decided in `core.examples`.

    Attributes:
        name: the URI scheme, ``csv`` in ``csv:questions.csv``.
        suffixes: file suffixes that this source takes when no scheme is given, ``(".csv",)``.
    """

    name: str
    suffixes: tuple[str, ...]

    def read(self, location: str) -> Iterator[Record | BadRow]:
        """Rows in order, as `Rows` where they have a header. `location` is the URI less its scheme.

        Raises:
            DataError: nothing can be read at all.
        """
        ...


class PostProcessor(Protocol):
    """A named step that turns a prediction into another. See `build`."""

    name: str

    def build(
        self, settings: Mapping[str, Any], scheme: LabelScheme
    ) -> Callable[[Prediction], Prediction]:
        """The step with its settings checked, as a function that has no state.

        Raises:
            PlatformError: a setting is unknown or cannot be.
        """
        ...


@dataclass(frozen=True, slots=True)
class Fitted:
    """A step's settings as an adapter keeps them, and sentences for whoever trains it."""

    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@runtime_checkable
class FittedPostProcessor(PostProcessor, Protocol):
    """A step that training fits, where a domain asks for an outcome rather than for settings."""

    def fit(
        self,
        settings: Mapping[str, Any],
        predictions: Sequence[Prediction],
        right: Sequence[bool],
    ) -> Fitted:
        """The settings with what is fitted filled in; `build` has taken them as they are.

        Args:
            predictions: of the validation texts, after the steps before this one.
            right: whether the adapter's own answer to each, before any step, is that of the data.

        Raises:
            PlatformError: the plugin cannot; nothing is published.
        """
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """A post-processing step as a domain or manifest names it."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model that a plugin brings under a name.

    Attributes:
        name: the base id, as recipes and manifests write it.
        description: one line for ``platform bases list``.
        fetch: ``fetch(cache) -> directory``: a Hugging Face model directory, built or downloaded
            below `cache` if it is not there yet; atomic, and safe in two processes at once.
            Raises `BaseUnavailable`.
        scripts: Unicode script names in upper case (``"LATIN"``, ``"CJK"``) that the model reads;
            empty: any.
        pooling: the pooling that a head uses when the recipe says ``auto``.
        license: SPDX identifier of the weights.
        verify: raises `BaseUnavailable` where the files in a directory are not those that the
            base is pinned to; None: it is not pinned.
        presence: ``presence(cache)``: what `fetch` would have to do, found in milliseconds:
            nothing, build from files on this machine, download, or refuse as its package is not
            installed; None: it cannot say.
    """

    name: str
    description: str
    fetch: Callable[[Path], Path]
    scripts: tuple[str, ...] = ()
    pooling: str = "mean"
    license: str = ""
    verify: Callable[[Path], None] | None = None
    presence: Callable[[Path], Presence] | None = None


@dataclass(frozen=True, slots=True)
class Domain:
    """All that ``platform adapters train NAME`` needs, under one name.

    Attributes:
        data: split name to data URI; ``{"train": uri}`` alone lets the platform make the other
            splits, ``{"all": uri}`` reads the split from the data's own column if it has one.
        scheme: None: derived from the labels in the data.
        recipe: settings over the recipe's defaults, by name.
        postprocess: steps that the adapter carries.
        columns: which columns hold what, ``{"text": "question", "label": "category"}``.
        languages: language codes, for display.
    """

    name: str
    data: Mapping[str, str]
    description: str = ""
    scheme: LabelScheme | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    postprocess: tuple[Step, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Brought(Generic[T]):
    """A thing and the plugin that brought it.

    Attributes:
        built_in: it comes with the platform, whose versions keep what their steps mean.
    """

    value: T
    plugin: str
    version: str = ""
    built_in: bool = False


@dataclass(frozen=True, slots=True)
class Registry:
    """What plugins brought, by name. Immutable: a platform's answers never change under it."""

    sources: Mapping[str, Brought[DataSource]] = field(default_factory=dict)
    schemes: Mapping[str, Brought[LabelScheme]] = field(default_factory=dict)
    postprocessors: Mapping[str, Brought[PostProcessor]] = field(default_factory=dict)
    domains: Mapping[str, Brought[Domain]] = field(default_factory=dict)
    bases: Mapping[str, Brought[BaseModel]] = field(default_factory=dict)

    def domain(self, name: str) -> Domain:
        """The domain of this name. Raises `UnknownName` with the nearest one."""
        if name not in self.domains:
            raise unknown("domain", name, self.domains)
        return self.domains[name].value

    def source_for_suffix(self, suffix: str) -> Brought[DataSource] | None:
        """The source that takes a bare path of this suffix, or None."""
        for brought in self.sources.values():
            if suffix.lower() in brought.value.suffixes:
                return brought
        return None


class Listener(Protocol):
    """Events that core reports. `NullListener` ignores all of them."""

    def before_training(self, name: str, recipe: Recipe) -> None: ...

    def after_training(self, manifest: Manifest) -> None: ...

    def after_adapter_published(self, manifest: Manifest) -> None: ...

    def after_adapter_loaded(self, manifest: Manifest, engine: str) -> None: ...

    def on_predictions(self, predictions: Sequence[Prediction]) -> None: ...


class NullListener:
    """Hears everything and does nothing."""

    def before_training(self, name: str, recipe: Recipe) -> None: ...

    def after_training(self, manifest: Manifest) -> None: ...

    def after_adapter_published(self, manifest: Manifest) -> None: ...

    def after_adapter_loaded(self, manifest: Manifest, engine: str) -> None: ...

    def on_predictions(self, predictions: Sequence[Prediction]) -> None: ...
