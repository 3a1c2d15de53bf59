"""From a name, and what a user says beside it, to a training request or the texts to judge by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import DataError, unknown
from ..examples import load_examples
from .prepare import TrainingRequest
from .recipe import FILE as RECIPE
from .recipe import Recipe, make_recipe, read_recipe
from .splits import make_splits

if TYPE_CHECKING:
    from ..engine.protocol import AdapterSource
    from ..examples import Example
    from ..labels import Kind
    from ..registry import Domain, Registry

Data = str | Mapping[str, str]
"""A data URI, or URIs by split."""


@dataclass(frozen=True, slots=True)
class Judging:
    """Labelled texts to judge an adapter by.

    Attributes:
        data_fingerprint: of all the data that they were taken from, as manifests keep it.
    """

    examples: Sequence[Example]
    data_fingerprint: str


def make_request(
    name: str,
    registry: Registry,
    base_id: str,
    *,
    data: Data | None = None,
    settings: Mapping[str, Any] | None = None,
    preset: str | None = None,
    columns: Mapping[str, str] | None = None,
    kind: Kind | None = None,
    promote: bool = True,
    allow_worse: bool = False,
) -> TrainingRequest:
    """The request that trains `name`: the domain of that name if there is one, under what is said.

    Args:
        data: instead of the domain's own.
        settings: recipe settings over the domain's.
        preset: replaces the domain's settings, all but its base.

    Raises:
        DataError: there is neither data nor a domain of this name.
        RecipeError: a setting cannot be.
    """
    brought = registry.domains.get(name)
    domain = brought.value if brought else None
    if data is None and domain is None:
        near = unknown("domain", name, registry.domains)
        raise DataError(
            f"there is no data to train {name!r} from: it is no domain, and no data was given",
            f"give --data FILE; {near.hint}" if near.hint else "give --data FILE",
        )
    recipe = make_recipe(_domain_recipe(domain, preset), settings or {}, preset=preset)
    return TrainingRequest(
        name=name,
        data=_by_split(data) if data is not None else domain.data if domain else {},
        recipe=recipe,
        base_id=recipe.base or base_id,
        columns={**(domain.columns if domain else {}), **(columns or {})},
        scheme=domain.scheme if domain and kind is None else None,
        kind=kind,
        postprocess=domain.postprocess if domain else (),
        description=domain.description if domain else "",
        promote=promote,
        allow_worse=allow_worse,
    )


def texts_to_judge(
    source: AdapterSource,
    registry: Registry,
    *,
    data: Data | None = None,
    columns: Mapping[str, str] | None = None,
    split: str = "test",
) -> Judging:
    """The examples of one split, as the adapter's training saw them.

    Data that brings no splits is judged whole; a domain's data is split as its training did.

    Raises:
        DataError: there is no data, or the split has no texts.
    """
    manifest = source.manifest
    brought = registry.domains.get(manifest.name)
    domain = brought.value if brought else None
    if data is None and domain is None:
        raise DataError(
            f"there is no data to judge {manifest.reference} by: it is of no installed domain",
            "give --data FILE",
        )
    uris = _by_split(data) if data is not None else domain.data if domain else {}
    named = {**(domain.columns if domain else {}), **(columns or {})}
    dataset = load_examples(uris, registry, columns=named, scheme=manifest.scheme)
    chosen: Sequence[Example] = dataset.examples
    if data is None:
        recipe = stored_recipe(source)
        splits = make_splits(
            dataset.examples,
            dataset.scheme,
            seed=recipe.seed,
            val_share=recipe.val_share,
            test_share=recipe.test_share,
        )
        chosen = getattr(splits, split)
    elif any(example.split for example in dataset.examples):
        chosen = [example for example in dataset.examples if example.split == split]
    if not chosen:
        raise DataError(
            f"there are no texts in the split {split!r}", "use --split train, val or test"
        )
    return Judging(chosen, dataset.fingerprint())


def stored_recipe(source: AdapterSource) -> Recipe:
    """The recipe that an adapter was trained by; the default where it brings none."""
    path = source.path / RECIPE
    return make_recipe(read_recipe(path)) if path.is_file() else make_recipe()


def _domain_recipe(domain: Domain | None, preset: str | None) -> Mapping[str, Any]:
    """The domain's settings; of those a preset that the user names leaves only the base."""
    settings = domain.recipe if domain else {}
    return settings if preset is None else {k: v for k, v in settings.items() if k == "base"}


def _by_split(data: Data) -> Mapping[str, str]:
    return {"all": data} if isinstance(data, str) else data
