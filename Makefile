# Every target sets up what it needs by itself. The words after ## are what `make help` lists.
.DEFAULT_GOAL := help
.PHONY: help setup demo up down status test bench bench-scale simulate chaos scale docs check format lock clean venv venv-dev

PYTHON ?=
PYTEST_ARGS ?=
export PYTHON
BIN := .venv/bin
STACK := $(BIN)/python -m stack

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: venv ## install into .venv, make databases, keys and connections (PYTHON=... names an interpreter)
	@$(STACK) setup

demo: venv ## run the main job against a local SAT server: 220 orders, with a summary at the end
	@$(STACK) demo

up: venv ## start Airflow, PostgreSQL and the local SAT server in the background
	@$(STACK) up

down: ## stop what `make up` started
	@if [ -x $(BIN)/python ] && [ -d .stack ]; then $(STACK) down; else echo "nothing was running"; fi

status: venv ## say what of it runs
	@$(STACK) status

test: venv-dev ## run all tests (PYTEST_ARGS="-k name" for some)
	@$(BIN)/python -m pytest -n 4 --dist loadgroup --no-loadscope-reorder $(PYTEST_ARGS)

chaos: venv-dev ## kill real processes in the middle of real batches (KILLS=10 SEED=1); minutes
	@$(BIN)/python -m tests.chaos --kills $(or $(KILLS),10) --seed $(or $(SEED),1)

scale: ## the same on Celery, two of each part, with Redis, PgBouncer, a proxy and S3 (KILLS=6 SEED=1); minutes
	@scripts/ensure-venv scale
	@$(BIN)/python -m tests.scale --kills $(or $(KILLS),6) --seed $(or $(SEED),1)

simulate: venv-dev ## many seeded worlds against the laws (SEEDS=2000 FIRST_SEED=1; SEED=n replays one)
	@$(BIN)/python -m tests.simulation $(if $(SEED),--replay $(SEED),--seeds $(or $(SEEDS),2000) --first-seed $(or $(FIRST_SEED),1))

bench-scale: venv-dev ## the cost of an order with 10,000 and 50,000 orders in the log (3 minutes)
	@$(BIN)/python -m benchmarks.scale --short

bench: venv-dev ## measure the pipeline against py-sat-sdk; a table and build/bench.json (4 minutes)
	@$(BIN)/python -m benchmarks

docs: venv-dev ## build the documentation into build/site; a broken link or reference fails
	$(BIN)/sphinx-build -q -W --keep-going -c docs -b html . build/site

check: venv-dev docs ## ruff, strict mypy, the walls between the packages, the declared dependencies, the documentation
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict sat_hook
	$(BIN)/lint-imports
	$(BIN)/deptry .

format: venv-dev ## let ruff mend layout and imports
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: ## renew requirements.txt and requirements-dev.txt from pyproject.toml (UPGRADE= keeps what still fits)
	@scripts/lock

clean: down ## remove .venv, everything the stack wrote, and caches
	rm -rf .venv .stack build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@scripts/ensure-venv run

venv-dev:
	@scripts/ensure-venv dev
