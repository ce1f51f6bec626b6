# What people do with the stack. `pulumi up` and `pulumi destroy` alone do the same once `make setup` has run.
STACK ?= dev
HOURS ?= 1
SHELL := /bin/bash
export BASH_ENV := tools/env.sh
.PHONY: up down reset status watch report logs dlq backfill test verify bench bench-long setup

up: setup ## Set up what is missing, deploy the stack, wait for documents
	@pulumi stack select --create $(STACK) >/dev/null
	@python -m tools.repair --stack $(STACK)
	@pulumi up --stack $(STACK) --yes --skip-preview --refresh
	@python -m tools.status --stack $(STACK) --wait

down: setup ## Destroy the stack: no container, volume or network is left
	@python -m tools.repair --stack $(STACK)
	@docker ps --all --quiet --filter name=^lolstack-$(STACK)-backfill$$ | xargs --no-run-if-empty docker rm --force >/dev/null
	@pulumi destroy --stack $(STACK) --yes --skip-preview

reset: setup ## A clean start: all data is gone
	@pulumi stack select --create $(STACK) >/dev/null
	@$(MAKE) --no-print-directory down
	@$(MAKE) --no-print-directory up

status: ## Each link of the chain with its figures; fails and names the link that is broken
	@python -m tools.status --stack $(STACK)

watch: ## The same, live, until it is interrupted
	@python -m tools.status --stack $(STACK) --watch

report: ## One page and pictures of the live data, to look at and to mail around: make report HOURS=24
	@python -m tools.report --stack $(STACK) --hours $(HOURS)

logs: ## The last lines of each service, or of one: make logs SERVICE=spark-job
	@names=$$(docker ps -a --filter label=lolstack.stack=$(STACK) --format '{{.Names}}' \
	  $(if $(SERVICE),--filter label=lolstack.service=$(SERVICE)) | sort); \
	  [ -n "$$names" ] || { echo "the stack $(STACK) has no container$(if $(SERVICE), of $(SERVICE)): make status"; exit 1; }; \
	  for name in $$names; do echo "=== $$name"; docker logs --tail $(if $(SERVICE),1000,20) "$$name" 2>&1; done

dlq: ## Dead letters by reason; one: make dlq SHOW=0:17; to the topic again: make dlq REPLAY=invalid_field (a place, all)
	@python -m tools.dlq --stack $(STACK) $(if $(SHOW),--show '$(SHOW)') $(if $(REPLAY),--replay '$(REPLAY)')

backfill: ## A range of the topic once more into the same documents: make backfill FROM=2026-11-24T06:00Z TO=… RATE=200
	@python -m tools.backfill --stack $(STACK) --from '$(FROM)' $(if $(TO),--to '$(TO)') $(if $(RATE),--rate '$(RATE)')

test: ## Everything: lint, unit tests, then testinfra against a stack of its own
	@tools/setup.sh tests
	@ruff check . && ruff format --check . && mypy
	@pytest

verify: ## The verification checklist against the running stack
	@tools/setup.sh tests
	@pytest tests/stack --stack $(STACK)

bench: ## Benchmarks, on a stack of their own that is made and taken down: about an hour
	@tools/setup.sh tests
	@python -m bench

bench-long: ## The job's memory over half an hour, after 20 minutes to get there: make bench-long [MINUTES=30]
	@tools/setup.sh tests
	@python -m bench memory $(if $(MINUTES),--minutes $(MINUTES))

setup:
	@tools/setup.sh

status watch report dlq backfill: .venv/.lolstack

.venv/.lolstack: # which set-up writes when it is done
	@tools/setup.sh
