"""What is said of a training, and the request that it makes with the domain of that name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack

from ..data.example import ALL
from ..errors import DataError, UsageError, unknown
from ..labels import Kind, LabelScheme
from ..registry import Domain, Registry, Step
from .recipe import Recipe, make_recipe

Data = str | Mapping[str, str]
"""A data URI, or URIs by split."""


class TrainingOptions(TypedDict, total=False):
    """What may be said of a training beside its name and its data.

    Attributes:
        settings: recipe settings over the domain's, ``{"epochs": 5, "peft": {"r": 4}}``.
        preset: the recipe to start from; of the domain's settings it leaves only the base.
        columns: which columns hold what, ``{"text": "question", "label": "topic"}``.
        kind: what labels are, where the data does not make it plain.
        promote: make the new version current; True where it is not given.
        allow_worse: even where it is worse than logistic regression on the frozen base; False.
    """

    settings: Mapping[str, Any] | None
    preset: str | None
    columns: Mapping[str, str] | None
    kind: Kind | None
    promote: bool
    allow_worse: bool


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What to train.

    Attributes:
        name: the adapter's name.
        data: split name to data URI, as in `registry.Domain.data`.
        scheme: None: derived from the data; then `kind` may say which kind.
        base_id: the base; the recipe's own if it names one.
        promote: make the new version current.
        allow_worse: even where it is worse than the probe.
    """

    name: str
    data: Mapping[str, str]
    recipe: Recipe
    base_id: str
    columns: Mapping[str, str] = field(default_factory=dict)
    scheme: LabelScheme | None = None
    kind: Kind | None = None
    postprocess: tuple[Step, ...] = ()
    description: str = ""
    promote: bool = True
    allow_worse: bool = False


def make_request(
    name: str,
    data: Data | None,
    registry: Registry,
    base_id: str,
    report_to: Sequence[str] = (),
    **options: Unpack[TrainingOptions],
) -> TrainingRequest:
    """The request that trains `name`: the domain of that name if there is one, under what is said.

    Args:
        data: None: the domain's own.
        base_id: the base where no recipe names one.
        report_to: experiment trackers where no recipe names any.

    Raises:
        UsageError: there is no such option.
        DataError: there is neither data nor a domain of this name.
        RecipeError: a setting cannot be.
    """
    for option in options:
        if option not in TrainingOptions.__annotations__:
            raise unknown("training option", option, TrainingOptions.__annotations__, UsageError)
    brought = registry.domains.get(name)
    if data is None and brought is None:
        near = unknown("domain", name, registry.domains)
        raise DataError(
            f"there is no data to train {name!r} from: it is no domain, and no data was given",
            f"give --data FILE; {near.hint}" if near.hint else "give --data FILE",
        )
    domain = brought.value if brought else Domain(name, data={})
    preset, kind = options.get("preset"), options.get("kind")
    recipe = make_recipe(
        {"report_to": list(report_to)},
        _domain_recipe(domain, preset),
        options.get("settings") or {},
        preset=preset,
    )
    return TrainingRequest(
        name=name,
        data=by_split(domain.data if data is None else data),
        recipe=recipe,
        base_id=recipe.base or base_id,
        columns={**domain.columns, **(options.get("columns") or {})},
        scheme=domain.scheme if kind is None else None,
        kind=kind,
        postprocess=(*_abstain(recipe), *domain.postprocess),
        description=domain.description,
        promote=options.get("promote", True),
        allow_worse=options.get("allow_worse", False),
    )


def _abstain(recipe: Recipe) -> tuple[Step, ...]:
    return (Step("abstain", recipe.abstain),) if recipe.abstain else ()


def by_split(data: Data) -> Mapping[str, str]:
    """URIs by split; one alone holds all of them."""
    return {ALL: data} if isinstance(data, str) else data


def _domain_recipe(domain: Domain, preset: str | None) -> Mapping[str, Any]:
    """The domain's settings; of those a preset that the user names leaves only the base."""
    if preset is None:
        return domain.recipe
    return {key: value for key, value in domain.recipe.items() if key == "base"}
