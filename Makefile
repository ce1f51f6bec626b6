# After `make setup` and `source tools/env.sh`, plain `pulumi up` and `pulumi destroy` work as well.
STACK ?= dev
SHELL := /bin/bash
export BASH_ENV := tools/env.sh
IN_PARALLEL := --no-print-directory --jobs --keep-going --output-sync=target
UNIT := unit-infra unit-job unit-other
INTEGRATION := integration-spark integration-pages
.DEFAULT_GOAL := help
.PHONY: help up down reset setup status watch report credentials logs dlq backfill
.PHONY: check lint types unit $(UNIT) $(INTEGRATION) test verify bench bench-long

help:
	@echo 'Usage: make TARGET [STACK=dev]'
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' \
	  $(MAKEFILE_LIST)

##@ Deploy
up: setup ## Set up what is missing, deploy the stack, wait until it is healthy and has documents
	@pulumi stack select --create $(STACK) >/dev/null
	@python -m tools.repair --stack $(STACK)
	@python -m tools.deploy up --stack $(STACK)
	@python -m tools.status --stack $(STACK) --wait

down: setup ## Destroy the stack: no container, volume or network remains
	@python -m tools.deploy destroy --stack $(STACK)

reset: setup ## Destroy the stack and deploy it again; deletes all data
	@pulumi stack select --create $(STACK) >/dev/null
	@$(MAKE) --no-print-directory down
	@$(MAKE) --no-print-directory up

setup: ## Only set up the machine: Docker Engine, Pulumi, Python environment
	@tools/setup.sh

##@ Observe and operate
status: ## Health and figures of each stage; names the first broken stage and exits with code 1
	@python -m tools.status --stack $(STACK)

watch: ## The same, live, until Ctrl-C
	@python -m tools.status --stack $(STACK) --watch

report: ## One HTML page with charts of the data: make report [HOURS=24 | FROM=2026-11-24T06:00Z TO=…] [QUEUE=420]
	@python -m tools.report --stack $(STACK) $(if $(HOURS),--hours '$(HOURS)') $(if $(FROM),--from '$(FROM)') \
	  $(if $(TO),--to '$(TO)') $(if $(QUEUE),--queue '$(QUEUE)')

credentials: ## Write the logins for people to files that only you can read: own matches, reading, pages
	@python -m tools.credentials --stack $(STACK)

logs: ## Last log lines of each service, or of one: make logs SERVICE=spark-job
	@names=$$(docker ps -a --filter label=lolstack.stack=$(STACK) --format '{{.Names}}' \
	  $(if $(SERVICE),--filter label=lolstack.service=$(SERVICE)) | sort); \
	  [ -n "$$names" ] \
	    || { echo "the stack $(STACK) has no container$(if $(SERVICE), of $(SERVICE)): make status"; exit 1; }; \
	  for name in $$names; do echo "=== $$name"; docker logs --tail $(if $(SERVICE),1000,20) "$$name" 2>&1; done \
	  | python3 -m tools.printable

dlq: ## Count dead letters by reason; SHOW=0:17 prints one, REPLAY=REASON, OFFSET or all sends them again
	@python -m tools.dlq --stack $(STACK) $(if $(SHOW),--show '$(SHOW)') $(if $(REPLAY),--replay '$(REPLAY)')

backfill: ## Re-index a time range without stopping the job: make backfill FROM=2026-11-24T06:00Z TO=… RATE=200
	@python -m tools.backfill --stack $(STACK) --from '$(FROM)' $(if $(TO),--to '$(TO)') $(if $(RATE),--rate '$(RATE)')

##@ Test
check: ## Fast feedback without Docker: lint, types and unit tests, in parallel
	@tools/setup.sh check
	@$(MAKE) $(IN_PARALLEL) lint types $(UNIT)

test: ## Everything: check, Spark, pages in Chromium, then testinfra against a stack of its own
	@tools/setup.sh tests
	@$(MAKE) $(IN_PARALLEL) lint types $(UNIT) $(INTEGRATION)
	@pytest tests/stack

verify: ## Verification checklist against the running stack
	@tools/setup.sh tests
	@pytest tests/stack --stack $(STACK)

bench: ## Benchmarks on a stack of their own, about 100 minutes
	@tools/setup.sh tests
	@python -m bench

bench-long: ## Soak test: memory of the job over 30 minutes, after 20 minutes of warm-up: make bench-long [MINUTES=30]
	@tools/setup.sh tests
	@python -m bench memory $(if $(MINUTES),--minutes $(MINUTES))

lint:
	@ruff check . && ruff format --check .

types:
	@mypy

unit:
	@$(MAKE) $(IN_PARALLEL) $(UNIT)

# Parts of about the same duration beside each other; all tests with Spark in one process, so that they need one JVM.
unit-infra:
	@pytest tests/unit/infra

unit-job:
	@pytest tests/unit/job

unit-other:
	@pytest tests/unit --ignore tests/unit/infra --ignore tests/unit/job

integration-spark:
	@pytest tests/integration/spark

integration-pages:
	@pytest tests/integration --ignore tests/integration/spark

status watch report credentials dlq backfill: .venv/.lolstack

.venv/.lolstack: # the stamp of a finished set-up
	@tools/setup.sh
