"""A workshop on a tiny base, and small files of texts whose topics have words of their own."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from adapter_platform.core.bases import Bases
from adapter_platform.core.labels import LabelScheme
from adapter_platform.core.registry import Brought, Domain, NullListener, Registry, Step
from adapter_platform.core.store.store import Store
from adapter_platform.plugins.postprocess.abstain import Abstain
from adapter_platform.plugins.sources.csv_file import CsvSource
from adapter_platform.plugins.sources.jsonl import JsonlSource

if TYPE_CHECKING:
    from adapter_platform.core.bases import Base
    from adapter_platform.core.training.model import Classifier
    from adapter_platform.core.training.requests import TrainingRequest
    from adapter_platform.core.training.workshop import Workshop

WriteTexts = Callable[..., str]
MakeRequest = Callable[..., "TrainingRequest"]
MakeClassifier = Callable[..., "Classifier"]

TOPICS: Mapping[str, Sequence[str]] = {
    "refund": ["money", "refund", "charged", "invoice", "amount", "paid", "cent", "euro"],
    "delivery": ["parcel", "late", "courier", "box", "tracking", "street", "shipped", "van"],
    "login": ["password", "login", "email", "reset", "locked", "code", "sign", "user"],
}
FILLER = ["please", "my", "is", "not", "when", "how", "why", "it", "this", "you"]
EASY = {"epochs": 1, "max_length": 32, "batch_size": 8}
"""Settings that make a training a matter of a second."""
SCHEME = LabelScheme.of("single", sorted(TOPICS))


def make_text(topics: Iterable[str], draw: random.Random) -> str:
    """Some words of each topic between words that mean nothing."""
    words = [word for topic in topics for word in draw.sample(TOPICS[topic], 3)]
    words += draw.sample(FILLER, 3)
    draw.shuffle(words)
    return " ".join(words)


def write_rows(path: Path, rows: Iterable[Mapping[str, str]]) -> str:
    """A CSV file of the rows; returns its URI."""
    rows = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return f"csv:{path}"


def write_topics(
    path: Path, counts: Mapping[str, int], seed: int = 0, split: str | None = None
) -> str:
    """See `write_texts`."""
    draw = random.Random(seed)
    rows = []
    for label, count in counts.items():
        topics = [part.rpartition("/")[2] for part in label.split("|")]
        for _ in range(count):
            row = {"text": make_text(topics, draw), "label": label}
            rows.append(row | ({"split": split} if split else {}))
    draw.shuffle(rows)
    return write_rows(path, rows)


@pytest.fixture
def write_texts(tmp_path: Path) -> WriteTexts:
    """``write_texts(counts, name=...)``: so many texts of each label; the file's URI.

    A label ``shop/refund`` has the words of ``refund``, and ``refund|login`` those of both.
    """

    def write(
        counts: Mapping[str, int], name: str = "texts", seed: int = 0, split: str | None = None
    ) -> str:
        return write_topics(tmp_path / f"{name}.csv", counts, seed, split)

    return write


@pytest.fixture
def texts(write_texts: WriteTexts) -> str:
    """Three topics, sixteen texts each."""
    return write_texts(dict.fromkeys(TOPICS, 16))


@pytest.fixture
def registry() -> Registry:
    """The sources and a step, as the built-in plugins bring them."""
    return Registry(
        sources={
            "csv": Brought(CsvSource(), "sources"),
            "jsonl": Brought(JsonlSource(), "sources"),
        },
        postprocessors={"abstain": Brought(Abstain(), "postprocess", "0.1")},
    )


@pytest.fixture
def with_domain(registry: Registry, write_texts: WriteTexts) -> Registry:
    """The registry with the domain ``support``, whose data is one file without splits."""
    domain = Domain(
        name="support",
        data={"train": write_texts(dict.fromkeys(TOPICS, 12))},
        description="What customers ask.",
        scheme=SCHEME,
        recipe={"epochs": 4, "peft": {"r": 4}},
        postprocess=(Step("abstain", {"threshold": 0.5}),),
        columns={"text": "text", "label": "label"},
    )
    return replace(registry, domains={"support": Brought(domain, "mine", "1.0")})


@pytest.fixture(scope="session")
def one_thread() -> None:
    """So little arithmetic is slowed by threads, most of all where others use the cores too."""
    import sklearn.linear_model  # noqa: F401 (its libraries must be there to be limited)
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1)


@pytest.fixture
def workshop(tmp_path: Path, registry: Registry, one_thread: None) -> Workshop:
    """An empty store and cache, on one thread of the CPU."""
    import torch

    from adapter_platform.core.training.workshop import Workshop

    return Workshop(
        store=Store(tmp_path / "store"),
        bases=Bases(registry, tmp_path / "cache"),
        registry=registry,
        listener=NullListener(),
        device=torch.device("cpu"),
        batch_tokens=1024,
        cache=tmp_path / "cache",
    )


@pytest.fixture
def ask(tiny_base: Path, texts: str) -> MakeRequest:
    """``ask(preset=..., request={...}, **settings)``: a request to train ``support``."""

    def make(
        *,
        data: str | Mapping[str, str] | None = None,
        base: Path | None = None,
        preset: str | None = None,
        request: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> TrainingRequest:
        from adapter_platform.core.training.recipe import make_recipe
        from adapter_platform.core.training.requests import TrainingRequest

        data = data or texts
        easy = {} if preset else EASY
        return TrainingRequest(
            **{
                "name": "support",
                "data": {"all": data} if isinstance(data, str) else data,
                "recipe": make_recipe(easy, settings, preset=preset),
                "base_id": str(base or tiny_base),
                **(request or {}),
            }
        )

    return make


@pytest.fixture
def make_classifier(tiny: Base, one_thread: None) -> MakeClassifier:
    """``make_classifier(peft_method=..., peft=..., pooling=...)``: a fresh network to train."""
    import torch

    from adapter_platform.core.engine.encoder import load_encoder
    from adapter_platform.core.training.model import Classifier, peft_config, wrap
    from adapter_platform.core.training.recipe import make_recipe

    def make(
        *,
        pooling: Any = "mean",
        classes: int = 3,
        loss: Mapping[str, Any] | None = None,
        **recipe: Any,
    ) -> Classifier:
        torch.manual_seed(0)
        encoder = load_encoder(tiny, torch.device("cpu"))
        model = wrap(encoder, peft_config(make_recipe(recipe), pooling, tiny.record(), 100))
        head = torch.nn.Linear(tiny.hidden_size, classes)
        return Classifier(model, head, pooling, **{"multi": False, **(loss or {})})

    return make
