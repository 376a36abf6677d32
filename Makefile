# `make` shows this help: every line below that carries a ## is listed.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

export VENV
export TOLLKEEPER_DATA_DIR ?= .tollkeeper

.DEFAULT_GOAL := help
.PHONY: help install run test test-full check format protos bench bench-streams bench-revocation bench-control chaos soak mutants estimate-error lock clean

help: ## Show this help
	@echo "Tollkeeper: virtual keys, hard budgets and an exact ledger in front of AI providers"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "Settings: PYTHON=$(PYTHON) VENV=$(VENV) TOLLKEEPER_DATA_DIR=$(TOLLKEEPER_DATA_DIR)"

install: $(INSTALLED) ## Install everything into .venv, pinned by hash
$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; choose one with: make PYTHON=python3.11"; exit 1; }
	@echo "Installing into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

run: $(INSTALLED) ## Start everything on this machine: database, control plane, edge, simulator
	@exec $(BIN)/tollkeeper up $(ARGS)

test: $(INSTALLED) ## Run the tests, but for the slow ones (ARGS="tests/edge -x" to choose)
	@scripts/test $(ARGS)

test-full: $(INSTALLED) ## Run all tests: the slow ones too, and the control plane's with two replicas
	@scripts/test -m "" $(ARGS)
	@TOLLKEEPER_TEST_REPLICAS=2 scripts/test tests/control

check: $(INSTALLED) ## Check format, lint, types, generated stubs and migrations
	@scripts/check

format: $(INSTALLED) ## Format the code and fix what the linter can
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

protos: $(INSTALLED) ## Generate src/tollkeeper/v1 from proto/
	@scripts/protos

bench: $(INSTALLED) ## Measure the edge against a bare forwarder and nginx (BASE=COMMIT: against that commit)
	@$(BIN)/python -m benchmarks.$(if $(BASE),compare --base $(BASE),bench) $(ARGS)

bench-streams: $(INSTALLED) ## Measure a thousand streams at once through one worker, spread and in bursts
	@$(BIN)/python -m benchmarks.streams $(ARGS)

bench-revocation: $(INSTALLED) ## Measure how soon a revoked key is refused everywhere
	@$(BIN)/python -m benchmarks.revocation $(ARGS)

bench-control: $(INSTALLED) ## Measure the control plane over 1 M keys and 10 M requests (kept in .bench)
	@$(BIN)/python -m benchmarks.control $(ARGS)

estimate-error: $(INSTALLED) ## Measure the estimates of streams that told no usage
	@$(BIN)/python -m benchmarks.estimates $(ARGS)

chaos: $(INSTALLED) ## Kill the parts with -9 under load, then audit the ledger
	@$(BIN)/python -m tests.chaos $(ARGS)

soak: $(INSTALLED) ## Ten minutes of everything with faults: nothing may grow or get lost (ARGS="--minutes 2")
	@$(BIN)/python -m tests.soak $(ARGS)

mutants: $(INSTALLED) ## Plant named bugs and show that the tests catch each
	@$(BIN)/python -m tests.mutants $(ARGS)

lock: $(INSTALLED) ## Resolve the dependencies again and pin them (ARGS=--upgrade for newer ones)
	@scripts/lock $(ARGS)

clean: ## Remove environment, builds and caches; data in .tollkeeper stays
	rm -rf $(VENV) build dist .node .vocabularies .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
