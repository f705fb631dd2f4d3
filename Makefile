# Everything a contributor does, by name. `make` alone lists it.

PYTHON ?= python3
BIN := .venv/bin
RUN := .venv/.installed-run
DEV := .venv/.installed-dev
CHECKED := src tests bench
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
PIN := uv pip compile --generate-hashes -q --universal --custom-compile-command "make pin" pyproject.toml --extra embedded --extra build

.DEFAULT_GOAL := help
.PHONY: help setup run test lint bench pin clean redis

help: ## List what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(DEV) ## Install all that the others need; start nothing

run: $(RUN) ## Start everything, with a demo sale; Ctrl-C ends it, the data stays
	@$(BIN)/flashguard up

test: lint redis ## Check the style and the types, then run every test, with coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=90

lint: $(DEV) ## Check style, types and who imports whom
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEV) ## Measure
	$(BIN)/flashguard bench

pin: ## Pin the requirements anew, with hashes, from pyproject.toml
	@command -v uv >/dev/null || { echo "make pin needs uv; install it with: pip install uv"; exit 1; }
	$(PIN) -o requirements/run.txt
	$(PIN) --extra dev -o requirements/dev.txt

clean: ## Remove what was installed and built; the data in .flashguard stays
	rm -rf .venv .coverage .coverage.* htmlcov dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# Development's set holds all of the running one.
$(DEV): requirements/dev.txt pyproject.toml $(BIN)/pip
	$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $(RUN) $@

$(RUN): requirements/run.txt pyproject.toml $(BIN)/pip
	$(PIP_INSTALL) --require-hashes -r requirements/run.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

# pip is the last thing that venv makes, so an interrupted one is made again.
$(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || { echo "FlashGuard needs Python 3.11 or newer; there is no $(PYTHON) here."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "FlashGuard needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Name another: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	  then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv; \
	  else echo "This Python comes without venv; install it first (on Debian and Ubuntu: sudo apt-get install python3-venv)."; exit 1; fi; }
	$(PYTHON) -m venv --clear .venv

# The kernel is tested on Redis 7 too, where the machine has it.
redis:
	@command -v redis-server >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	  then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server; fi; } || true
	@command -v redis-server >/dev/null || echo "There is no redis-server here: the tests on Redis 7 are skipped."
