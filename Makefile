# One command each. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help run demo test lint format types imports migrate migration check bench bench-lists bench-dashboard bench-pricing bench-exports lock clean install install-dev

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "the venv module is missing: on Debian, apt-get install python3-venv"; exit 1; }

$(VENV)/.run: requirements.txt | $(VENV)/bin/python
	@echo "installing what the product runs on …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run | $(VENV)/bin/python
	@echo "installing what the tests need …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

install: $(VENV)/.run ## Make the virtual environment
install-dev: $(VENV)/.dev

run: $(VENV)/.run ## Serve the product on PORT (8000), everything included; Ctrl-C ends all
	@exec $(BIN)/python wsgi.py

demo: $(VENV)/.run ## The same with a demo fleet that really connects
	@SYNC_DEMO=1 exec $(BIN)/python wsgi.py

test: $(VENV)/.dev ## Run the tests; needs no running service
	@$(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder

format: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix --quiet . || true

lint: $(VENV)/.dev ## Check format and lint
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: $(VENV)/.dev ## Check types
	@$(BIN)/mypy

imports: $(VENV)/.dev ## Check which way imports run
	@$(BIN)/lint-imports --no-cache

migrate: $(VENV)/.run ## Bring the database to the newest schema
	@$(BIN)/flask --app wsgi upgrade-schema

check: lint types imports $(VENV)/.dev ## The gate: format, lint, types, imports, tests with coverage
	@$(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered || \
	 { echo "once more, alone, what failed beside others (what passes now is a test to mend):"; \
	   $(BIN)/python -m pytest -q --last-failed --last-failed-no-failures=none; }

bench: $(VENV)/.dev ## Measure ourselves beside the reference; writes bench/results.md
	@$(BIN)/python -m bench
	@$(BIN)/python -m bench.exports
	@$(BIN)/python -m bench.search

bench-exports: $(VENV)/.dev ## Measure the CSV of a million sessions beside PostgreSQL's COPY; writes bench/exports.md
	@$(BIN)/python -m bench.exports

bench-lists: $(VENV)/.dev ## Measure every list with ten thousand rows; writes bench/lists.md
	@$(BIN)/python -m bench.lists

bench-dashboard: $(VENV)/.dev ## Measure the dashboard over a million sessions; writes bench/dashboard.md
	@$(BIN)/python -m bench.dashboard

bench-search: $(VENV)/.dev ## Measure the universal search over a million records; writes bench/search.md
	@$(BIN)/python -m bench.search

bench-pricing: $(VENV)/.dev ## Measure pricing and “try on last month”; writes bench/pricing.md
	@$(BIN)/python -m bench.pricing

lock: $(VENV)/.dev ## Pin requirements*.in into requirements*.txt
	@$(BIN)/pip-compile --quiet --strip-extras --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.txt requirements.in
	@$(BIN)/pip-compile --quiet --strip-extras --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements-dev.txt requirements-dev.in

clean: ## Remove the virtual environment and caches (never ./var)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
