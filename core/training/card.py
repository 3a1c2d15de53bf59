"""The model card: what an adapter is, how good it is, and how to run it without this platform."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ..engine.peft_groups import PROMPTS
from ..store.manifest import Manifest
from ..token_bag import FILE as BAG
from .report import against_probe

if TYPE_CHECKING:
    from .recipe import Recipe

FILE = "README.md"
MARKS = re.compile(r"[\\`*<>\[\]&~]|(?<![^\W_])_|_(?![^\W_])")
"""What Markdown would take for more than a character; an underscore not within a word."""

POOLING_LINES = {
    "mean": (
        'mask = batch["attention_mask"].unsqueeze(-1)',
        "pooled = (output.last_hidden_state * mask).sum(1) / mask.sum(1)",
    ),
    "cls": ("pooled = output.last_hidden_state[:, 0]",),
    "pooler": ("pooled = output.pooler_output",),
}
# A prompt's virtual tokens come before a text's own, and the head reads only these.
OWN_TOKENS = '    hidden = output.last_hidden_state[:, -batch["input_ids"].shape[1] :]'
PROMPT_POOLING_LINES = {
    "mean": (
        OWN_TOKENS,
        'mask = batch["attention_mask"].unsqueeze(-1)',
        "pooled = (hidden * mask).sum(1) / mask.sum(1)",
    ),
    "cls": (OWN_TOKENS, "pooled = hidden[:, 0]"),
    "pooler": (OWN_TOKENS, "    pooled = model.get_base_model().pooler(hidden)"),
}


BAG_LINES = (
    f'bag = load_file(adapter + "/{BAG}")',
    'for i, row in enumerate(batch["input_ids"]):',
    "    ids, counts = row.unique(return_counts=True)",
    '    known = torch.isin(bag["tokens"], ids)',
    '    x = (1 + counts[torch.isin(ids, bag["tokens"])].log()) * bag["idf"][known]',
    '    logits[i] += x / x.norm() @ bag["weight"][known]',
)


def reproduction(manifest: Manifest, base: str, adapter: str, text: str) -> str:
    """Python lines that give this adapter's logits with transformers, PEFT and safetensors alone.

    Args:
        base, adapter: the two directories, as they shall stand in the lines.
    """
    limit, stride = manifest.max_length, manifest.window_stride
    tokens = f"'truncation': True, 'max_length': {limit}, 'return_tensors': 'pt'"
    rest = []
    if stride is not None:
        tokens += f", 'stride': {stride}, 'return_overflowing_tokens': True, 'padding': True"
        rest = [
            'weights = batch["attention_mask"].sum(1, keepdim=True)  # of each window on the text',
            "logits = (logits * weights).sum(0, keepdim=True) / weights.sum()",
        ]
    by_pooling = PROMPT_POOLING_LINES if manifest.peft_method in PROMPTS else POOLING_LINES
    lines = [
        "import torch",
        "from peft import PeftModel",
        "from safetensors.torch import load_file",
        "from transformers import AutoModel, AutoTokenizer",
        "",
        f"base, adapter = {base!r}, {adapter!r}",
        "model = PeftModel.from_pretrained(AutoModel.from_pretrained(base), adapter).eval()",
        f"tokens = {{{tokens}}}",
        f"batch = AutoTokenizer.from_pretrained(base)([{text!r}], **tokens)",
        "with torch.no_grad():",
        '    output = model(**{k: batch[k] for k in ("input_ids", "attention_mask")})',
        *by_pooling[manifest.pooling],
        'head = load_file(adapter + "/head.safetensors")',
        'logits = pooled @ head["weight"].T + head["bias"]',
        *(BAG_LINES if manifest.token_bag else ()),
        *rest,
    ]
    return "\n".join(lines)


def write_card(
    manifest: Manifest, recipe: Recipe | None, report: Mapping[str, Any], example: str
) -> str:
    """The card in Markdown with the metadata block that the Hugging Face Hub reads.

    Args:
        recipe: None where nobody knows how the adapter was trained.
        example: a text for the lines that reproduce a prediction.
    """
    lines = reproduction(manifest, "BASE_DIRECTORY", "ADAPTER_DIRECTORY", example)
    sections = [
        _header(manifest),
        f"# {manifest.name}",
        manifest.description or "A text classifier.",
        _facts(manifest, recipe, report),
        "## Labels",
        _labels(manifest),
        "## Results",
        _results(report),
        "## Without the platform",
        _where_the_base_is(manifest),
        f"```python\n{lines}\n```",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _where_the_base_is(manifest: Manifest) -> str:
    base = manifest.base
    if PurePath(base.id).is_absolute():
        return (
            "The base is a directory of the machine on which the adapter was made; on another, its "
            f"copy is the one whose fingerprint begins with {_code(base.fingerprint[:12])} in "
            "`platform bases verify DIRECTORY`."
        )
    return _code(f"platform bases fetch {shlex.quote(base.id)}") + " prints the base's directory."


def _header(manifest: Manifest) -> str:
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        library_name="peft",
        pipeline_tag="text-classification",
        base_model=manifest.base.id,
        tags=["adapter-platform", "text-classification"],
    )
    return f"---\n{data.to_yaml()}\n---"


def _facts(manifest: Manifest, recipe: Recipe | None, report: Mapping[str, Any]) -> str:
    rows = [
        ("Kind", manifest.scheme.kind),
        ("Labels", str(len(manifest.scheme.classes))),
        ("Base", f"{_code(manifest.base.id)} ({manifest.base.fingerprint[:12]})"),
        ("Method", f"{manifest.peft_method}, {manifest.trainable_parameters:,} parameters"),
        ("Pooling", manifest.pooling),
        ("Reads", manifest.reads),
        ("Made", manifest.created),
    ]
    if manifest.token_bag:
        rows.append(("Token bag", f"{manifest.token_bag:,} tokens"))
    if recipe is not None:
        rows.append(("Seed", str(recipe.seed)))
    if manifest.worse_than_probe:
        figures = against_probe(report)
        tail = f": {figures}" if figures else ""
        rows.append(("Warning", f"worse than logistic regression on the frozen base{_plain(tail)}"))
    return _table(("", ""), rows)


def _labels(manifest: Manifest) -> str:
    lines = []
    for label in manifest.scheme.labels:
        names = _plain(", ".join(label.display.values()))
        tail = f": {_plain(label.description)}" if label.description else ""
        lines.append(f"- {_code(label.name)}{f' ({names})' if names else ''}{tail}")
    return "\n".join(lines)


def _results(report: Mapping[str, Any]) -> str:
    parts = []
    for split in ("val", "test"):
        evaluation = report.get(split)
        if not evaluation:
            continue
        parts.append(f"On the {split} split, {evaluation['n']} texts:")
        parts.append(_comparison(report, split))
        if split == "test":
            parts += [_trust(evaluation), _slices(evaluation), _per_class(evaluation)]
    parts += [f"- {_plain(note)}" for note in report.get("notes", ())]
    return "\n\n".join(part for part in parts if part) or "Not judged: there was too little data."


def _comparison(report: Mapping[str, Any], split: str) -> str:
    ours = report[split]["metrics"]
    columns = {"this adapter": ours}
    names = {"probe": "logistic regression, frozen base", "tfidf": "TF-IDF"}
    for key, title in names.items():
        baseline = report.get("baselines", {}).get(key, {}).get(split)
        if baseline:
            columns[title] = baseline
    rows = [(metric, *(_percent(c.get(metric)) for c in columns.values())) for metric in ours]
    intervals = report[split].get("intervals")
    if not intervals:
        return _table(("", *columns), rows)
    first, *others = columns
    return _table(
        ("", first, "its 95 % interval", *others),
        [(name, own, _interval(intervals[name]), *rest) for name, own, *rest in rows],
    )


def _interval(ends: Sequence[float]) -> str:
    return " to ".join(map(_percent, ends))


def _trust(evaluation: Mapping[str, Any]) -> str:
    """Whether its confidence can be believed, and what answering only the sure texts gains."""
    calibration, coverage = evaluation.get("calibration"), evaluation.get("coverage")
    if not calibration or not coverage:
        return ""
    sentences = f"Expected calibration error: {_percent(calibration['ece'])} %."
    at = coverage["at_limit"]
    if at is None:
        return f"{sentences} No share of these texts can be answered with at most 5 % wrong."
    answered, right = _percent(at["coverage"]), _percent(at["accuracy"])
    return (
        f"{sentences} Answering only from confidence {at['confidence']:.2f} on, {answered} % of "
        f"these texts are answered, {right} % of them rightly."
    )


def _slices(evaluation: Mapping[str, Any]) -> str:
    primary = evaluation["primary"]
    metrics = [m for m in (primary, "coarse_accuracy") if m in evaluation["metrics"]]
    rows = [
        (_plain(f"{column} = {value}"), str(figures["n"]), *(_percent(figures[m]) for m in metrics))
        for column, groups in evaluation["slices"].items()
        for value, figures in groups.items()
    ]
    return _table(("slice", "texts", *metrics), rows) if rows else ""


def _per_class(evaluation: Mapping[str, Any]) -> str:
    figures = ("precision", "recall", "f1")
    return _table(
        ("label", "precision", "recall", "F1", "support"),
        [
            (
                _plain(row["label"]),
                *(_percent(row[f] if row["support"] else None) for f in figures),
                str(row["support"]),
            )
            for row in evaluation["per_class"]
        ],
    )


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown themselves."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _plain(text: str) -> str:
    """Markdown, in one line, that reads as the text."""
    return MARKS.sub(r"\\\g<0>", " ".join(text.split()))


def _code(text: str) -> str:
    """The text as code, between more backticks than stand in it."""
    line = " ".join(text.split())
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    blank = " " if line[:1] == "`" or line[-1:] == "`" else ""
    return f"{ticks}{blank}{line}{blank}{ticks}"
