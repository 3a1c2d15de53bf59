"""How fast, small and exact the engines are, each figure beside a named peer's.

``python -m benchmarks --help``. Part of the repository, not of the wheel.
"""
