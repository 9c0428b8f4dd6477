# Needs Python 3.11 or newer and make; everything else is fetched into .venv and .tools.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
RINGS ?= unit,service,contract,servers
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes

COMPILE := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade

.PHONY: run setup setup-dev test check lint format lock check-catalog bench clean

run: setup ## sample services, the BFF in front of them, and what to open
	@$(BIN)/bff demo

setup: $(VENV)/.runtime ## a virtual environment with what the service needs

setup-dev: $(VENV)/.dev ## the same and what its tests need

$(VENV)/.runtime: requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found; name one: make PYTHON=..." >&2; exit 1; }
	@echo "setting up $(VENV) (once, with $(PYTHON))"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) -r requirements.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	@echo "adding what the tests need"
	@$(PIP) -r requirements-dev.txt
	@touch $@

lock: setup-dev ## both lock files anew, from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --extra build $(COMPILE) --output-file requirements.txt
	@$(BIN)/uv pip compile pyproject.toml --extra build --extra dev $(COMPILE) --output-file requirements-dev.txt
