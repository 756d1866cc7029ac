# Each target sets up everything it needs in a virtual environment of its own.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# spinning threads of one process slow down all others on a shared machine
export OMP_WAIT_POLICY ?= passive
# one process per core; one that has nothing left takes tests from another
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal

.PHONY: help profile test check lint format docs clean

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

format: $(VENV)/installed  ## bring the code into style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# with --quiet mkdocs does not count warnings
docs: $(VENV)/installed  ## build the site into site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:  ## remove what the other targets made
	rm -rf $(VENV) out runs site
