"""Loading plugins: what is brought is there, what fails is seen, and nothing takes others along."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest

from adapter_platform.core.errors import DataError, PluginError
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.registry import BaseModel, Domain, Step
from adapter_platform.plugins.hookspecs import hookimpl

SCHEME = LabelScheme.of("single", ["yes", "no"])


class Source:
    suffixes: tuple[str, ...] = ()

    def __init__(self, name: Any, suffixes: Any = ()) -> None:
        self.name, self.suffixes = name, suffixes

    def read(self, location: str) -> Any:
        return iter(())


class Brings:
    """A plugin that brings what it is given."""

    def __init__(self, sources: Any = (), domains: Any = (), bases: Any = (), schemes: Any = None):
        self._sources, self._domains, self._bases = sources, domains, bases
        self._schemes = schemes if schemes is not None else {}

    @hookimpl
    def data_sources(self) -> Any:
        return self._sources

    @hookimpl
    def label_schemes(self) -> Any:
        return self._schemes

    @hookimpl
    def base_models(self) -> Any:
        return self._bases

    @hookimpl
    def domains(self) -> Any:
        return self._domains


def brings_domain(**settings: Any) -> Brings:
    return Brings(domains=[Domain("d", {"train": "x"}, **settings)])


class Raises:
    """A plugin that brings a scheme, and whose other hooks raise."""

    @hookimpl
    def label_schemes(self) -> dict[str, LabelScheme]:
        return {"kept": SCHEME}

    @hookimpl
    def data_sources(self) -> Any:
        raise ValueError("no licence")

    @hookimpl
    def domains(self) -> Any:
        raise DataError("the tickets cannot be read", "ask Li Wei")


def test_the_built_ins_bring_what_the_docs_promise(load: Any, info_of: Any) -> None:
    plugins = load()
    registry = plugins.registry
    assert {"abstain", "rollup", "display", "alias"} <= set(registry.postprocessors)
    assert {"multilingual", "minilm"} <= set(registry.bases)
    assert {"csv", "tsv", "jsonl", "parquet", "hf"} <= set(registry.sources)
    assert {"data_eng", "support", "feedback", "question_type"} <= set(registry.domains)
    for name in ("sources", "postprocess", "bases", "domains"):
        info = info_of(plugins, name)
        assert (info.origin, info.failure) == ("built-in", None)
        assert info.version


def test_what_a_plugin_brings_is_in_the_registry_under_its_name(load: Any, info_of: Any) -> None:
    domain = Domain("weather", {"train": "csv:w.csv"}, scheme=SCHEME)
    base = BaseModel("toy", "a toy", fetch=lambda cache: cache)
    plugins = load({"mine": Brings([Source("mine", (".mine",))], [domain], [base], {"yn": SCHEME})})
    registry = plugins.registry
    assert registry.domain("weather") is domain
    assert registry.domains["weather"].plugin == "mine"
    assert registry.bases["toy"].value is base
    assert registry.schemes["yn"].value is SCHEME
    found = registry.source_for_suffix(".mine")
    assert found is not None
    assert found.plugin == "mine"
    info = info_of(plugins, "mine")
    assert info.hooks == ("data_sources", "label_schemes", "base_models", "domains")
    assert info.brought == {
        "data source": ("mine",),
        "label scheme": ("yn",),
        "base model": ("toy",),
        "domain": ("weather",),
    }
    assert info.failure is None


def test_a_hook_that_raises_loses_its_own_contribution_and_no_other(
    load: Any, info_of: Any
) -> None:
    good = Brings([Source("good")])
    plugins = load({"bad": Raises(), "good": good})
    assert "good" in plugins.registry.sources
    assert "kept" in plugins.registry.schemes
    assert "abstain" in plugins.registry.postprocessors
    failure = info_of(plugins, "bad").failure
    assert "data_sources() raised ValueError: no licence (test_manager.py:" in failure
    assert "the tickets cannot be read (ask Li Wei)" in failure
    assert info_of(plugins, "good").failure is None


def test_a_plugin_that_exits_the_process_has_only_failed(load: Any, info_of: Any) -> None:
    class Exits:
        @hookimpl
        def domains(self) -> Any:
            sys.exit("goodbye")

    assert "SystemExit: goodbye" in info_of(load({"exits": Exits()}), "exits").failure


def test_an_interrupt_from_the_keyboard_is_not_a_plugin_failure(load: Any) -> None:
    class Slow:
        @hookimpl
        def domains(self) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load({"slow": Slow()})


def test_the_second_to_bring_a_name_is_refused_and_the_first_stays(load: Any, info_of: Any) -> None:
    first, second = Source("twice"), Source("twice")
    plugins = load({"one": Brings([first]), "two": Brings([second, Source("other")])})
    assert plugins.registry.sources["twice"].value is first
    assert "other" in plugins.registry.sources
    failure = info_of(plugins, "two").failure
    assert "'twice'" in failure
    assert "'one'" in failure
    assert "'two'" in failure
    assert info_of(plugins, "one").failure is None


def test_what_is_built_in_is_known_to_be(load: Any) -> None:
    sources = load({"mine": Brings([Source("mine")])}).registry.sources
    assert sources["csv"].built_in
    assert not sources["mine"].built_in


def test_no_plugin_replaces_a_built_in(load: Any, info_of: Any) -> None:
    plugins = load({"mine": Brings(bases=[BaseModel("minilm", "mine", fetch=lambda c: c)])})
    assert plugins.registry.bases["minilm"].plugin == "bases"
    assert "the plugin 'bases' has brought one" in info_of(plugins, "mine").failure


def test_a_suffix_stays_with_the_first_source_and_the_second_is_told(
    load: Any, info_of: Any
) -> None:
    plugins = load(
        {"one": Brings([Source("one", (".x",))]), "two": Brings([Source("two", (".x",))])}
    )
    found = plugins.registry.source_for_suffix(".x")
    assert found is not None
    assert found.plugin == "one"
    assert "two" in plugins.registry.sources
    assert "write two:PATH" in info_of(plugins, "two").failure


def test_two_plugins_of_one_name_are_one_too_many(load: Any) -> None:
    plugins = load({"bases": Brings([Source("mine")])})
    infos = [info for info in plugins.infos if info.name == "bases"]
    assert [info.origin for info in infos] == ["built-in", "given"]
    assert "taken by the built-in plugin 'bases'" in (infos[1].failure or "")
    assert "mine" not in plugins.registry.sources


@pytest.mark.parametrize(
    ("plugin", "sentence"),
    [
        (Brings(sources="csv"), "data_sources() must return a list, not str"),
        (Brings(sources=[Source]), "the class Source, not an instance"),
        (Brings(sources=[Source("c")]), "a data source cannot be named 'c'"),
        (Brings(sources=[Source("CSV")]), "a data source cannot be named 'CSV'"),
        (Brings(sources=[Source(None)]), "a data source cannot be named None"),
        (Brings(sources=[Source("ab", "csv")]), "needs 'suffixes' such as"),
        (Brings(sources=[Source("ab", (".CSV",))]), "needs 'suffixes' such as"),
        (Brings(sources=[object()]), "a data source cannot be named ''"),
        (Brings(schemes=[SCHEME]), "label_schemes() must return a mapping"),
        (Brings(schemes={"x": ["yes", "no"]}), "the label scheme 'x' is a list"),
        (Brings(bases=["bert"]), "the base model '' is a str, not a BaseModel"),
        (Brings(bases=[BaseModel("toy", "", fetch=None)]), "has no fetch() to call"),  # type: ignore[arg-type]  # the mistake
        (Brings(domains=[{"name": "x"}]), "the domain '' is a dict, not a Domain"),
        (Brings(domains=[Domain("a/b", {"train": "x"})]), "a domain cannot be named 'a/b'"),
        (Brings(domains=[Domain(3, {"train": "x"})]), "a domain cannot be named 3"),  # type: ignore[arg-type]  # the mistake
        (Brings(domains=[Domain("d", {})]), "needs a 'train' split, or 'all'"),
        (Brings(domains=[Domain("d", {"trian": "x"})]), "did you mean 'train'?"),
        (Brings(domains=[Domain("d", {"train": 3})]), "'data' must map splits to texts"),  # type: ignore[dict-item]  # the mistake
        (Brings(domains=[Domain("d", {"train": "x"}, postprocess=("x",))]), "must be a Step"),  # type: ignore[arg-type]  # the mistake
        (brings_domain(postprocess=None), "must be a Step"),
        (brings_domain(postprocess=(Step("abstain", 3),)), "settings of the step 'abstain'"),  # type: ignore[arg-type]  # the mistake
        (brings_domain(columns=["text"]), "the columns of the domain 'd' must be a mapping"),
        (brings_domain(columns={"text": 3}), "the columns of the domain 'd' must be texts"),
        (
            brings_domain(columns={"txt": "question"}),
            "the domain 'd': there is no column setting named 'txt' (did you mean 'text'?)",
        ),
        (brings_domain(recipe=5), "the recipe of the domain 'd' must be a mapping"),
        (brings_domain(recipe={3: 4}), "the recipe of the domain 'd' must be a mapping"),
        (
            brings_domain(recipe={"epoch": 3}),
            "the domain 'd': there is no recipe setting named 'epoch' (did you mean 'epochs'?)",
        ),
        (brings_domain(recipe={"epochs": "many"}), "the domain 'd': "),
        (
            Brings(domains=[Domain("d", {"train": "x"}, postprocess=(Step("abstian"),))]),
            "the domain 'd': there is no post-processor named 'abstian' (did you mean 'abstain'?)",
        ),
    ],
)
def test_an_authors_slip_is_a_sentence(
    load: Any, info_of: Any, plugin: object, sentence: str
) -> None:
    assert sentence in info_of(load({"slip": plugin}), "slip").failure


def test_a_hook_that_there_is_not_is_named_with_the_nearest(load: Any, info_of: Any) -> None:
    class Typo:
        @hookimpl
        def domain(self) -> Any:
            return []

    failure = info_of(load({"typo": Typo()}), "typo").failure
    assert failure == "there is no hook named 'domain' (did you mean 'domains'?)"


def test_a_forgotten_hookimpl_is_noticed(load: Any, info_of: Any) -> None:
    class Forgot:
        def domains(self) -> Any:
            return []

    failure = info_of(load({"forgot": Forgot()}), "forgot").failure
    assert failure == "domains() does nothing without @hookimpl above it"


def test_an_argument_that_a_hook_does_not_have_is_refused(load: Any, info_of: Any) -> None:
    class Asks:
        @hookimpl
        def after_training(self, manifest: Any, colour: Any) -> None: ...

    failure = info_of(load({"asks": Asks()}), "asks").failure
    assert "after_training" in failure
    assert "colour" in failure


def test_a_class_as_plugin_is_made_into_an_object(load: Any) -> None:
    class Mine:
        @hookimpl
        def label_schemes(self) -> Any:
            return {"yn": SCHEME}

    assert load({"mine": Mine}).registry.schemes["yn"].plugin == "mine"


def test_the_strict_mode_makes_a_failure_fatal_and_says_whose(load: Any) -> None:
    with pytest.raises(PluginError, match=r"plugin 'bad' failed: .*no licence") as caught:
        load({"bad": Raises()}, strict_plugins=True)
    assert "PLATFORM_STRICT_PLUGINS" in (caught.value.hint or "")


def test_the_strict_mode_refuses_a_name_taken_twice_and_a_slip(load: Any) -> None:
    with pytest.raises(PluginError, match="'twice'"):
        load({"a": Brings([Source("twice")]), "b": Brings([Source("twice")])}, strict_plugins=True)
    with pytest.raises(PluginError, match="must return a list"):
        load({"a": Brings(sources="csv")}, strict_plugins=True)


def test_the_strict_mode_is_content_with_plugins_that_work(load: Any) -> None:
    assert "fine" in load({"a": Brings([Source("fine")])}, strict_plugins=True).registry.sources


def test_the_registry_cannot_be_changed_afterwards(load: Any) -> None:
    registry = load().registry
    with pytest.raises(TypeError):
        registry.sources["mine"] = Source("mine")


def test_a_failure_is_logged_with_its_traceback_for_who_asks(
    load: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "adapter_platform.plugins"):
        load({"bad": Raises()})
    assert "no licence" in caplog.text
    assert "Traceback" in caplog.text


def test_loading_plugins_imports_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "peft", "numpy", "pyarrow", "datasets", "rich", "sklearn")
    code = (
        "import sys\n"
        "from adapter_platform.core.settings import load_settings\n"
        "from adapter_platform.plugins.manager import load_plugins\n"
        "plugins = load_plugins(load_settings())\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_itself_imports_not_even_pluggy() -> None:
    code = (
        "import sys, adapter_platform.plugins\n"
        "print([name for name in ('pluggy', 'pydantic', 'typer') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
