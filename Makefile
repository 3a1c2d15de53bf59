# Everything that the README names, each target setting itself up: Python 3.11 or newer and make are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PLATFORM := $(BIN)/platform

.PHONY: demo test lint docs starters benchmarks wheel check clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/installed
	$(PLATFORM) classify --adapter data_eng "数据清洗流程是什么？"
	$(PLATFORM) classify --adapter data_eng "How do I deduplicate a table?"

test: $(VENV)/installed
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST)

# Linters that follow imports see a namespace package only where it lies in one directory, as an
# ordinary install has it.
ONE_TREE := build/tree
PACKAGES := core plugins cli

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf $(ONE_TREE) build/lib
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --target $(ONE_TREE) .
	PYTHONPATH=$(ONE_TREE) $(BIN)/lint-imports
	MYPYPATH=$(ONE_TREE) $(BIN)/mypy --explicit-package-bases $(PACKAGES:%=-p adapter_platform.%) -p benchmarks

docs: $(VENV)/installed
	for page in command recipes; do \
	    $(BIN)/python docs/make_$${page}_md.py > docs/$$page.new && mv docs/$$page.new docs/$$page.md || exit 1; done
	$(BIN)/python docs/refresh.py

# Retrains the starter adapters; each is published as the next version beside the one before.
starters: $(VENV)/installed
	for name in data_eng support question_type feedback; do \
	    $(PLATFORM) --store adapters_store adapters train $$name || exit 1; done

# PolyLoRA is a peer; what it wants besides torch is for CUDA. AdapterHub's library needs an older
# transformers, so it has an environment of its own.
ADAPTERHUB := build/adapterhub

benchmarks: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt polylora
	test -d $(ADAPTERHUB) || $(PYTHON) -m venv $(ADAPTERHUB)
	$(ADAPTERHUB)/bin/python -m pip install --quiet --disable-pip-version-check \
	    "$$(grep '^torch==' constraints.txt)" adapters==1.3.0
	$(BIN)/python -m benchmarks --adapterhub $(ADAPTERHUB)/bin/python \
	    --json benchmarks/results/cpu.json --plot benchmarks/results/cpu.png

wheel: $(VENV)/installed
	rm -rf dist build/lib
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

check: lint test

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
