# The verbs of this repository. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
SOURCES := $(sort $(dir $(wildcard processor/*.py tests/*.py bench/*.py chaos/*.py fuzz/*.py)))
export UV_PYTHON_DOWNLOADS := never
# What tests and drills write goes to memory where there is enough: a broker syncs some files for each partition it makes or
# recovers, and what kill -9 leaves is the same.
SCRATCH := $(shell [ -w /dev/shm ] && ! grep -q ' /dev/shm .*noexec' /proc/mounts && [ "$$(df -Pk /dev/shm | awk 'NR == 2 {print $$4}')" -gt 8000000 ] && echo TMPDIR=/dev/shm)

.PHONY: help setup check fmt test test-fast fuzz kafka demo bench chaos clean

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r verb line; do \
		printf '  make %-10s %s\n' "$$verb" "$$line"; done

setup: $(STAMP) ## create .venv with pinned packages (quick the second time)

# Python compiles what is imported, when it is: to compile all of it first takes a quarter longer.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make setup PYTHON=python3.x")'
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

check: $(STAMP) ## ruff, mypy strict, import-linter: all report, any failure fails
	@failed=0; \
	for gate in "ruff check --output-format concise ." "ruff format --check --output-format concise ." "mypy $(SOURCES)" "lint-imports"; do \
		echo "--- $$gate"; $(BIN)/$$gate || failed=1; \
	done; exit $$failed

fmt: $(STAMP) ## format the code and apply safe fixes
	@$(BIN)/ruff check --fix-only --quiet .; $(BIN)/ruff format .

test: $(STAMP) ## every test, on a real Kafka with real processes; three files at a time, what measures time by itself
	$(SCRATCH) $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not timed"
	$(SCRATCH) $(BIN)/python -m pytest -m timed

test-fast: $(STAMP) ## unit and property tests only: no Kafka, nothing slow
	$(BIN)/python -m pytest -m "not kafka and not slow"

fuzz: $(STAMP) ## fuzz whatever reads hostile bytes, guided by coverage; SECONDS=60 for each target
	@$(BIN)/python -m fuzz --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

kafka: $(STAMP) ## run a local Kafka and registry until Ctrl-C; prints their addresses
	@$(BIN)/python -m processor.sandbox.broker

demo: $(STAMP) ## send 500 messages through everything and add up; KEEP=1 leaves it running
	@$(BIN)/commproc demo $(if $(KEEP),--keep)

bench: $(STAMP) ## measure speed and memory; writes docs/performance.md; ONLY="urgency ids" renews some of it
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY))

chaos: $(STAMP) ## break everything under load and count what is lost or doubled; LONG=1: thirty minutes of a mix
	@$(SCRATCH) $(BIN)/python -m chaos $(if $(LONG),--minutes 30 --mix-only --nodes 3)

clean: ## remove .venv, caches and build output
	rm -rf .venv .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
