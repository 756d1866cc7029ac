# Each target sets up everything it needs in a virtual environment of its own.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# spinning threads of one process slow down all others on a shared machine
export OMP_WAIT_POLICY ?= passive

.PHONY: profile test lint clean

profile: $(VENV)/installed  ## profile the shipped checkpoint on the digits test images
	$(BIN)/msvit-energy profile --out out/digits --force

test: $(VENV)/installed  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: $(VENV)/installed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) out runs
