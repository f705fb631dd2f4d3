# Everything a contributor does, by name. `make` alone lists it.

PYTHON ?= python3
BIN := .venv/bin
RUN := .venv/.installed-run
DEV := .venv/.installed-dev
CHECKED := src tests bench docs examples
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
PIN := uv pip compile --generate-hashes -q --universal --python-version 3.11 --custom-compile-command "make pin"

# What of the service a Lambda function never runs: the server, and what people see on a terminal.
NOT_ON_LAMBDA := uvicorn h11 typer rich click shellingham markdown-it-py mdurl pygments psutil colorama

SEED ?= $(shell date +%s)
ROUNDS ?= 43
MIXED ?= 18
MINUTES ?= 30
EXAMPLES ?= 60
# Which files come first, tests/conftest.py says.
SPREAD_OUT := -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: image-check grow coverage schemathesis contracts contract-spread ledgers help setup run test lint chaos failovers soak bench bench-quick load wrk pin clean redis spin promtool chromium pages vitest docs tsclient

help: ## List what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(DEV) pages ## Install all that the others need, and build the pages; start nothing

run: $(RUN) pages ## Start everything, with a demo sale; Ctrl-C ends it, the data stays
	@$(BIN)/flashguard up

test: lint redis ledgers spin promtool wrk chromium vitest tsclient ## Check the style and the types, then run every test
	$(BIN)/pytest $(SPREAD_OUT)
	@$(MAKE) --no-print-directory -j 3 $(CONTRACTS)

coverage: setup ## Run every test, and see that they reach 90 % of the lines and branches; a third slower
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(SPREAD_OUT)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=90

lint: $(DEV) ## Check style, types and who imports whom
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/mypy
	$(BIN)/mypy tests/campaign/*.py
	$(BIN)/lint-imports

bench: $(DEV) load ## Measure against all rivals, under 10 minutes; writes bench/results
	$(BIN)/flashguard bench

bench-quick: $(DEV) load ## A first look at the same, under 2 minutes; writes nothing
	$(BIN)/flashguard bench quick

docs: $(DEV) ## Write the reference's tables anew, from the code
	$(BIN)/python docs/generate.py

# The contract, unchanged, over each stack that production may have: see tests/stacks.
CONTRACTS := contract-redis7-pg15 contract-pgbouncer contract-cluster contract-sentinel contract-lambda
contracts: $(CONTRACTS) ## The HTTP contract over every stack; over one: contract-embedded, contract-redis7-pg15, …

contract-spread: $(DEV) ## The same, and every sale is over four partitions
	FLASHGUARD_TEST_SPREAD=4 $(BIN)/pytest -q tests/integration/test_api_contract.py tests/integration/test_api_races.py

contract-%: $(DEV)
	FLASHGUARD_TEST_STACK=$* $(BIN)/pytest -q tests/integration/test_api_contract.py tests/integration/test_api_races.py

chaos: $(DEV) ## Hurt real servers while buyers buy, and check every promise: SEED=… ROUNDS=… MIXED=…
	$(BIN)/python tests/campaign/campaign.py --seed $(SEED) --rounds $(ROUNDS)
	$(BIN)/python tests/campaign/mixed.py --seed $(SEED) --rounds $(MIXED)

failovers: $(DEV) ## Fail real clusters and Sentinels over, and move slots, while buyers buy: SEED=… ROUNDS=…
	FLASHGUARD_LONG=1 $(BIN)/python -m pytest -q tests/faults/test_cluster_failover.py tests/faults/test_sentinel_failover.py tests/faults/test_slots_move.py
	$(BIN)/python tests/campaign/campaign.py --seed $(SEED) --rounds $(ROUNDS) --kind "cluster primary killed" \
	  --kind "cluster failover by hand" --kind "slots move" --kind "failover by our own Sentinel client"

soak: $(DEV) ## Sell for half an hour with a fault a minute; nothing may grow: MINUTES=…
	$(BIN)/python tests/campaign/soak.py --seconds $$(( $(MINUTES) * 60 )) --json .soak.json

image-check: $(DEV) ## Carry out the Dockerfile's steps in clean roots, and run every part of the image: needs root, some minutes
	@command -v debootstrap >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq debootstrap; }
	$(BIN)/python tests/image/check.py

grow: $(DEV) ## Simulate the growth to a million buyers per second, from the costs of the last benchmark
	$(BIN)/python -m bench.grow_simulated

schemathesis: $(DEV) ## Ask the running service thousands of things that its contract allows or forbids: EXAMPLES=…
	FLASHGUARD_LONG=1 EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -q -s tests/integration/test_schemathesis.py

pin: ## Pin the requirements anew, with hashes, from pyproject.toml
	@command -v uv >/dev/null || { echo "make pin needs uv; install it with: pip install uv"; exit 1; }
	$(PIN) pyproject.toml --group build --extra embedded --extra dev -o requirements/dev.txt
	$(PIN) pyproject.toml --group build --extra embedded --constraint requirements/dev.txt -o requirements/run.txt
	$(PIN) pyproject.toml --constraint requirements/dev.txt -o requirements/service.txt
	$(PIN) pyproject.toml --constraint requirements/dev.txt $(NOT_ON_LAMBDA:%=--no-emit-package %) -o requirements/aws.txt
	$(PIN) --group pyproject.toml:build --constraint requirements/dev.txt -o requirements/build.txt

clean: ## Remove what was installed and built; the data in .flashguard stays
	rm -rf web/node_modules web/out web/.next clients/typescript/node_modules clients/typescript/dist .venv .coverage .coverage.* htmlcov dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
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

# The pages are built where Node is; without it, everything else works, and `/` says how to get them.
NODE_MAJOR := $(shell node -p 'process.versions.node.split(".")[0]' 2>/dev/null)
ENOUGH_NODE := $(and $(shell command -v npm),$(filter-out 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19,$(NODE_MAJOR)))
WEB := $(shell find web -type f -not -path '*/node_modules/*' -not -path 'web/out/*' -not -path '*/.next/*' \
	-not -name '*.tsbuildinfo' -not -name next-env.d.ts -not -path 'web/lib/api/schema.d.ts' 2>/dev/null)

pages: $(if $(ENOUGH_NODE),web/out/csp.json)
	@$(if $(ENOUGH_NODE),,echo "There is no Node 20 or newer here: FlashGuard runs without its pages.")

vitest: pages
	@$(if $(ENOUGH_NODE),cd web && npm test --silent,echo "There is no Node 20 or newer here: the pages' unit tests are skipped.")

# The TypeScript client, generated from the contract; its tests are run by pytest, against the real service.
tsclient: $(if $(ENOUGH_NODE),clients/typescript/dist/index.js)
	@$(if $(ENOUGH_NODE),,echo "There is no Node 20 or newer here: the TypeScript client is not built, and not tested.")

clients/typescript/dist/index.js: web/openapi.json $(wildcard clients/typescript/src/*.ts clients/typescript/*.json)
	cd clients/typescript && npm ci --no-audit --no-fund --loglevel=error && npm run build --silent
	@touch $@

# csp.json is the last thing that the build writes.
web/out/csp.json: $(WEB) web/node_modules/.package-lock.json
	cd web && NEXT_TELEMETRY_DISABLED=1 npm run build --silent
	@touch $@

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --no-audit --no-fund --loglevel=error
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

# What the benchmark's load comes from; redis-tools only for redis-benchmark, beside which the engine is shown.
load: wrk
	@command -v wrk >/dev/null || { \
	  echo "The load comes from wrk; install it first (on Debian and Ubuntu: sudo apt-get install wrk redis-tools)."; exit 1; }

wrk:
	@command -v wrk >/dev/null && command -v redis-benchmark >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	  then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq wrk redis-tools; fi; } || true
	@command -v wrk >/dev/null || echo "There is no wrk here: the benchmark's own test is skipped."

# The protocol's model is checked where the machine has spin.
spin:
	@command -v spin >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	  then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq spin gcc libc6-dev; fi; } || true
	@command -v spin >/dev/null || echo "There is no spin here: the check of the protocol's model is skipped."

# The kernel is tested on Redis 7 too, where the machine has it.
redis:
	@command -v redis-server >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	  then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server; fi; } || true
	@command -v redis-server >/dev/null || echo "There is no redis-server here: the tests on Redis 7 are skipped."

# The contract is tested on the oldest PostgreSQL that we take, and through a pooler, where the machine has them.
ledgers:
	@test -x /usr/lib/postgresql/15/bin/postgres && test -x /usr/sbin/pgbouncer || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	  then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-15 pgbouncer; fi; } || true
	@test -x /usr/lib/postgresql/15/bin/postgres || echo "There is no PostgreSQL 15 here: the contract is not tested on it (on Debian: sudo apt-get install postgresql-15)."
	@test -x /usr/sbin/pgbouncer || echo "There is no PgBouncer here: the contract is not tested through it (on Debian: sudo apt-get install pgbouncer)."

# Metrics, alerts and the dashboard's queries are checked by Prometheus' own tool, where the machine has it.
promtool:
	@command -v promtool >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	  then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus; fi; } || true
	@command -v promtool >/dev/null || echo "There is no promtool here: what it checks is skipped (on Debian: sudo apt-get install prometheus)."

# The pages are tested in Debian's own browser.
chromium:
	@test -x /usr/bin/chromium || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	  then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; fi; } || true
	@test -x /usr/bin/chromium || echo "There is no /usr/bin/chromium here: the browser tests are skipped (on Debian: sudo apt-get install chromium)."
