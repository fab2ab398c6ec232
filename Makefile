# Every target depends on `setup`: a virtual environment in .venv with the locked dependencies and Saccade.
PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= $(shell nproc)
# If this variable is set, no bytecode is cached, and every process spends most of its time compiling torch and other libraries.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-fast test-long check web web-check format bench lock docs clean
WEB := src/saccade/server/web/index.html

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/.ready $(WEB) ## Create .venv with all dependencies, and build the web app

.venv/.ready: requirements.lock tools/setup.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || (echo "Saccade needs Python 3.11 or newer; set PYTHON=…"; exit 1)
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tools/setup.lock
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --no-build-isolation --require-hashes requirements.lock tools/setup.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# pandas and datasets, for the tests of notebooks alone: see tools/notebook.in.
.venv/notebook/.ready: tools/notebook.lock .venv/.ready
	$(BIN)/uv pip install --quiet --python $(BIN)/python --target .venv/notebook --no-deps --require-hashes -r tools/notebook.lock
	@touch $@

web/node_modules/.ready: .venv/.ready web/package-lock.json web/package.json
	$(BIN)/python tools/build_web.py ci --silent --no-audit --no-fund
	@touch $@

$(WEB): web/node_modules/.ready web/index.html web/vite.config.ts $(shell find web/src web/public -type f)
	$(BIN)/python tools/build_web.py run --silent build

web: $(WEB) ## Build the web app

web-check: setup ## Check types, lint and the generated client of the web app, and run its tests
	$(BIN)/python tools/build_web.py run --silent check
	$(BIN)/python tools/build_web.py run --silent test

demo: setup ## Run the whole loop on synthetic data, then start the server
	$(BIN)/saccade demo demo-workspace

test: setup check web-check .venv/notebook/.ready ## Run all checks and all tests
	$(BIN)/python tools/chromium.py
	$(BIN)/pytest -n 2 --dist worksteal

test-fast: setup .venv/notebook/.ready ## Run the fast tests
	SACCADE_EXAMPLES=10 SACCADE_FUZZ=4 $(BIN)/pytest -n 2 --dist worksteal -m 'not slow' -q

test-long: setup ## Run the stress tests: hundreds of kills, long fuzzing, many examples (hours)
	SACCADE_KILLS=100 SACCADE_EXAMPLES=600 SACCADE_FUZZ=1500 $(BIN)/pytest -n 2 --dist worksteal tests/crash tests/property

check: setup ## Check formatting, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Format the code and apply automatic fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## Run the benchmarks
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

docs: setup ## Regenerate docs/reference/
	$(BIN)/python tools/reference.py

EXTRAS := $(foreach extra,train s3 postgres dev,--extra $(extra))
lock: setup ## Regenerate the lock files
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(EXTRAS) pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-deps tools/notebook.in -o tools/notebook.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements.lock tools/setup.in -o tools/setup.lock

clean: ## Delete everything that the targets created
	rm -rf .venv web/node_modules src/saccade/server/web demo-workspace .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
