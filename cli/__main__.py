"""``python -m adapter_platform.cli``: the command where its script is not on the path."""

from .entry import main

main()
