# Needs Python 3.11 or newer and make; everything else is fetched into .venv and .tools.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
COMPILE := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade
ALL_RINGS := unit,service,contract,servers
RINGS ?= $(ALL_RINGS)
PEERS := .tools/bench

.PHONY: help run test check setup setup-dev lint format check-catalog convert-catalog check-consistency check-durable bench \
	bench-numbers bench-transports lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

run: setup ## sample services, the BFF in front of them, and what to try
	@exec $(BIN)/bff demo

test: setup-dev ## lint, types and all tests; RINGS=unit,service asks for less
	@$(MAKE) --no-print-directory lint
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m tests.rings $(RINGS)
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report $(if $(filter $(ALL_RINGS),$(RINGS)),,--fail-under=0)

check: test ## the same; what CI runs

lint: setup-dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check -q
	@$(BIN)/mypy

format: setup-dev ## put every file into the house format
	@$(BIN)/ruff check --fix -q
	@$(BIN)/ruff format -q

check-catalog: setup ## every product of FILE=... through the whole path, compared to the last digit
	@test -n "$(FILE)" || { echo "name a catalogue: make check-catalog FILE=..." >&2; exit 2; }
	@BFF_LOG__LEVEL=warning $(BIN)/python -m bff.demo.verify "$(FILE)"

check-consistency: setup-dev ## four pods, one Redis, faults, a minute: no old value; then without each guard: some
	@$(BIN)/python -m tests.consistency $(ARGS)

check-durable: setup-dev ## 10,000 buyers, 200 changes, kill -9 all along, SQLite and Postgres; then without reconciliation
	@$(BIN)/python -m tests.durable $(ARGS)

convert-catalog: setup ## FROM=... (a DummyJSON dump) TO=... (a catalogue)
	@$(BIN)/python -m bff.demo.convert "$(FROM)" "$(TO)"

setup: $(VENV)/.runtime ## .venv with what the service needs

setup-dev: $(VENV)/.dev

$(VENV)/.runtime: requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found; name one: make PYTHON=..." >&2; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON); this happens once"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	@echo "adding what the tests need"
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

bench: setup-dev $(PEERS)/.ready ## the service and its peers at the same work; writes benchmarks/RESULTS.md
	@$(PEERS)/bin/python -m benchmarks.comparison

bench-numbers: setup-dev ## what a page, a fault and a million products cost; writes benchmarks/NUMBERS.md
	@$(BIN)/python -m benchmarks.numbers

bench-transports: setup-dev $(PEERS)/.ready ## our transport and its peers; writes benchmarks/TRANSPORTS.md
	@$(BIN)/python -m benchmarks.transports

$(PEERS)/.ready: requirements.txt benchmarks/requirements.txt
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes \
		-r requirements.txt -r benchmarks/requirements.txt
	@touch $@

lock: setup-dev ## the lock files anew, from pyproject.toml and benchmarks/requirements.in
	@$(BIN)/uv pip compile pyproject.toml --extra build $(COMPILE) --output-file requirements.txt
	@$(BIN)/uv pip compile pyproject.toml --extra build --extra dev $(COMPILE) --output-file requirements-dev.txt
	@$(BIN)/uv pip compile benchmarks/requirements.in $(COMPILE) --output-file benchmarks/requirements.txt

clean: ## remove what was made here
	rm -rf $(VENV) .tools .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
