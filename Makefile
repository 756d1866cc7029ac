# Each target sets up everything it needs in a virtual environment of its own.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# spinning threads of one process slow down all others on a shared machine
export OMP_WAIT_POLICY ?= passive
# one process per core; one that has nothing left takes tests from another
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal

SECONDS ?= 3600

.PHONY: help profile test check lint dist smoke format fuzz clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1  /p' $(MAKEFILE_LIST) | expand -t 10

profile: $(VENV)/installed  ## profile the shipped checkpoint on the digits test images
	$(BIN)/msvit-energy profile --out out/digits --force

test: $(VENV)/installed  ## run all tests
	$(PYTEST)

check: lint  ## style, types and the fast tests: the daily loop
	$(PYTEST) -m "not slow"

lint: $(VENV)/installed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

dist: $(VENV)/installed  ## build the wheel and the source distribution
	rm -rf dist
	$(BIN)/python -m build --quiet

smoke: dist  ## install the wheel into an environment of its own and use it from an empty folder
	tests/project/smoke.sh dist/*.whl

format: $(VENV)/installed  ## bring the code into style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

fuzz: $(VENV)/installed  ## look for files on which a parser breaks, for an hour or SECONDS=60; finds are in out/finds
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --seconds $(SECONDS)

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:  ## remove what the other targets made
	rm -rf $(VENV) dist out runs
