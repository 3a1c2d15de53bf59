"""A manifest as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from adapter_platform.core.scope import has_scope

from .. import output
from .table import pad, width

if TYPE_CHECKING:
    from pathlib import Path

    from adapter_platform.core.store.manifest import Manifest


def describe(manifest: Manifest, versions: str, directory: Path) -> list[str]:
    """Lines ``what  value``: everything but labels, report and files.

    Args:
        versions: of the adapter's name, in words.
    """
    facts = [(what, output.printable(value)) for what, value in _facts(manifest, versions) if value]
    facts.append(("directory", output.printable(str(directory))))
    cells = max(width(what) for what, _ in facts)
    return [f"{pad(what, cells)}  {value}" for what, value in facts]


def _facts(manifest: Manifest, versions: str) -> Iterator[tuple[str, str]]:
    yield "adapter", manifest.reference
    yield "description", manifest.description
    yield "versions", versions
    yield "parent", "" if manifest.parent is None else f"{manifest.name}@{manifest.parent}"
    yield "created", manifest.created
    scheme = manifest.scheme
    yield "labels", f"{len(scheme.classes)}, {scheme.kind}"
    base = manifest.base
    yield "base", f"{base.id} ({base.layers} layers of {base.hidden_size}, {base.architecture})"
    yield "base fingerprint", base.fingerprint
    yield "method", f"{manifest.peft_method}, {manifest.trainable_parameters:,} parameters trained"
    tokens = f", and {manifest.token_bag:,} tokens by themselves" if manifest.token_bag else ""
    yield "head", f"{manifest.pooling} pooling{tokens}"
    yield "reads", manifest.reads
    for number, step in enumerate(manifest.postprocess, start=1):
        settings = ", ".join(f"{key}={value}" for key, value in step.settings.items())
        by = f"{step.plugin} {step.version}".strip()
        yield f"step {number}", f"{step.name}({settings})" + (f" by {by}" if by else "")
    yield "temperature", f"{manifest.calibration.temperature:.3f}"
    yield "scope", "fitted on the validation texts" if has_scope(manifest) else "none"
    if manifest.worse_than_probe:
        from adapter_platform.core.store.manifest import WORSE

        yield "warning", WORSE
    yield "data", manifest.data_fingerprint
    yield "made with", _libraries(manifest)


def _libraries(manifest: Manifest) -> str:
    ours = f"adapter-platform {manifest.platform_version}" if manifest.platform_version else ""
    others = [f"{name} {version}" for name, version in sorted(manifest.libraries.items())]
    return ", ".join(filter(None, [ours, *others]))
