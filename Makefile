# Everything stands on `make setup`: a virtual environment in .venv with the locked dependencies, and Saccade in it.
PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= $(shell nproc)
# Where compiled modules are not kept, every process compiles torch and the others anew, which takes most of its time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-fast test-long check web web-check format bench lock docs clean
WEB := src/saccade/server/web/index.html

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/.ready $(WEB) ## Make .venv with everything that is needed, and build the web app

.venv/.ready: requirements.lock tools/setup.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || (echo "Saccade needs Python 3.11 or newer; set PYTHON=…"; exit 1)
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tools/setup.lock
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --no-build-isolation --require-hashes requirements.lock tools/setup.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

web/node_modules/.ready: .venv/.ready web/package-lock.json web/package.json
	$(BIN)/python tools/build_web.py ci --silent --no-audit --no-fund
	@touch $@

$(WEB): web/node_modules/.ready web/index.html web/vite.config.ts $(shell find web/src web/public -type f)
	$(BIN)/python tools/build_web.py run --silent build

web: $(WEB) ## Build the web app

web-check: setup ## Types, lint and tests of the web app, and whether its client is up to date
	$(BIN)/python tools/build_web.py run --silent check
	$(BIN)/python tools/build_web.py run --silent test

demo: setup ## The whole loop on made data, then the server
	$(BIN)/saccade demo demo-workspace

test: setup check web-check ## Everything: checks and all tests
	$(BIN)/python tools/chromium.py
	$(BIN)/pytest -n 2 --dist worksteal

test-fast: setup ## The quick tests, for while you work
	SACCADE_EXAMPLES=10 SACCADE_FUZZ=4 $(BIN)/pytest -n 2 --dist worksteal -m 'not slow' -q

test-long: setup ## The long proofs: hundreds of kills, long fuzzing, many examples (hours)
	SACCADE_KILLS=100 SACCADE_EXAMPLES=600 SACCADE_FUZZ=1500 $(BIN)/pytest -n 2 --dist worksteal tests/crash tests/property

check: setup ## Formatting, lint, types and the import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Format and repair what can be repaired
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## The measurements in benchmarks/
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

docs: setup ## Write the generated reference in docs/reference/
	$(BIN)/python tools/reference.py

lock: setup ## Resolve requirements.lock anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --all-extras pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements.lock tools/setup.in -o tools/setup.lock

clean: ## Remove what the targets made
	rm -rf .venv web/node_modules src/saccade/server/web demo-workspace .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
