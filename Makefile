# Everything starts here. `make help` lists the targets; each sets up what it needs.
#
#   make setup ACCELERATOR=gpu    for a machine with an NVIDIA device and a CUDA toolkit
#   make test ARGS="-k windows"   some tests only; WORKERS=0: in one process (proofs alike)
#   make lock UPGRADE=1           newest versions that pyproject.toml allows

.DEFAULT_GOAL := help
ACCELERATOR ?= cpu
ARGS ?=
WORKERS ?= 2
IMAGE ?= fraudlake:0.1.0
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo test proofs peers lint format docs lock standalone-up standalone-down kafka-up kafka-down \
  image clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv: Python packages, Horovod, Delta's and Kafka's JARs (does only what is missing)
	@ACCELERATOR=$(ACCELERATOR) bash scripts/setup.sh

demo: setup ## Raw transactions to flagged ones with reasons, on this machine; lake in build/demo/lake
	$(BIN)/fraudlake demo $(ARGS)

test: setup ## The tests; `make proofs` has those marked slow
	$(PYTEST) -m "not slow" $(ARGS)

proofs: setup ## Heavier tests: kills, months of real payments, every place of a crash
	$(PYTEST) -m slow $(ARGS)

peers: setup ## What benchmarks/windows compares with: DuckDB, Polars, delta-rs
	@bash scripts/peers.sh

lint: setup ## Style and types: ruff, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## Let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup ## Write docs/reference.md anew from the code
	$(BIN)/python scripts/reference.py

lock: ## Compile requirements/*.txt from pyproject.toml and requirements/*.in (UPGRADE=1: newest)
	@bash scripts/lock.sh $(if $(UPGRADE),--upgrade)

standalone-up: setup ## A real Spark cluster on this machine: a master and two workers
	@bash scripts/standalone.sh start

standalone-down: ## Stop that cluster
	@bash scripts/standalone.sh stop

kafka-up: setup ## A real Kafka broker on this machine, on 127.0.0.1:9092
	@bash scripts/kafka.sh start

kafka-down: ## Stop that broker
	@bash scripts/kafka.sh stop

image: ## Container image for driver and executors (needs Docker)
	docker build --build-arg ACCELERATOR=$(ACCELERATOR) --tag $(IMAGE) .

clean: ## Remove .venv and build/ (not the cache of wheels and JARs in ~/.cache/fraudlake)
	@bash scripts/standalone.sh stop
	@bash scripts/kafka.sh stop
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache
