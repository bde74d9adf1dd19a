# `make demo` and `make test` do all the set-up themselves; they need Python 3.11 or later and nothing else.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-long lint install

demo: $(STAMP)
	$(BIN)/python run_benchmark.py demo

test: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -n 2

# Checks that take minutes: everything marked `long`.
test-long: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -m long

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

install: $(STAMP)

# torch first and alone, so that the build that the index holds for this version is taken (a CPU build where there is one).
# The stamp is written last: an interrupted installation is taken up again. So is one that found no `ensurepip` (Debian has it in a package
# of its own), and left a .venv without pip.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed (make PYTHON=/path/to/it ...), found " + sys.version)'
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --version > /dev/null || { echo "$(VENV) has no pip (another Python made it?): remove it (rm -r $(VENV)) and run make again"; exit 1; }
	@echo "Step 1 of 2: installing torch into $(VENV) (the largest part: a few minutes)"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	@echo "Step 2 of 2: installing the other packages"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	@touch $(STAMP)
