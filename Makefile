# Every task of a contributor. `make` alone lists them.

PYTHON ?= python3
BIN := .venv/bin
RUN := .venv/.installed-run
DEV := .venv/.installed-dev
CHECKED := src tests bench docs examples scripts
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
PIN := uv pip compile --generate-hashes -q --universal --python-version 3.11 --custom-compile-command "make pin"

# Packages of the service that a Lambda function never runs: the server and the terminal output.
NOT_ON_LAMBDA := uvicorn h11 typer rich click shellingham markdown-it-py mdurl pygments colorama

SEED ?= $(shell date +%s)
ROUNDS ?= 43
SEEDS ?= 500
MIXED ?= 18
MINUTES ?= 30
EXAMPLES ?= 60
# Of 2 cores: a test waits for more than half of its time. tests/conftest.py says which files come first.
SPREAD_OUT := -n 4 --dist loadfile --no-loadscope-reorder

# Where it is set, as in many images, each process would compile all of its modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run pages guide clean \
  test pytest compiled lint audit-dependencies django coverage vitest tsclient programs helm contracts contract-spread schemathesis fuzz image-check \
  bench bench-quick grow load sim chaos porcupine failovers soak peers docs site figures pin dist release

help: ## List the targets
	@awk -F ':.*## ' '/^##@/ { print "\n" substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Start

setup: $(DEV) pages ## Install the packages and build the pages; start nothing

run: $(RUN) pages guide ## Start FlashGuard with a demo sale; Ctrl-C stops it, the data stays in .flashguard
	@$(BIN)/flashguard up

clean: ## Remove everything installed and built; the data in .flashguard stays
	rm -rf web/node_modules web/out web/.next clients/typescript/node_modules clients/typescript/dist .venv .coverage .coverage.* htmlcov dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Check

test: ## Check style and types, then run every test and the contract on every stack
	@$(MAKE) --no-print-directory -j 2 lint programs vitest tsclient compiled
	@$(MAKE) --no-print-directory -j 2 pytest $(CONTRACTS)

lint: $(DEV) ## Check style, types and the import contract
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/mypy
	$(BIN)/mypy -p tests.campaign -p tests.simulation
	$(BIN)/lint-imports

coverage: setup ## Run every test and require 90 % of lines and branches; a third slower
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(SPREAD_OUT)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=90

# The same tests of the HTTP contract on each stack that production may have: see tests/support/stacks.
CONTRACTS := contract-redis7-pg15 contract-pgbouncer contract-cluster contract-sentinel contract-lambda
contracts: $(CONTRACTS) ## Test the HTTP contract on every stack; on one: contract-embedded, contract-redis7-pg15, …

contract-spread: $(DEV) ## Test the HTTP contract with every sale spread over four partitions
	FLASHGUARD_TEST_SPREAD=4 $(BIN)/pytest -q tests/integration/test_api_contract.py tests/integration/test_api_races.py

contract-%: $(DEV)
	FLASHGUARD_TEST_STACK=$* $(BIN)/pytest -q tests/integration/test_api_contract.py tests/integration/test_api_races.py

schemathesis: $(DEV) ## Send thousands of requests that the OpenAPI contract allows or forbids: EXAMPLES=…
	FLASHGUARD_LONG=1 EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -q -s tests/integration/test_schemathesis.py

fuzz: $(DEV) ## Send bent bytes to the server's parser, beside another one, and to all readers: SEED=… SEEDS=…
	SEED=$(or $(SEED),0) SEEDS=$(or $(SEEDS),100000) $(BIN)/pytest -q tests/fuzz

image-check: $(DEV) ## Run the Dockerfile's steps in clean roots, then every part of the image; needs root, takes minutes
	@scripts/need --or-stop debootstrap
	$(BIN)/python -m tests.image.check

DJANGOS := .venv/django
NEWER_PYTHON = $(firstword $(foreach each,python3.14 python3.13 python3.12,$(shell command -v $(each) 2>/dev/null)))

django: $(DEV) ## Test the app for Django on its long-term release and on the current one, which needs Python 3.12: NEWER_PYTHON=…
	$(BIN)/pytest -q tests/integration/test_django.py tests/integration/test_django_payments.py
	@test -n "$(NEWER_PYTHON)" || { echo "Django 6 needs Python 3.12 or newer: make django NEWER_PYTHON=/path/to/python3.12"; exit 1; }
	$(NEWER_PYTHON) -m venv $(DJANGOS)
	$(DJANGOS)/bin/pip install --quiet --disable-pip-version-check --no-input --require-hashes -r requirements/dev.txt
	$(DJANGOS)/bin/pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .
	DJANGO_PYTHON=$(DJANGOS)/bin/python $(BIN)/pytest -q tests/integration/test_django.py tests/integration/test_django_payments.py

audit-dependencies: $(BIN)/pip ## Look for known vulnerabilities in what is pinned; MUST=1: fail where it can't be asked
	$(BIN)/python scripts/audit_dependencies.py $(if $(MUST),--must)

##@ Measure

bench: $(DEV) load ## Measure against all rivals in under 12 minutes; writes bench/results
	$(BIN)/flashguard bench

bench-quick: $(DEV) load ## Measure the same roughly in under 3 minutes; writes nothing
	$(BIN)/flashguard bench quick

grow: $(DEV) ## Simulate growth to a million buyers per second, from the costs that the last benchmark measured
	$(BIN)/python -m bench.grow_simulated

##@ Hurt

sim: $(DEV) ## Simulate whole installations, faults and all, in virtual time and replayable: SEED=… SEEDS=…
	$(BIN)/python -m tests.simulation --seed $(SEED) --seeds $(SEEDS) --jobs 2 --quiet

chaos: $(DEV) ## Break real servers while buyers buy, and check every promise: SEED=… ROUNDS=… MIXED=…
	$(BIN)/python -m tests.campaign.campaign --seed $(SEED) --rounds $(ROUNDS)
	$(BIN)/python -m tests.campaign.mixed --seed $(SEED) --rounds $(MIXED)

porcupine: $(DEV) ## Let the checker Porcupine decide rounds of the campaign, beside ours; needs Go: SEED=… ROUNDS=… HTML=folder
	@scripts/need --or-stop go
	$(BIN)/python -m tests.campaign.compare_checkers --seed $(SEED) $(HTML:%=--html %) $(if $(filter command environment,$(origin ROUNDS)),--rounds $(ROUNDS))

failovers: $(DEV) ## Fail over real clusters and Sentinels, and move slots, while buyers buy: SEED=… ROUNDS=…
	FLASHGUARD_LONG=1 $(BIN)/python -m pytest -q tests/faults/test_cluster_failover.py tests/faults/test_sentinel_failover.py tests/faults/test_slots_move.py
	$(BIN)/python -m tests.campaign.campaign --seed $(SEED) --rounds $(ROUNDS) --kind "cluster primary killed" \
	  --kind "cluster failover by hand" --kind "slots move" --kind "failover by our own Sentinel client"

soak: $(DEV) ## Sell with faults and check that nothing grows: MINUTES=… FAULTS=… BUYERS=… PER_SECOND=…
	$(BIN)/python -m tests.campaign.soak --seconds $$(( $(MINUTES) * 60 )) $(FAULTS:%=--faults %) $(BUYERS:%=--buyers %) $(PER_SECOND:%=--per-second %) --json .soak.json

peers: $(DEV) ## Install other shops outside of the repository and let the same buyers rush at all: BUYERS=… UNITS=… ROUNDS=…
	@$(if $(ENOUGH_NODE),,echo "The other shops need Node 20 or newer." && exit 1)
	$(BIN)/python -m tests.campaign.peers $(BUYERS:%=--buyers %) $(UNITS:%=--units %) $(if $(filter command environment,$(origin ROUNDS)),--rounds $(ROUNDS))

##@ Write

docs: $(DEV) ## Write the reference, the ledger's schema.sql, and every figure of the last benchmark in the pages
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/generate_schema.py

site: $(DEV) $(if $(VERSIONS),,web/out/guide/index.html) ## Build the guide, which `make run` serves at /guide/; VERSIONS=folder: beside other versions
	@$(if $(VERSIONS),$(BIN)/python docs/build_site.py "$(VERSIONS)" --beside-others,echo "The guide is in web/out/guide.")

figures: grow docs ## After make bench: simulate growth from its costs, and write its figures into the pages

pin: ## Pin the requirements with hashes, from pyproject.toml; needs uv
	@command -v uv >/dev/null || { echo "make pin needs uv; install it with: pip install uv"; exit 1; }
	$(PIN) pyproject.toml --group build --extra embedded --extra dev -o requirements/dev.txt
	$(PIN) pyproject.toml --group build --extra embedded --constraint requirements/dev.txt -o requirements/run.txt
	$(PIN) pyproject.toml --extra secrets --extra stripe --constraint requirements/dev.txt -o requirements/service.txt
	$(PIN) pyproject.toml --extra secrets --constraint requirements/dev.txt $(NOT_ON_LAMBDA:%=--no-emit-package %) -o requirements/aws.txt
	$(PIN) --group pyproject.toml:build --constraint requirements/dev.txt -o requirements/build.txt
	$(PIN) --group pyproject.toml:build --group pyproject.toml:release --constraint requirements/dev.txt -o requirements/release.txt

##@ Release

dist: $(BIN)/pip ## Build the packages and their bills of materials into dist/
	$(PIP_INSTALL) --require-hashes -r requirements/release.txt
	$(BIN)/python scripts/release.py

release: $(BIN)/pip ## Try a release in a copy of the repository: VERSION=…; with GO=1 commit and tag it here
	@test -n "$(VERSION)" || { echo "Which version? make release VERSION=1.2.0"; exit 1; }
	$(PIP_INSTALL) --require-hashes -r requirements/release.txt
	$(BIN)/python scripts/release.py $(VERSION) $(if $(GO),--go)

# What the targets above are made of.

# Beside it, `make test` runs the contract on one stack after the other.
pytest: $(DEV) helm
	$(BIN)/pytest $(SPREAD_OUT)

# The tests' modules, compiled once: else each worker does it, at the same time. `pytest` alone doesn't need it.
compiled: $(DEV)
	@$(BIN)/pytest --collect-only -q -n 0 > .compiled.log || { cat .compiled.log; exit 1; }
	@rm .compiled.log

# The chart is tested with the real helm; without it, its tests are skipped.
helm: $(DEV)
	@test -x $(BIN)/helm || command -v helm >/dev/null || $(BIN)/python scripts/get_helm.py $(BIN)/helm || \
	  echo "There is no helm here: the chart in deploy/helm is not tested."

# What the machine may have besides Python and Node; the tests that need a missing program are skipped.
programs:
	@scripts/need wrk redis-benchmark spin redis-server postgresql-15 pgbouncer promtool chromium-headless-shell

# The benchmark's load comes from wrk.
load:
	@scripts/need --or-stop wrk
	@scripts/need redis-benchmark

# The development requirements include those to run.
$(DEV): requirements/dev.txt pyproject.toml $(BIN)/pip
	$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $(RUN) $@

$(RUN): requirements/run.txt pyproject.toml $(BIN)/pip
	$(PIP_INSTALL) --require-hashes -r requirements/run.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

# The pages need Node; without it everything else works, and `/` says how to get them.
NODE_MAJOR := $(shell node -p 'process.versions.node.split(".")[0]' 2>/dev/null)
ENOUGH_NODE := $(and $(shell command -v npm),$(filter-out 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19,$(NODE_MAJOR)))
WEB := $(shell find web -type f -not -path '*/node_modules/*' -not -path 'web/out/*' -not -path '*/.next/*' \
	-not -name '*.tsbuildinfo' -not -name next-env.d.ts -not -path 'web/lib/api/schema.d.ts' 2>/dev/null)

GUIDE := $(shell find docs -type f -not -name '*.pyc') README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md bench/README.md

pages: $(if $(ENOUGH_NODE),web/out/csp.json)
	@$(if $(ENOUGH_NODE),,echo "There is no Node 20 or newer here: FlashGuard runs without its pages.")

# `make run` has no generator of its own (90 MB), and uses that of `make setup`. A build of the pages empties their folder.
guide: $(if $(and $(ENOUGH_NODE),$(wildcard $(BIN)/zensical)),web/out/guide/index.html)

web/out/guide/index.html: web/out/csp.json $(GUIDE)
	@$(BIN)/python docs/build_site.py web/out/guide > /dev/null
	@cd web && node scripts/csp.mjs > /dev/null
	@touch $@

vitest: pages
	@$(if $(ENOUGH_NODE),cd web && npm test --silent,echo "There is no Node 20 or newer here: the pages' unit tests are skipped.")

# The TypeScript client is generated from the contract; pytest runs its tests against the real service.
tsclient: $(if $(ENOUGH_NODE),clients/typescript/dist/index.js)
	@$(if $(ENOUGH_NODE),,echo "There is no Node 20 or newer here: the TypeScript client is not built, and not tested.")

clients/typescript/dist/index.js: web/openapi.json $(wildcard clients/typescript/src/*.ts clients/typescript/*.json)
	cd clients/typescript && npm ci --no-audit --no-fund --loglevel=error && npm run build --silent
	@touch $@

# The build writes csp.json last.
web/out/csp.json: $(WEB) web/node_modules/.package-lock.json
	cd web && NEXT_TELEMETRY_DISABLED=1 npm run build --silent
	@touch $@

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# venv writes pip last, so an interrupted venv is created again.
$(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || { echo "FlashGuard needs Python 3.11 or newer; there is no $(PYTHON) here."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "FlashGuard needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Name another: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@PYTHON=$(PYTHON) scripts/need --or-stop python3-venv
	$(PYTHON) -m venv --clear .venv

