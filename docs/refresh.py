"""Runs the commands that the documents show and writes their output beneath them.

A block that starts with ``<!-- $ COMMAND -->`` is followed by a fenced block of what the command
printed. ``python docs/refresh.py`` writes those blocks anew; ``--check`` compares them and exits 1
if one is not true. What is read from shipped files must be the same to the last digit; what a model
computes may differ by one in its last place, as it does from machine to machine.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    "README.md",
    "README.zh-CN.md",
    "docs/performance.md",
    "docs/methods.md",
    "docs/quality.md",
)
BLOCK = re.compile(r"(<!-- \$ (?P<command>.+?) -->\n+```text\n)(?P<output>.*?)(?P<end>```\n)", re.S)


NUMBER = re.compile(r"\d+(?:\.\d+)?")
COMPUTED = "platform classify "  # begins the commands whose figures a model computes


def run(command: str, store: str) -> str:
    """What a command prints on standard output, in an empty store, 100 columns wide."""
    binaries = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}",
        "PLATFORM_STORE": store,
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        shlex.split(command), capture_output=True, text=True, env=environment, cwd=ROOT, check=True
    )
    lines = done.stdout.replace(store, "~/.local/share/adapter-platform/adapters").splitlines()
    return "".join(line.rstrip() + "\n" for line in lines)


def is_true(shown: str, printed: str, command: str) -> bool:
    """Whether a block shows what the command prints, padding and ruled lines aside."""
    texts = [re.sub(r"[\s━─-]+", " ", NUMBER.sub("#", text)) for text in (shown, printed)]
    numbers = [NUMBER.findall(text) for text in (shown, printed)]
    if texts[0] != texts[1]:
        return False
    return all(_agree(*pair, command) for pair in zip(*numbers, strict=True))


def _agree(one: str, other: str, command: str) -> bool:
    places = len(one.partition(".")[2])
    if not command.startswith(COMPUTED) or not places or len(other.partition(".")[2]) != places:
        return one == other
    return abs(Decimal(one) - Decimal(other)) <= Decimal(1).scaleb(-places)


def main() -> int:
    check = "--check" in sys.argv[1:]
    untrue = 0
    with tempfile.TemporaryDirectory() as store:
        for name in DOCUMENTS:
            path = ROOT / name
            text = path.read_text(encoding="utf-8")

            def renew(match: re.Match[str], name: str = name) -> str:
                nonlocal untrue
                output = run(match["command"], store)
                if check and not is_true(match["output"], output, match["command"]):
                    untrue += 1
                    print(f"{name}: {match['command']} now prints:\n{output}", file=sys.stderr)
                return f"{match[1]}{output}{match['end']}"

            renewed = BLOCK.sub(renew, text)
            if not check:
                path.write_text(renewed, encoding="utf-8")
    return 1 if untrue else 0


if __name__ == "__main__":
    sys.exit(main())
