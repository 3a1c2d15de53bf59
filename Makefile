# Everything that the README names, each target setting itself up: Python 3.11 or newer and make are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PLATFORM := $(BIN)/platform

.PHONY: demo test lint types wheel check docs clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/installed
	$(PLATFORM) classify --adapter data_eng "数据清洗流程是什么？"
	$(PLATFORM) classify --adapter data_eng "How do I deduplicate a table?"

test: $(VENV)/installed
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

# mypy follows an installed namespace package only through its directory: an ordinary install has one.
types: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --target build/types --upgrade .
	MYPYPATH=build/types $(BIN)/mypy --explicit-package-bases -p adapter_platform.core -p adapter_platform.plugins -p adapter_platform.cli

wheel: $(VENV)/installed
	rm -rf dist build/lib
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

check: lint types test

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
