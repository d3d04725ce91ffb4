# The few commands of this project. Each says by itself what it lacks; none needs another to be run before.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
LOCK := $(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	--strip-extras --allow-unsafe
# Stamps: a list is installed once for each time it changes.
RUN_STAMP := $(VENV)/.run-installed
DEV_STAMP := $(VENV)/.dev-installed
# What is checked with types besides the package itself, which pyproject.toml names.
TYPED_TESTS := tests/servers tests/proof tests/bootstrap.py tests/conftest.py tests/test_servers.py \
	$(addprefix bench/,__init__.py bare.py engines.py environments.py events.py growth.py harness.py kafka_topics.py runners.py \
	scaling.py section.py small_profile.py small_worker.py stage.py traffic.py watching.py workers.py)
# What `make bench` measures, in this order.
BENCHES := engines anatomy workers collector latency growth newsletter personalize

ARGS ?=
PYTEST_ARGS ?=
# Most tests wait for a server most of the time: two processes use two cores well. 0: in this one (for --pdb).
PROCESSES ?= 2
LOCK_ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test prove bench bootstrap lint format lock

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(RUN_STAMP) ## install Rapport into .venv, from the locked list (needs Python 3.11)

demo: setup ## run the demonstration: make demo ARGS="--help"
	@$(BIN)/rapport demo $(ARGS)

test: lint bootstrap ## check and test everything (gets Kafka, Redis and a browser where they are missing)
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder \
		--cov=pipeline/core --cov-branch --cov-report= $(PYTEST_ARGS)
	@$(BIN)/coverage report --fail-under=100 --show-missing --skip-covered

prove: bootstrap ## break everything on purpose and compare: make prove ARGS="--seconds 900 --faults 200 --seed 7"
	@$(BIN)/python -m tests.proof $(ARGS)

bench: bootstrap ## measure everything beside its peers, record it, lay out docs/performance.md
	@failed=0; for bench in $(BENCHES); do $(BIN)/python -m bench.$$bench --record $(ARGS) || failed=1; done; \
		$(BIN)/python docs/generate.py && exit $$failed

bootstrap: $(DEV_STAMP) ## get what the tests need beyond Python, or say in one line what can't be had
	@$(BIN)/python tests/bootstrap.py

lint: $(DEV_STAMP) ## check style, types and the direction of imports
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/mypy --strict $(TYPED_TESTS)
	@$(BIN)/lint-imports

format: $(DEV_STAMP) ## bring the code into the project's style
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

lock: $(DEV_STAMP) ## lock the requirement lists again: make lock LOCK_ARGS=--upgrade
	@$(LOCK) $(LOCK_ARGS) -o requirements/run.txt requirements/run.in
	@$(LOCK) $(LOCK_ARGS) -o requirements/dev.txt requirements/dev.in
	@$(LOCK) $(LOCK_ARGS) -o requirements/faust.txt requirements/faust.in

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "make: $(PYTHON) is not Python 3.11 or newer; name one: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || \
		{ rm -rf $(VENV); echo "make: $(PYTHON) can't make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }

# The project itself is built with the setuptools of the list: nothing unlocked is fetched to build it.
$(RUN_STAMP): requirements/run.txt pyproject.toml | $(BIN)/python
	@$(PIP) install --require-hashes -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(DEV_STAMP): requirements/dev.txt $(RUN_STAMP)
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@
