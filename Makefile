# `make` alone prints this help. Everything runs from .venv, built from the hashed lock files.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
# How many processes share the tests: one more than CI has cores, since many of them wait for devices.
WORKERS ?= 3
DATA ?= var
LISTEN ?= 127.0.0.1:8443
MEASURED := tests/unit tests/house tests/handlers tests/contract/test_stores.py tests/acceptance/test_push_fence.py
PYTEST_ARGS ?=
DEMO_ARGS ?=
UPGRADE ?=
LAB_ARGS ?=

.PHONY: screenshots help setup lock clean demo serve lab test lint types arch format prove docs docs-proof bench packages unit coverage

help:
	@awk -v colour=$$([ -t 1 ] && echo 1 || echo 0) -f scripts/help.awk $(firstword $(MAKEFILE_LIST))

##@ Start here

setup: ## Build .venv from the lock files; instant when it is up to date
	@scripts/setup

demo: setup ## Run the whole of OpenSDM with two virtual SBCs and print a session to paste (DEMO_ARGS=...)
	@exec $(BIN)/opensdm demo $(DEMO_ARGS)

test: packages setup ## Everything CI runs: lint, types, arch, all tests, full branch coverage of lock and gate
	@$(MAKE) lint types arch unit coverage

##@ Run

serve: setup ## Serve from ./var (DATA=, LISTEN=); the first time makes it, with an admin password printed once
	@test -d '$(DATA)' || $(BIN)/opensdm init --data '$(DATA)'
	@exec $(BIN)/opensdm serve --data '$(DATA)' --listen '$(LISTEN)'

lab: packages setup ## Real devices (netconfd, FRR) and virtual SBCs until Ctrl-C; needs root (LAB_ARGS=...)
	@exec $(BIN)/python -m lab up $(LAB_ARGS)

##@ Check

lint: setup ## Style and likely bugs (ruff)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup ## Types (mypy --strict)
	@$(BIN)/mypy src tests lab $(wildcard bench/*.py docs/*.py)

arch: setup ## Who may import whom (import-linter)
	@$(BIN)/lint-imports

prove: packages setup ## Long proofs: crash storms, exhaustive models (PYTEST_ARGS=...)
	@$(BIN)/python -m pytest -m prove -o faulthandler_timeout=0 $(PYTEST_ARGS)

bench: packages setup ## Side-by-side benchmarks, each printing its own command
	@scripts/bench

##@ Maintain

format: setup ## Rewrite the source in the one format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

docs: setup ## Write the generated pages: operations, errors, settings
	@$(BIN)/python docs/generate.py

screenshots: packages setup ## Draw docs/screenshots anew: each page of the web GUI, light and dark
	@rm -rf docs/screenshots && mkdir -p docs/screenshots
	@OPENSDM_SCREENSHOTS=docs/screenshots $(BIN)/python -m pytest -q tests/web/test_pages.py tests/web/test_provisioning.py \
	    tests/web/test_change_sets.py tests/web/test_keyboard.py tests/web/test_tables.py tests/web/test_two_users.py \
	    $(PYTEST_ARGS)

docs-proof: packages setup ## Write docs/proof.md from a run of the planted faults
	@$(BIN)/python -m tests.proof.page

lock: setup ## Pin all dependencies again; UPGRADE=1 moves to the newest allowed versions
	@scripts/lock $(if $(UPGRADE),--upgrade)

clean: ## Remove .venv and everything tools left behind; ./var stays
	@rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache \
	    .mypy_cache .pytest_cache .ruff_cache
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Parts of `make test`, not listed in the help.

packages:
	@scripts/system-packages

# Tracing slows tests down by half, so only those run under it that reach every branch of what is measured.
ifeq ($(PYTEST_ARGS),)
unit: setup
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report= $(MEASURED)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(addprefix --ignore=,$(MEASURED))
else
unit: setup
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report= $(PYTEST_ARGS)
endif

coverage: setup
	@echo 'Every branch of the lock rules and the gate:'
	@$(BIN)/python -m coverage report --fail-under=100 \
	    --include='src/opensdm/core/lock*.py,src/opensdm/gate/*'
