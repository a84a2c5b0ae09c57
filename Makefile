# Two commands do everything on a machine with Python 3.11+ and make: `make local` and `make test`.
PYTHON ?= python3
PROFILE ?= full
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help local test test-slow format pins bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

test: $(VENV)/dev.ready ## format check, lint, types, import contracts, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

test-slow: $(VENV)/dev.ready ## the simulations behind docs/verdict.md and the soak tests
	$(PYTEST) -m slow --timeout 1800

format: $(VENV)/dev.ready ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# uv installs the same pins faster; plain pip reads the same files.
$(VENV)/dev.ready: requirements/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	touch $@

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make pins'

pins: $(VENV)/dev.ready ## compile every requirements file from its .in file
	$(COMPILE) requirements/dev.in -o requirements/dev.txt
	$(COMPILE) -c requirements/dev.txt requirements/local.in -o requirements/local.txt
	$(COMPILE) -c requirements/dev.txt requirements/loadgen.in -o requirements/loadgen.txt
	$(COMPILE) -c requirements/dev.txt requirements/pulumi.in -o requirements.txt
	$(COMPILE) --override requirements/vllm-overrides.txt requirements/vllm.in -o requirements/vllm.txt

clean: ## remove environments and results
	rm -rf .venv .venv-vllm out
