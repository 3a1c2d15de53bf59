"""The suite that a plugin's author inherits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from adapter_platform.core.errors import PlatformError
from adapter_platform.core.examples import load_examples
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.predictions import Prediction
from adapter_platform.core.registry import (
    BadRow,
    Fitted,
    FittedPostProcessor,
    Record,
    Registry,
)
from adapter_platform.core.settings import Settings

from ..domains.folder import FolderPlugin
from ..manager import PluginInfo, load_plugins
from .samples import SCHEMES, predictions


class PluginConformance:
    """What the platform asks of every plugin. Inherit it and say which plugin.

    Attributes:
        plugin: the module, class or object that the entry point names; or the `Path` of a domain
            folder.
        name: the entry point's name.
        locations: for each data source the plugin brings, something that it can read,
            ``{"acme": "tests/data/tickets.acme"}``.
        settings: for each post-processor that needs some, settings that it takes.
        schemes: for each post-processor that needs a special label scheme, that scheme.
    """

    plugin: ClassVar[Any] = None
    name: ClassVar[str] = "plugin-under-test"
    locations: ClassVar[Mapping[str, str]] = {}
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    schemes: ClassVar[Mapping[str, LabelScheme]] = {}

    @pytest.fixture
    def loaded(self) -> tuple[PluginInfo, Registry]:
        """The plugin beside the built-ins, and nothing else that may be installed."""
        plugin = self.plugin
        assert plugin is not None, "say which plugin: 'plugin = acme_tickets' in the class"
        if isinstance(plugin, Path):
            plugin = FolderPlugin(plugin, {})
        # Neither validated nor read from the environment: only what loading plugins looks at.
        settings = Settings.model_construct(load_plugins="")
        plugins = load_plugins(settings, {self.name: plugin})
        (info,) = (info for info in plugins.infos if info.origin == "given")
        return info, plugins.registry

    @pytest.fixture
    def info(self, loaded: tuple[PluginInfo, Registry]) -> PluginInfo:
        return loaded[0]

    @pytest.fixture
    def registry(self, loaded: tuple[PluginInfo, Registry]) -> Registry:
        return loaded[1]

    def test_it_loads_and_all_it_brings_has_right_types_and_names_of_its_own(
        self, info: PluginInfo
    ) -> None:
        assert info.failure is None

    def test_it_implements_a_hook(self, info: PluginInfo) -> None:
        assert info.hooks, "no function of the plugin carries @hookimpl"

    def test_its_data_sources_read_rows(self, info: PluginInfo, registry: Registry) -> None:
        for name in _brought(info, "data source"):
            assert name in self.locations, f"say what to read: locations = {{{name!r}: ...}}"
            source = registry.sources[name].value
            rows = list(source.read(self.locations[name]))
            assert any(isinstance(row, Record) for row in rows), f"{name}: reads no row"
            assert all(isinstance(row, Record | BadRow) and row.where for row in rows)
            assert list(source.read(self.locations[name])) == rows, f"{name}: reads once only"

    def test_its_data_sources_say_in_a_sentence_what_they_cannot_read(
        self, info: PluginInfo, registry: Registry, tmp_path: Path
    ) -> None:
        for name in _brought(info, "data source"):
            with pytest.raises(PlatformError):
                list(registry.sources[name].value.read(str(tmp_path / "nothing-here")))

    def test_its_steps_change_answers_and_nothing_else(
        self, info: PluginInfo, registry: Registry
    ) -> None:
        for name in _brought(info, "post-processor"):
            processor = registry.postprocessors[name].value
            for scheme in self._schemes_for(name, processor):
                step = processor.build(self.settings.get(name, {}), scheme)
                for before in predictions(scheme):
                    after = step(before)
                    assert after == step(before), f"{name}: answers differently the second time"
                    check_invariants(name, before, after)

    def test_its_steps_that_are_fitted_take_the_settings_that_come_of_it(
        self, info: PluginInfo, registry: Registry
    ) -> None:
        for name in _brought(info, "post-processor"):
            processor = registry.postprocessors[name].value
            if isinstance(processor, FittedPostProcessor):
                for scheme in self._schemes_for(name, processor):
                    for answers in ([], list(predictions(scheme))):
                        right = [i % 2 == 0 for i in range(len(answers))]
                        settings = self.settings.get(name, {})
                        fitted = processor.fit(settings, answers, right)
                        assert isinstance(fitted, Fitted), f"{name}: 'fit' returns no Fitted"
                        processor.build(fitted.settings, scheme)

    def test_its_steps_refuse_a_setting_that_they_do_not_know(
        self, info: PluginInfo, registry: Registry
    ) -> None:
        for name in _brought(info, "post-processor"):
            processor = registry.postprocessors[name].value
            scheme = self._schemes_for(name, processor)[0]
            settings = {**self.settings.get(name, {}), "no such setting": 1}
            with pytest.raises(PlatformError):
                processor.build(settings, scheme)

    def test_its_domains_have_data_to_train_on(self, info: PluginInfo, registry: Registry) -> None:
        for name in _brought(info, "domain"):
            domain = registry.domains[name].value
            dataset = load_examples(
                domain.data, registry, columns=domain.columns, scheme=domain.scheme
            )
            unused = [f"{problem.where}: {problem.reason}" for problem in dataset.problems]
            assert not unused, f"{name}: {unused[0]}"

    def test_its_domains_have_recipes_and_steps_that_can_be(
        self, info: PluginInfo, registry: Registry
    ) -> None:
        from adapter_platform.core.training.recipe import make_recipe

        for name in _brought(info, "domain"):
            domain = registry.domains[name].value
            make_recipe(domain.recipe)
            for step in domain.postprocess if domain.scheme else ():
                assert domain.scheme is not None
                registry.postprocessors[step.name].value.build(step.settings, domain.scheme)

    def _schemes_for(self, name: str, processor: Any) -> list[LabelScheme]:
        """The schemes that the step takes: the one given, else those of `SCHEMES`, at least one."""
        if name in self.schemes:
            return [self.schemes[name]]
        taken, refusal = [], None
        for scheme in SCHEMES.values():
            try:
                processor.build(self.settings.get(name, {}), scheme)
            except PlatformError as error:
                refusal = error
            else:
                taken.append(scheme)
        assert taken, f"{name}: takes no scheme; give 'settings' or 'schemes' ({refusal})"
        return taken


def check_invariants(step: str, before: Prediction, after: Prediction) -> None:
    """What a post-processor may not do to a prediction, as assertions."""
    assert isinstance(after, Prediction), f"{step}: does not return a Prediction"
    for kept in ("text", "adapter", "version", "base", "engine", "scope", "truncated", "windows"):
        assert getattr(after, kept) == getattr(before, kept), f"{step}: changes {kept!r}"
    assert after.steps == (*before.steps, step), f"{step}: does not append its name to 'steps'"
    assert set(after.warnings) >= set(before.warnings), f"{step}: takes warnings away"
    assert 0 <= after.confidence <= 1, f"{step}: confidence {after.confidence}"
    assert all(0 <= p <= 1 for p in after.probabilities.values()), f"{step}: not probabilities"
    assert after.abstained or not before.abstained, f"{step}: answers after an earlier step did not"
    assert after.label is None or not after.abstained, f"{step}: abstains with a label"
    scores = [score for _, score in after.labels]
    assert scores == sorted(scores, reverse=True), f"{step}: 'labels' are out of order"


def _brought(info: PluginInfo, kind: str) -> tuple[str, ...]:
    return info.brought.get(kind, ())
