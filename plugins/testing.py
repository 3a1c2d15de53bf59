"""For plugin authors: a tiny base, a private home, the command, and a suite to inherit.

In the `conftest.py` of the plugin's tests::

    pytest_plugins = ["adapter_platform.plugins.testing"]

and in a test module::

    from adapter_platform.plugins.testing import PluginConformance

    class TestAcme(PluginConformance):
        plugin = acme_tickets
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar

import pytest

from adapter_platform.core.errors import PlatformError
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.predictions import Prediction
from adapter_platform.core.registry import BadRow, Domain, Record, Registry
from adapter_platform.core.settings import PREFIX, Settings

from .domains.folder import FolderPlugin
from .manager import PluginInfo, load_plugins

# --- fixtures ---------------------------------------------------------------------------------


def make_tiny_base(
    directory: Path, *, pooler: bool = True, seed: int = 0, hidden: int = 32
) -> Path:
    """A random two-layer BERT with a word-piece tokenizer over single characters and some words.

    It loads in a moment and answers at random, the same on every run.
    """
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    words += ["##" + chr(c) for c in range(33, 127) if not chr(c).isupper()]
    words += list("数据清洗流程是什么你好谢天气库入表怎么平台去重")
    words = list(dict.fromkeys(words))
    vocab = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    special |= {"sep_token": "[SEP]", "mask_token": "[MASK]"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 128} | special
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    torch.manual_seed(seed)
    model = BertModel(
        BertConfig(
            vocab_size=len(words),
            hidden_size=hidden,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=2 * hidden,
            max_position_embeddings=128,
            initializer_range=0.2,
        ),
        add_pooling_layer=pooler,
    )
    model.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BERT with a pooler; 32 wide, two layers. Any recipe takes it as its base."""
    return make_tiny_base(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture(scope="session")
def tiny_base_without_pooler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without a pooler, as bases trained with mean pooling have none."""
    return make_tiny_base(tmp_path_factory.mktemp("bases") / "tiny-no-pooler", pooler=False, seed=1)


@pytest.fixture
def platform_home(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A temporary home: store, cache and settings, whatever the author's own environment says."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv(f"{PREFIX}STORE", str(home / "store"))
    return home


@pytest.fixture
def platform_store(platform_home: Path) -> Path:
    """The directory of a temporary, empty store, which the command and `open_platform` use."""
    return platform_home / "store"


@dataclass(frozen=True, slots=True)
class Ran:
    """What ``platform ...`` did."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def run_platform(
    platform_store: Path,  # noqa: ARG001 - the command must not see the author's own
) -> Callable[..., Ran]:
    """``run_platform("classify", "text", stdin="")``: the command, in this process."""
    return run_command


def run_command(*arguments: str, stdin: str = "") -> Ran:
    """Runs ``platform ARGUMENTS``, with whatever plugins this environment has installed.

    In this process, for a new one would take seconds to start; so a test may also look at objects.
    """
    # By its entry point, as a shell finds it: plugins do not import the command's room.
    (script,) = entry_points(group="console_scripts", name="platform")
    main = script.load()
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    code: Any = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["platform", *arguments])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        try:
            code = main()
        except SystemExit as exit_:
            code = exit_.code
        if isinstance(code, str):  # sys.exit("sentence")
            print(code, file=err)
            code = 1
    out.flush()
    err.flush()
    return Ran(code or 0, out.buffer.getvalue().decode(), err.buffer.getvalue().decode())


# --- conformance ------------------------------------------------------------------------------

SCHEMES = {
    "single": LabelScheme.of("single", ["a", "b", "c"]),
    "multi": LabelScheme.of("multi", ["a", "b", "c"]),
    "hierarchical": LabelScheme.of("hierarchical", ["a/x", "a/y", "b"]),
}
"""Schemes on which steps are tried where the plugin has no domain of its own for them."""


def predictions(scheme: LabelScheme) -> Iterator[Prediction]:
    """Made-up answers of every sort: sure, unsure, abstained, and for `multi` without a label."""
    count = len(scheme.classes)
    rows = [[0.3 if scheme.kind == "multi" else 1 / count] * count]
    rows += [[0.97 if i == best else 0.03 / count for i in range(count)] for best in range(count)]
    for row in rows:
        decision = scheme.decide(row)
        for text, abstained in (("a question", False), ("一个问题", False), ("", True)):
            yield Prediction(
                text=text,
                label=None if abstained else decision.label,
                labels=decision.labels,
                confidence=decision.confidence,
                probabilities=dict(zip(scheme.classes, row, strict=True)),
                adapter="sample",
                version=1,
                base="tiny",
                engine="peft",
                path=decision.path,
                abstained=abstained,
                steps=("earlier",),
            )


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
                    probabilities = dict(before.probabilities)
                    after = step(before)
                    assert before.probabilities == probabilities, f"{name}: changes its input"
                    assert after == step(before), f"{name}: answers differently the second time"
                    check_invariants(name, before, after)

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
            for split, uri in domain.data.items():
                check_readable(f"{name}: {split}", domain, uri, registry)

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
    for kept in ("text", "adapter", "version", "base", "engine", "truncated", "windows"):
        assert getattr(after, kept) == getattr(before, kept), f"{step}: changes {kept!r}"
    assert after.steps == (*before.steps, step), f"{step}: does not append its name to 'steps'"
    assert set(after.warnings) >= set(before.warnings), f"{step}: takes warnings away"
    assert 0 <= after.confidence <= 1, f"{step}: confidence {after.confidence}"
    assert all(0 <= p <= 1 for p in after.probabilities.values()), f"{step}: not probabilities"
    assert after.abstained or not before.abstained, f"{step}: answers after an earlier step did not"
    assert after.label is None or not after.abstained, f"{step}: abstains with a label"
    scores = [score for _, score in after.labels]
    assert scores == sorted(scores, reverse=True), f"{step}: 'labels' are out of order"


def check_readable(where: str, domain: Domain, uri: str, registry: Registry) -> None:
    """That a domain's data has rows, the columns that the domain names, and no bad row."""
    scheme, _, location = uri.partition(":")
    source = registry.sources[scheme].value if scheme in registry.sources else None
    if source is None:  # a bare path
        source, location = registry.source_for_suffix(Path(uri).suffix), uri
    assert source is not None, f"{where}: no data source reads {uri}"
    rows = list(source.read(location))
    bad = [f"{row.where}: {row.reason}" for row in rows if isinstance(row, BadRow)]
    assert not bad, f"{where}: {bad[0]}"
    assert rows, f"{where}: {uri} has no rows"
    for row in rows:
        missing = sorted(set(domain.columns.values()) - set(row.fields))  # type: ignore[union-attr]  # no BadRow is left
        assert not missing, f"{where}: {row.where} has no column {missing[0]!r}"


def _brought(info: PluginInfo, kind: str) -> tuple[str, ...]:
    return info.brought.get(kind, ())
