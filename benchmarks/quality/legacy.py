"""``python -m benchmarks.quality.legacy``: answers of hand-written LoRA before and after import.

Checkpoints as the first classifier saved them, of random BERTs with random LoRA far from zero:
three tiny ones and one of bert-base-chinese's size. What is judged is the largest error of a logit
against the old model's in float64: after ``import-legacy``, by each engine, over the old model's
own in float32.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
import typer
from transformers import AutoModelForSequenceClassification, BertConfig, BertModel

from adapter_platform.core.engine.encoder import building_quietly
from adapter_platform.plugins.testing.bases import make_tiny_base

from ..machine import facts, undisturbed
from .document import JsonFile, present

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tokens = tuple[int, ...]
    Logits = NDArray[np.floating[Any]]

TARGETS = ("query", "key", "value", "intermediate.dense")
LABELS = ("数据平台", "general chat", "irrelevant")
ENGINES = ("peft", "packed", "numpy")
MUST, AIM = 2.0, 1.2
TEXTS, LONGEST = 48, 128  # tokens
SETTINGS: Mapping[str, tuple[int, float]] = {
    "tiny, rank 1, alpha 16": (1, 16),
    "tiny, rank 4, alpha 8": (4, 8),
    "tiny, rank 8, alpha 16.5": (8, 16.5),
    "base size, rank 8, alpha 16": (8, 16),
}


class LoRALayer(torch.nn.Module):
    """The hand-written layer: ``original(x) + B(dropout(A(x))) * scaling``."""

    def __init__(self, original: torch.nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.original = original
        self.lora_A = torch.nn.Linear(original.in_features, rank, bias=False)
        self.lora_B = torch.nn.Linear(rank, original.out_features, bias=False)
        self.dropout = torch.nn.Dropout(0.1)
        self.scaling = alpha / rank

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low: torch.Tensor = self.lora_B(self.dropout(self.lora_A(x)))
        return torch.add(self.original(x), low * self.scaling)


class OldModel:
    """The first classifier, its LoRA and its classifier random.

    Args:
        base: a directory.
        layers: how many have LoRA, from the first; None: all.
        spread: standard deviation of the second factors' weights in the first layer.
    """

    def __init__(
        self,
        base: Path,
        rank: int,
        alpha: float,
        layers: int | None = None,
        spread: float = 0.3,
    ) -> None:
        self.config = {"rank": rank, "alpha": alpha, "dropout": 0.1}
        with building_quietly():
            self.model: Any = AutoModelForSequenceClassification.from_pretrained(
                base, num_labels=len(LABELS)
            )
        for index, layer in enumerate(self.model.bert.encoder.layer[:layers]):
            attention = layer.attention.self
            for parent, name in [(attention, n) for n in TARGETS[:3]] + [
                (layer.intermediate, "dense")
            ]:
                lora = LoRALayer(getattr(parent, name), rank, alpha)
                torch.nn.init.normal_(lora.lora_B.weight, std=spread * (1 + index / 3))
                setattr(parent, name, lora)
        torch.nn.init.normal_(self.model.classifier.weight)
        torch.nn.init.normal_(self.model.classifier.bias)
        self.model.eval()

    def save(self, directory: Path) -> Path:
        """Writes the folder that it was kept in."""
        directory.mkdir()
        torch.save(self.state(), directory / "lora_weights.pth")
        (directory / "lora_config.json").write_text(json.dumps(self.config), encoding="utf-8")
        names = json.dumps(dict(enumerate(LABELS)), ensure_ascii=False)
        (directory / "label_map.json").write_text(names, encoding="utf-8")
        return directory

    def state(self) -> dict[str, Any]:
        """What `lora_weights.pth` held."""
        state = self.model.state_dict()
        return {
            "lora_weights": {name: t for name, t in state.items() if ".lora_" in name},
            "classifier_weights": self.model.classifier.state_dict(),
            "lora_config": self.config,
        }

    def logits(self, rows: Sequence[Tokens], dtype: torch.dtype = torch.float32) -> Logits:
        """``(rows, labels)``, each row of token ids alone."""
        model = self.model.to(dtype)
        with torch.no_grad():
            found = [model(input_ids=torch.tensor([row])).logits for row in rows]
        self.model.to(torch.float32)
        return np.asarray(torch.cat(found).numpy())


def berts_size(directory: Path) -> Path:
    """A random BERT of the size of bert-base-chinese, with a vocabulary of characters."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=21128)
    BertModel(config).save_pretrained(directory)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(chr(0x4E00 + i) for i in range(20902))]
    words += [f"[unused{i}]" for i in range(config.vocab_size - len(words))]
    (directory / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    return directory


def measured(base: Path, old: OldModel, scratch: Path) -> Iterator[dict[str, Any]]:
    """A line an engine.

    Args:
        scratch: an empty directory.
    """
    from adapter_platform.core.engine.choice import ColdStart, Engines
    from adapter_platform.core.engine.protocol import Row
    from adapter_platform.core.registry import NullListener
    from adapter_platform.plugins import open_platform

    dice = np.random.default_rng(0)
    words = json.loads((base / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    lengths = np.geomspace(1, LONGEST, TEXTS).astype(int)
    rows = [tuple(dice.integers(5, words, length).tolist()) for length in lengths]
    exact = old.logits(rows, torch.float64)
    own = float(np.abs(old.logits(rows) - exact).max())
    folder = old.save(scratch / "old_model")
    with open_platform(store=scratch / "store", base=str(base)) as platform:
        source = platform.resolve(platform.import_legacy(folder, str(base), "imported").reference)
        asked = [Row(row, source) for row in rows]
        found = platform.bases.resolve(str(base))
        engines = Engines(found, platform.settings, NullListener(), ColdStart(0))
        for engine in ENGINES:
            logits = np.stack([answer.logits for answer, _ in engines.answers(asked, engine)])
            error = float(np.abs(logits - exact).max())
            yield {"engine": engine, "ratio": error / own, "error": error, "own": own}
        engines.close()


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The figures as they are shown."""
    yield f"{'largest error of a logit over the old model' + chr(39) + 's':46}" + "".join(
        f"{engine:>8}" for engine in ENGINES
    )
    for name in dict.fromkeys(line["checkpoint"] for line in document["lines"]):
        ratios = {
            line["engine"]: line["ratio"]
            for line in document["lines"]
            if line["checkpoint"] == name
        }
        yield f"{name:46}" + "".join(f"{ratios[engine]:8.2f}" for engine in ENGINES)
    yield f"must {MUST}, aim {AIM}"


def main(
    json_file: JsonFile = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="START", help="Checkpoints; else all.")
    ] = None,
) -> None:
    """Imports checkpoints of hand-written LoRA; exit code 1 where an answer is off."""
    undisturbed()
    for start in only or ():
        if not any(name.startswith(start) for name in SETTINGS):
            raise typer.BadParameter(f"--only {start}: there are {', '.join(SETTINGS)}")
    found = []
    for number, (name, (rank, alpha)) in enumerate(SETTINGS.items()):
        if only and not name.startswith(tuple(only)):
            continue
        with tempfile.TemporaryDirectory(prefix="legacy-") as folder:
            scratch = Path(folder)
            tiny = name.startswith("tiny")
            with building_quietly():
                base = (
                    make_tiny_base(scratch / "base", seed=number)
                    if tiny
                    else berts_size(scratch / "base")
                )
            torch.manual_seed(number)
            old = OldModel(base, rank, alpha, spread=0.3 if tiny else 0.03)
            found += [{"checkpoint": name, **line} for line in measured(base, old, scratch)]
    document = {"lines": found, "machine": facts(torch.get_num_threads())}
    present(document, lines, json_file)
    if any(line["ratio"] > MUST for line in found):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
