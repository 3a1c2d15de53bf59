"""Ways of learning a set: ours, and what it has to be better than.

The others learn from a set's texts alone; ours reads labels' names too, unless its recipe says not.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from transformers import Trainer, TrainingArguments, set_seed

from adapter_platform.core.engine.encoder import load_encoder, pad, pooled
from adapter_platform.core.errors import AdapterNotFound
from adapter_platform.core.platform import Platform
from adapter_platform.core.training.judged import Scores, refitted
from adapter_platform.core.training.linear import tfidf_logits
from adapter_platform.core.training.prepare import Prepared, features, prepare
from adapter_platform.core.training.recipe import FILE as RECIPE
from adapter_platform.core.training.recipe import make_recipe, read_recipe
from adapter_platform.core.training.requests import make_request

from ..row import NotHere
from .sets import Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adapter_platform.core.store.manifest import Manifest
    from adapter_platform.core.training.workshop import Workshop

    Logits = Mapping[str, NDArray[np.floating[Any]]]

PARTS = ("train", "val", "test")
FULL_RATES = {"full-5e-5": 5e-5, "full-2e-4": 2e-4}  # learning rates of full fine-tuning
FULL_EPOCHS = {"few": 20, "many": 4}  # by whether a class has fewer than `MANY` examples
MANY = 50
SETFIT = "pip install -c constraints.txt setfit==1.2.0"


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of it.

    Attributes:
        scores: logits on validation and test, calibrated on validation.
        seconds: of learning, reading of the texts included; None where it had been learnt before.
    """

    prepared: Prepared
    scores: Scores
    seconds: float | None

    @property
    def given(self) -> NDArray[np.int64]:
        """The classes given to test texts: indices, or 0/1 rows for multi-label sets."""
        scheme, calibration = self.prepared.scheme, self.scores.calibration
        probabilities = scheme.probabilities(self.scores.logits["test"], calibration.temperature)
        if scheme.kind != "multi":
            return np.asarray(probabilities.argmax(axis=1))
        limits = np.array([calibration.thresholds.get(name, 0.5) for name in scheme.classes])
        return (probabilities >= limits).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Task:
    """A set to learn.

    Attributes:
        files: its rows by split.
        settings: of the recipe.
    """

    sample: Sample
    files: Mapping[str, str]
    platform: Platform
    settings: Mapping[str, Any]

    def prepared(self, **settings: Any) -> tuple[Prepared, Workshop]:
        """The set as training would see it, by more settings of the recipe."""
        options = {"seed": self.sample.seed, **self.settings, **settings}
        request = make_request(
            self.sample.adapter,
            self.files,
            self.platform.registry,
            self.platform.settings.base,
            settings=options,
        )
        workshop = self.platform._workshop()
        return prepare(request, workshop), workshop


def ours(task: Task) -> Learnt:
    """The platform's own training, judged through its engine."""
    began = time.perf_counter()
    settings = {"seed": task.sample.seed, **task.settings}
    manifest, found = trained(task.platform, task.sample.adapter, task.files, settings)
    seconds = None if found else time.perf_counter() - began
    prepared, _ = task.prepared()
    return Learnt(prepared, published_scores(task, manifest, prepared), seconds)


def trained(
    platform: Platform, name: str, files: Mapping[str, str], settings: Mapping[str, Any]
) -> tuple[Manifest, bool]:
    """The store's adapter of that name and recipe, trained first if it has none; whether it had."""
    try:
        source = platform.resolve(name)
        if digest(read_recipe(source.path / RECIPE)) == digest(settings):
            return source.manifest, True
    except AdapterNotFound:
        pass
    return platform.train(name, files, settings=settings, allow_worse=True).manifest, False


def digest(settings: Mapping[str, Any]) -> str:
    """The same for the same recipe, whatever of it is said and what is left to the defaults."""
    recipe = make_recipe({**settings, "base": None, "seed": 0})
    said = recipe.model_dump_json(exclude_defaults=True)
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def published_scores(task: Task, manifest: Manifest, prepared: Prepared) -> Scores:
    """Of validation and test texts, by the adapter that was published, through the engine."""
    texts = {s: [e.text for e in prepared.examples(s)] for s in ("val", "test")}
    logits = {s: task.platform.logits(texts[s], manifest.reference) for s in texts}
    return Scores(logits, manifest.calibration)


def probe(task: Task, *, label_texts: bool = False) -> Learnt:
    """Logistic regression on the frozen base's pooled states.

    Args:
        label_texts: whether it learns from labels' names too, as ours does.
    """
    began = time.perf_counter()
    prepared, workshop = task.prepared(label_texts=label_texts)
    encoder = load_encoder(prepared.base, workshop.device)
    scores = refitted(_states(encoder, prepared, workshop), prepared).scores
    return Learnt(prepared, scores, time.perf_counter() - began)


def tfidf(task: Task) -> Learnt:
    """Logistic regression on TF-IDF of words and characters."""
    began = time.perf_counter()
    prepared, _ = task.prepared(label_texts=False)
    texts = {split: [e.text for e in prepared.examples(split)] for split in PARTS}
    wanted = prepared.wanted
    val, test = tfidf_logits(
        prepared.scheme,
        (texts["train"], wanted["train"]),
        (texts["val"], wanted["val"]),
        (texts["val"], texts["test"]),
        balanced=prepared.balanced,
    )
    scores = Scores.of({"val": val, "test": test}, prepared)
    return Learnt(prepared, scores, time.perf_counter() - began)


class PlainClassifier(torch.nn.Module):
    """An encoder, and a linear layer over its pooled states, trained by cross-entropy alone.

    Args:
        encoder: what of it is to be trained asks for gradients.
    """

    def __init__(self, encoder: torch.nn.Module, prepared: Prepared) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = torch.nn.Linear(prepared.base.hidden_size, len(prepared.scheme.classes))
        self._pooling = prepared.pooling
        multi = prepared.scheme.kind == "multi"
        self._loss = torch.nn.BCEWithLogitsLoss() if multi else torch.nn.CrossEntropyLoss()
        self._multi = multi

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        logits = self.head(pooled(self.encoder, input_ids, attention_mask, self._pooling))
        return {"loss": self._loss(logits, labels.float() if self._multi else labels)}

    def scores(self, prepared: Prepared, workshop: Workshop) -> Scores:
        """Of validation and test texts."""
        self.eval()
        states = _states(self.encoder, prepared, workshop)
        weight, bias = (t.detach().cpu().numpy() for t in (self.head.weight, self.head.bias))
        logits = {split: states[split] @ weight.T + bias for split in ("val", "test")}
        return Scores.of(logits, prepared)


class UsedRows(torch.nn.Module):
    """Those rows of a table of embeddings that some token ids read.

    The rest would get no gradient in a training on these ids and change no answer to them: left
    out, the training is the same, and an optimiser does not walk through all the vocabulary.
    """

    place: torch.Tensor

    def __init__(self, table: torch.nn.Embedding, ids: torch.Tensor) -> None:
        super().__init__()
        rows = torch.unique(ids)
        place = torch.zeros(table.num_embeddings, dtype=torch.long)
        place[rows] = torch.arange(len(rows))
        self.register_buffer("place", place)
        unmoved = table.padding_idx  # gets no gradient
        self.table = torch.nn.Embedding(
            len(rows),
            table.embedding_dim,
            padding_idx=int(place[unmoved]) if unmoved in rows else None,
            _weight=table.weight.detach()[rows],
        )

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.table(self.place[ids])  # type: ignore[no-any-return]  # a module's call is Any


def full(task: Task, rate: float) -> Learnt:
    """Full fine-tuning of the same base by the plain Trainer, texts of like length together."""
    began = time.perf_counter()
    prepared, workshop = task.prepared(label_texts=False)
    set_seed(task.sample.seed)
    encoder: Any = load_encoder(prepared.base, workshop.device).requires_grad_(True)
    read = {prepared.base.pad_id}.union(*(row for rows in prepared.rows.values() for row in rows))
    table = encoder.get_input_embeddings()
    encoder.set_input_embeddings(UsedRows(table, torch.tensor(sorted(read))))
    model = PlainClassifier(encoder, prepared)
    per_class = len(prepared.rows["train"]) / len(prepared.scheme.classes)
    fit_plainly(
        model,
        prepared,
        workshop.device,
        epochs=FULL_EPOCHS["many" if per_class >= MANY else "few"],
        rate=rate,
        seed=task.sample.seed,
        sampling="group_by_length",
    )
    return Learnt(prepared, model.scores(prepared, workshop), time.perf_counter() - began)


def setfit(task: Task) -> Learnt:
    """SetFit on the same base, as its paper has it: pairs of texts, then logistic regression.

    Tunstall et al. 2022, section 3: 20 pairs of each kind a text, one epoch of batches of 16,
    cosine similarity, learning rate 2e-5. Raises `NotHere`.
    """
    if find_spec("setfit") is None:
        raise NotHere(SETFIT)
    import setfit as peer
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    began = time.perf_counter()
    prepared, workshop = task.prepared(label_texts=False)
    texts = {split: [e.text for e in prepared.examples(split)] for split in PARTS}
    tokens = Transformer(str(prepared.base.path), max_seq_length=prepared.max_length)
    body = SentenceTransformer(
        modules=[tokens, Pooling(prepared.base.hidden_size, prepared.pooling)],
        device=str(workshop.device),
    )
    model = peer.SetFitModel(body, LogisticRegression(max_iter=1000))
    arguments = peer.TrainingArguments(
        output_dir=tempfile.gettempdir(),  # nothing is written there
        batch_size=16,
        num_epochs=1,
        num_iterations=20,
        seed=task.sample.seed,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        show_progress_bar=False,
    )
    rows = Dataset.from_dict({"text": texts["train"], "label": prepared.wanted["train"].tolist()})
    peer.Trainer(model=model, args=arguments, train_dataset=rows).train()
    logits = {
        split: model.model_head.decision_function(body.encode(texts[split]))
        for split in ("val", "test")
    }
    return Learnt(prepared, Scores.of(logits, prepared), time.perf_counter() - began)


def fit_plainly(
    model: torch.nn.Module,
    prepared: Prepared,
    device: torch.device,
    *,
    epochs: int,
    rate: float,
    seed: int,
    batch_size: int = 32,
    sampling: str = "random",
) -> None:
    """transformers' Trainer as its users have it: each batch padded to its longest text.

    Args:
        sampling: the Trainer's ``train_sampling_strategy``.
    """

    def collate(texts: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        rows = [text["input_ids"] for text in texts]
        ids, mask = pad(rows, prepared.base.pad_id, torch.device("cpu"))
        labels = torch.tensor(np.array([text["labels"] for text in texts]))
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}

    arguments = TrainingArguments(
        output_dir=tempfile.gettempdir(),  # nothing is written there
        use_cpu=device.type == "cpu",
        per_device_train_batch_size=batch_size,
        num_train_epochs=epochs,
        learning_rate=rate,
        weight_decay=0.01,
        warmup_steps=0.1,
        seed=seed,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        train_sampling_strategy=sampling,
    )
    texts = zip(prepared.rows["train"], prepared.wanted["train"], strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        Trainer(
            model=model,
            args=arguments,
            train_dataset=[{"input_ids": row, "labels": wanted} for row, wanted in texts],
            data_collator=collate,
        ).train()


def _states(encoder: Any, prepared: Prepared, workshop: Workshop) -> dict[str, Any]:
    return {
        split: features(
            encoder,
            prepared.rows[split],
            prepared.pooling,
            prepared.base.pad_id,
            workshop,
            lambda *_: None,
        )
        for split in PARTS
    }


LEARNERS: Mapping[str, Callable[[Task], Learnt]] = {
    "tfidf": tfidf,
    "probe": probe,
    "probe-names": partial(probe, label_texts=True),
    **{name: partial(full, rate=rate) for name, rate in FULL_RATES.items()},
    "setfit": setfit,
    "ours": ours,
}
