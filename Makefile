# Each target sets up everything it needs in a virtual environment of its own.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# spinning threads of one process slow down all others on a shared machine
export OMP_WAIT_POLICY ?= passive
# one process per core; one that has nothing left takes tests from another
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal

SECONDS ?= 3600

# programs about the environment live beside it, as what they need is none of the project's
TOOLS := $(VENV)/tools
# the same hashes and versions wherever it runs, and nothing of where the files came from
COMPILE := $(TOOLS)/bin/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.PHONY: help profile test check coverage lint dist smoke format docs fuzz lock audit bom clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1  /p' $(MAKEFILE_LIST) | expand -t 10

profile: $(VENV)/installed  ## profile the shipped checkpoint on the digits test images
	$(BIN)/msvit-energy profile --out out/digits --force

test: $(VENV)/installed  ## run all tests
	$(PYTEST)

check: lint  ## style, types and the fast tests: the daily loop
	$(PYTEST) -m "not slow"

coverage: $(VENV)/installed  ## which lines and branches the tests run; fails below 95 % of msvit_energy, 90 % of msvit
	$(BIN)/coverage erase
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest --numprocesses auto --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --include 'msvit/*' --fail-under 90
	$(BIN)/coverage report --skip-covered --include 'msvit_energy/*' --fail-under 95

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

lock: $(TOOLS)/installed  ## write requirements.lock for what pyproject.toml asks for; what is in it stays where it fits
	$(COMPILE) --quiet --output-file requirements.lock

audit: $(TOOLS)/installed  ## known weaknesses of the packages in requirements.lock; fails where one cannot be asked about
	$(TOOLS)/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict

bom: $(TOOLS)/installed  ## bill of materials of requirements.lock, CycloneDX: out/bom.cdx.json
	mkdir -p out
	$(TOOLS)/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible \
		--output-format JSON --output-file out/bom.cdx.json

$(TOOLS)/installed: $(VENV)/installed
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet "uv>=0.5,<1" "pip-audit>=2.7,<3" "cyclonedx-bom>=7,<8"
	touch $@

# with --quiet mkdocs does not count warnings
docs: $(VENV)/installed  ## build the site into site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:  ## remove what the other targets made
	rm -rf $(VENV) dist out runs site .coverage*
