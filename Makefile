# Needs python3 (3.11 or newer), git and make. Every target makes its own .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CORE   := $(VENV)/.core-installed
DEV    := $(VENV)/.dev-installed
VIEWER := examples/ohif/node_modules/.package-lock.json

NOTEBOOKS := $(wildcard notebooks/*.ipynb)
NBVAL     := --nbval --nbval-current-env --nbval-sanitize-with notebooks/sanitize.cfg

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test browser-test check bench schema-report notebooks execute-notebooks format clean

help:
	@echo "make demo       install and show the main job on the sample files of the pydicom wheel"
	@echo "make test       unit, contract and fault tests, and the notebooks"
	@echo "make browser-test  the OHIF viewer on dicomkit serve (wants npm and Chromium)"
	@echo "make check      ruff, mypy --strict, layering"
	@echo "make bench      print the table of measured ratios (minutes; wants a quiet machine)"
	@echo "make schema-report  compare our columns with a table that the Cloud Healthcare API wrote"
	@echo "make notebooks  compare the notebooks' outputs with a new run (part of make test)"
	@echo "make execute-notebooks  run them and write the outputs back"
	@echo "make format     let ruff rewrite what it can"
	@echo "make clean      remove .venv and caches"

demo: $(CORE)
	$(BIN)/dicomkit demo

test: $(DEV)
	$(BIN)/python -m pytest
	$(MAKE) notebooks

browser-test: $(DEV) $(VIEWER)
	$(BIN)/python -m pip install --quiet --editable '.[browser]'
	$(BIN)/python -m pytest -m browser tests/browser

notebooks: $(DEV)
ifneq ($(NOTEBOOKS),)
	$(BIN)/python -m pytest $(NBVAL) notebooks
endif

execute-notebooks: $(DEV)
	$(BIN)/python scripts/execute_notebooks.py $(NOTEBOOKS)

check: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict dicomkit bench
	$(BIN)/python -m pytest -q tests/test_layering.py

bench: $(DEV)
	$(BIN)/python -m bench $(BENCH)

schema-report: $(CORE)
	$(BIN)/python scripts/schema_report.py

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

# npm writes this file last.
$(VIEWER): examples/ohif/package-lock.json
	cd examples/ohif && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# A stamp file says what was installed from which pyproject.toml. A .venv whose interpreter is gone is made anew.
define make_venv
	@$(PYTHON) -c 'import sys; sys.exit("dicomkit needs Python 3.11 or newer: make PYTHON=python3.x" if sys.version_info < (3, 11) else 0)'
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
endef

$(CORE): pyproject.toml
	$(make_venv)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(DEV): pyproject.toml
	$(make_venv)
	$(BIN)/python -m pip install --quiet --editable '.[test,dev]'
	@touch $(CORE) $@
