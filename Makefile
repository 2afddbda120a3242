# `make help` lists what can be done; each target says what it is for after two number signs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev

.PHONY: help run dev lint check audit test test-long bench screenshots lock migration clean
.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ":.*## " '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

run: $(RUN_STAMP) ## Start the portal with the demo MSP (installs what it needs the first time)
	@PORTAL_DEMO_UNLESS_SET=1 $(BIN)/python main.py serve

dev: $(DEV_STAMP) ## The same, restarting on every change of the source
	@PORTAL_DEMO_UNLESS_SET=1 PORTAL_RELOAD=1 $(BIN)/python main.py serve

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python

check: lint ## Lint, format, types and the direction of imports
	$(BIN)/python -m pytest -q tests/test_directions.py tests/test_migrations_complete.py

audit: $(DEV_STAMP) ## Look for known weaknesses: bandit in our code, pip-audit in the dependencies
	$(BIN)/bandit -q -c pyproject.toml -r main.py settings.py models components pages jobs
	@# SQL is put together in models/ alone, from names that are ours; nowhere else at all.
	$(BIN)/bandit -q -t B608 -r main.py settings.py components pages jobs
	$(BIN)/python .ci/audit.py

test: lint ## Everything that CI runs: check, then unit, page and browser tests
	@PYTHON=$(BIN)/python sh .ci/chromium
	$(BIN)/python .ci/tests.py

test-long: $(DEV_STAMP) ## The slow forms of what `make test` does briefly
	@PYTHON=$(BIN)/python sh .ci/chromium
	PORTAL_TEST_LONG=1 $(BIN)/python -m pytest -m "not browser"
	PORTAL_TEST_LONG=1 $(BIN)/python -m pytest -m browser tests/browser

bench: $(DEV_STAMP) ## Measure speed and memory as ratios (up to 10 minutes)
	@PYTHON=$(BIN)/python sh .ci/chromium
	$(BIN)/python -m tests.bench

screenshots: $(DEV_STAMP) ## Take the pictures of the README from the demo data
	@PYTHON=$(BIN)/python sh .ci/chromium
	$(BIN)/python tests/browser/screenshots.py docs/screenshots

lock: ## Pin all dependencies anew (needs uv)
	uv pip compile --universal --generate-hashes --no-header --python-version 3.11 -q pyproject.toml -o requirements.lock
	uv pip compile --universal --generate-hashes --no-header --python-version 3.11 -q --extra dev pyproject.toml -o requirements-dev.lock

migration: $(DEV_STAMP) ## Write the migration for a change of the models: make migration NAME=what_changed
	$(BIN)/python -m tortoise -c models.database.MIGRATION_CONFIG makemigrations -n $(NAME)

clean: ## Remove the environment (never the data)
	rm -rf $(VENV)

$(BIN)/python:
	@PYTHON=$(PYTHON) sh .ci/venv $(VENV)

$(RUN_STAMP): requirements.lock $(BIN)/python
	@echo "Installing what the portal needs (the first time only) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(DEV_STAMP): requirements-dev.lock $(BIN)/python
	@echo "Installing what the tests need (the first time only) ..."
	@# Compiled is what is used, when it is used: that is sooner done than all of it.
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@ $(RUN_STAMP)
