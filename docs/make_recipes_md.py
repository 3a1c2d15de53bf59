"""Prints `recipes.md`, the reference of recipe keys and settings, from the models that read them.

python docs/make_recipes_md.py > docs/recipes.md
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from adapter_platform.core.settings import FILE, PREFIX, Settings
from adapter_platform.core.training.recipe import PRESETS, Recipe

INTRODUCTION = """\
# Recipes and settings

A recipe says how an adapter is trained. Settings say how the platform runs: where adapters lie, \
on which device, with which engine. This page lists every key of both. Its tables are printed by \
`python docs/make_recipes_md.py` from the code; a test compares them.

- [How a recipe comes about](#how-a-recipe-comes-about)
- [An example](#an-example)
- [Recipe keys](#recipe-keys)
- [Presets](#presets)
- [Platform settings](#platform-settings)

## How a recipe comes about

`platform adapters train` and `platform adapters tune` make a recipe of these layers. A later one \
wins, key by key:

1. The defaults, in [the table below](#recipe-keys).
2. `report_to` of the [platform settings](#platform-settings).
3. The domain's recipe: `[recipe]` in its [`domain.toml`](plugins.md#reference-domaintoml), or \
what its plugin says. Only where the adapter has the name of a domain.
4. The file that `--recipe FILE` names. It is TOML, or JSON if its name ends in `.json`.
5. Each `--set KEY=VALUE`, in the order given.
6. `--base ID`.

`--preset NAME` is another start: its values are over the defaults, and of the domain's recipe \
only `base` is left. So `--preset default` trains a domain's data without the domain's recipe. \
Where no layer says a `base`, the setting `base` of the platform is taken.

- **`--set`** reads a value as JSON where it can, else as text: `--set epochs=5`, `--set \
label_texts=false`, `--set base_dropout=null`, `--set 'report_to=["tensorboard"]'`, `--set \
loss=contrastive`. A dot goes into a table: `--set peft.r=4`, `--set abstain.max_error=0.05`.
- **Tables.** `peft` is merged key by key over all layers. `abstain` is merged between the file \
and `--set`; what they say of it replaces the domain's.
- **Not set** is `null` in JSON and in `--set`. TOML has no such value: leave the key out.
- **Mistakes.** An unknown key is refused, with the nearest name that there is. So is a value that \
cannot be, of `peft` too, with what it may be. `--dry-run` checks all of it and trains nothing.

The whole recipe that an adapter was trained with lies beside it, in \
`STORE/NAME/VERSION/training_config.json`. `--recipe` takes that file too. It names every \
key, so it replaces what the layers below it say; only `peft` is still merged with a domain's.

In Python, `settings` and `preset` are the same: \
`platform.train("support", "support.csv", preset="fast", settings={"peft": {"r": 4}})`.

## An example

```toml
# recipe.toml
peft_method = "LORA"
epochs = 8
learning_rate = 5e-4
loss = "cross_entropy"
class_weights = "balanced"
max_length = 256
long_text = "windows"
stride = 64
seed = 7

[peft]                   # tables come last
r = 16
lora_alpha = 32
target_modules = ["query", "value"]

[abstain]
max_error = 0.05
```

    platform adapters train support --data support.csv --recipe recipe.toml --dry-run
    platform adapters train support --data support.csv --recipe recipe.toml
    platform adapters train support --data support.csv --recipe recipe.toml --set peft.r=8

[`platform adapters tune`](tuning.md) searches for good values and writes such a file.
"""

KEYS = """\
## Recipe keys

`auto` means that training chooses, from the data and the base, as the last column says.
"""

PRESETS_TEXT = """\
## Presets

`--preset NAME` starts from another recipe; `--recipe`, `--set` and `--base` change it further. \
The table shows the keys that differ from the default.
"""
PURPOSES = {
    "default": "the defaults. It is taken where no preset is named; named, it leaves out a "
    "domain's recipe, as every preset does.",
    "fast": "a quick look at whether the data works at all.",
    "seed": "the training of the classifier that this platform grew out of: plain LoRA with r=8, "
    "alpha=16 and dropout 0.1 on query, key, value and dense.",
}
"""What a preset is for, a line each."""

SETTINGS = f"""\
## Platform settings

A setting comes from an option of the command or an argument of `open_platform`, then from its \
environment variable, then from `{FILE}` in the working directory, then from its default. In the \
file a setting has its name from the first column. An environment variable that is empty counts \
as not set, except `{PREFIX}LOAD_PLUGINS`, where it is an empty list. A name that the file does \
not know and a value that cannot be are errors. `platform doctor` \
checks what the settings name.

```toml
# {FILE}
store = "/srv/adapters"
base = "multilingual"
default_adapter = "support"
device = "cuda:0"
threads = 4
report_to = "tensorboard"
```

The same for one command:

    {PREFIX}STORE=/srv/adapters {PREFIX}DEVICE=cpu platform classify --adapter support "late order"
"""

PLACES = """
Paths may begin with `~`. Those in the table are Linux's; `XDG_DATA_HOME` and `XDG_CACHE_HOME` \
move them. On macOS they are `~/Library/Application Support/adapter-platform/adapters` and \
`~/Library/Caches/adapter-platform`, on Windows `%LOCALAPPDATA%\\adapter-platform\\adapters` and \
`%LOCALAPPDATA%\\adapter-platform\\cache`.
"""

COMPUTED = {
    "store": "`~/.local/share/adapter-platform/adapters`",
    "cache": "`~/.cache/adapter-platform`",
}
"""Defaults of settings that depend on the system."""

MORE = {
    "peft_method": "[PEFT methods](methods.md)",
    "abstain": "[the step's settings](plugins.md#reference-built-in-steps)",
    "report_to": "[experiment trackers](tuning.md#experiment-trackers)",
    "route_reject": "[routing](routing.md)",
    "default_adapter": "[routing](routing.md)",
    "plugins_dir": "[plugins](plugins.md)",
}
"""Pages that say more of a key."""


def page() -> str:
    """The page as Markdown."""
    settings = ["setting", "environment variable", "values", "default", "meaning"]
    return (
        "\n".join(
            [
                INTRODUCTION,
                KEYS,
                _table(["key", "values", "default", "meaning"], key_rows(Recipe)),
                PRESETS_TEXT,
                *preset_lines(),
                SETTINGS,
                _table(settings, setting_rows(Settings)).rstrip("\n"),
                PLACES,
            ]
        ).rstrip("\n")
        + "\n"
    )


def key_rows(model: type[BaseModel]) -> Iterator[list[str]]:
    """A model's fields: name, allowed values, default and meaning.

    Raises:
        LookupError: the docstring's ``Attributes:`` are not the model's fields.
    """
    said = meanings(model)
    if odd := sorted(said.keys() ^ model.model_fields.keys()):
        raise LookupError(f"the docstring of {model.__name__} and its fields differ: {odd}")
    properties = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        more = f" More: {MORE[name]}." if name in MORE else ""
        if field.default_factory is not None and name in COMPUTED:
            default = COMPUTED[name]
        else:
            default = shown(field.get_default(call_default_factory=True))
        yield [f"`{name}`", values(properties[name]), default, said[name] + more]


def setting_rows(model: type[BaseModel]) -> Iterator[list[str]]:
    """As `key_rows`, with the environment variable after the name."""
    for name, *rest in key_rows(model):
        yield [name, f"`{PREFIX}{name.strip('`').upper()}`", *rest]


def preset_lines() -> Iterator[str]:
    """What presets are for, a table of the keys in which any differs, and what else they name."""
    usual = {
        name: field.get_default(call_default_factory=True)
        for name, field in Recipe.model_fields.items()
    }
    differ = [
        name
        for name, value in usual.items()
        if any(preset.get(name, value) != value for preset in PRESETS.values())
    ]
    for name in PRESETS:
        yield f"- `{name}`: {PURPOSES[name]}"
    yield ""
    rows = (
        [f"`{key}`", *(shown(preset.get(key, usual[key])) for preset in PRESETS.values())]
        for key in differ
    )
    yield _table(["key", *(f"`{name}`" for name in PRESETS)], rows)
    for name, preset in PRESETS.items():
        if same := [f"`{key}`" for key, value in preset.items() if usual[key] == value]:
            yield (
                f"`{name}` names {', '.join(same)} too. They have the default's values today, and "
                "keep them if a default changes.\n"
            )


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """The ``Attributes:`` of a class's docstring, as Markdown on one line each."""
    _, _, text = inspect.cleandoc(model.__doc__ or "").partition("\nAttributes:\n")
    said: dict[str, str] = {}
    for entry in re.split(r"\n(?= {4}\S)", text):
        names, _, meaning = entry.strip().partition(":")
        plain = re.sub(r"\s+", " ", meaning.strip()).replace("``", "`").replace("|", r"\|")
        said |= dict.fromkeys(re.split(r",\s*", names), plain)
    return said


def values(schema: Mapping[str, Any]) -> str:
    """The values that a field's JSON schema allows, in words."""
    parts = schema.get("anyOf", [schema])
    return ", ".join(_value(part) for part in parts if part.get("type") != "null")


def _value(schema: Mapping[str, Any]) -> str:
    if choices := schema.get("enum"):
        return ", ".join(f"`{choice}`" for choice in choices)
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema["type"] == "array":
        return f"list of {_value(schema['items'])}s"
    names = {
        "string": "path" if schema.get("format") == "path" else "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "`true`, `false`",
        "object": "table",
    }
    bounds = [
        f"{sign} {_number(schema[key])}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in schema
    ]
    return " ".join([names[schema["type"]], " and ".join(bounds)]).strip()


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def shown(value: Any) -> str:
    """A value as TOML has it, in backticks."""
    if value is None:
        return "not set"
    if value in ({}, [], ""):
        return "empty"
    return f"`{json.dumps(value) if isinstance(value, bool | list | dict) else value}`"


def _table(head: Sequence[str], rows: Iterator[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    print(page(), end="")
