# Two commands do everything on a fresh machine (Python 3.11+, g++, make; no root):
#   make demo   set up .venv, then build, verify and pack the default network for a board
#   make test   set up .venv with everything, then lint, type check and run the tests
# And with a board on USB: `make flash`, which does what `make demo` does, then writes its flash.
# VENV=DIR sets another environment, PYTHON=FILE another interpreter to make it with.

PYTHON ?= python3
VENV ?= .venv
BOARD ?= icebreaker

PY := $(VENV)/bin/python
# -qq: pip's remarks about the machine's own configuration say nothing about this project.
PIP := $(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt

.PHONY: demo flash test test-all lint clean distclean check-machine
.DELETE_ON_ERROR:

demo: $(VENV)/.base
	$(PY) -m firmware flash --board $(BOARD) --image-only

flash: $(VENV)/.base
	$(PY) -m firmware flash --board $(BOARD)

test: lint
	$(PY) -m pytest -n auto --dist loadfile -m "not slow"

test-all: lint
	$(PY) -m pytest -n auto --dist loadfile

lint: $(VENV)/.all
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

$(VENV)/.base: pyproject.toml constraints.txt | $(PY)
	@echo "[setup] installing the packages that a build needs"
	@$(PIP) -e .
	@touch $@

$(VENV)/.all: pyproject.toml constraints.txt | $(PY)
	@echo "[setup] installing the packages for builds, training and tests"
	@$(PIP) -e ".[model,dev]"
	@touch $@ $(VENV)/.base

$(PY): | check-machine
	@echo "[setup] making the environment $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

check-machine:
	@command -v $(PYTHON) >/dev/null || \
		{ echo "error: $(PYTHON) is missing: install Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "error: $(PYTHON) is too old: Python 3.11 or newer is needed (PYTHON=FILE names another)" >&2; exit 1; }
	@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || \
		{ echo "error: $(PYTHON) has no venv: install Debian's python3-venv" >&2; exit 1; }
	@command -v g++ >/dev/null || \
		{ echo "error: g++ is missing: install Debian's g++ (the simulation is compiled with it)" >&2; exit 1; }
	@perl -MPod::Usage -e 1 2>/dev/null || \
		{ echo "error: perl is missing or incomplete: install Debian's perl (Verilator starts with it)" >&2; exit 1; }

clean:
	rm -rf build sim_build .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info

distclean: clean
	rm -rf $(VENV)
