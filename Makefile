# After `make setup` and `source tools/env.sh`, plain `pulumi up` and `pulumi destroy` work as well.
UNIT := unit-infra unit-job unit-tools unit-other
INTEGRATION := integration-spark integration-pages
TARGETS := help up down reset setup status watch report credentials logs dlq backfill \
  check lint types $(UNIT) $(INTEGRATION) test verify bench bench-long
VARIABLES := STACK HOURS FROM TO QUEUE SERVICE TAIL SHOW REPLAY RATE MINUTES
STACK ?= dev

# Before anything runs: `make down other` and `make down stack=other` would otherwise destroy the stack dev. The shells'
# completion asks for .DEFAULT (bash), .PHONY (zsh) or : (fish).
unknown_goals := $(filter-out $(TARGETS) .DEFAULT .PHONY :,$(MAKECMDGOALS))
set_variables := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
unknown_variables := $(filter-out $(VARIABLES) __BASH_MAKE_COMPLETION__,$(set_variables))
ifneq ($(unknown_goals),)
  $(error unknown target $(unknown_goals): `make` lists the targets, and STACK=NAME selects a stack)
endif
ifneq ($(unknown_variables),)
  $(error unknown variable $(unknown_variables): the variables are $(VARIABLES); \
    set environment variables before `make`: NAME=VALUE make TARGET)
endif
# Of the environment only STACK is taken: REPLAY of another program would send dead letters again.
$(foreach name,$(filter-out STACK,$(VARIABLES)),$(if $(findstring command line,$(origin $(name))),,\
  $(if $($(name)),$(warning the environment's $(name) is ignored: write `make TARGET $(name)=VALUE`))\
  $(eval override $(name) :=)))
ifeq ($(strip $(STACK)),)
  $(error STACK is empty: name a stack, or leave STACK out for dev)
endif
ifneq ($(findstring /,$(STACK)),)
  $(error STACK has a /: write the short name, $(notdir $(STACK)))
endif

SHELL := /bin/bash
export BASH_ENV := tools/env.sh
# These would change how Python runs and what it imports, and whether Bash reads BASH_ENV.
unexport $(filter-out PYTHONIOENCODING PYTHONUTF8 PYTHONUNBUFFERED,$(filter PYTHON%,$(.VARIABLES)))
unexport POSIXLY_CORRECT SHELLOPTS
# A word of the shell, whatever the value contains.
quote = '$(subst ','\'',$(1))'
option = $(if $($(2)),$(1) $(call quote,$($(2))))
stack := --stack $(call quote,$(STACK))
# More at once than cores would be no faster, and a page in Chromium could need minutes to load.
IN_PARALLEL := --no-print-directory --jobs=$$(nproc) --keep-going --output-sync=target
# With MAKEFLAGS=-j4 `make down up` would run both at the same time. Of one command, only checks run in parallel.
ifneq ($(filter-out lint types $(UNIT) $(INTEGRATION),$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif
.DEFAULT_GOAL := help
.PHONY: $(TARGETS)

help:
	@echo 'Usage: make TARGET [STACK=dev]'
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' \
	  $(MAKEFILE_LIST)

##@ Deploy
up: setup ## Set up what is missing, deploy the stack, wait until it is healthy and has documents
	@python -m tools.repair --create $(stack)
	@python -m tools.deploy up $(stack)
	@python -m tools.status $(stack) --wait

down: setup ## Destroy the stack: no container, volume or network remains
	@python -m tools.deploy destroy $(stack)

reset: setup ## Destroy the stack and deploy it again; deletes all data
	@python -m tools.repair --create --discard $(stack)
	@$(MAKE) --no-print-directory down
	@$(MAKE) --no-print-directory up

setup: ## Only set up the machine: Docker Engine, Pulumi, Python environment
	@tools/setup.sh

##@ Observe and operate
status: ## Health and figures of each stage; fails and names the first broken stage
	@python -m tools.status $(stack)

watch: ## The same, live, until Ctrl-C
	@python -m tools.status $(stack) --watch

report: ## The last hour as an HTML page: make report [HOURS=24 (up to 745) | FROM=2026-11-24T06:00Z TO=…] [QUEUE=420]
	@python -m tools.report $(stack) $(call option,--hours,HOURS) $(call option,--from,FROM) $(call option,--to,TO) \
	  $(call option,--queue,QUEUE)

credentials: ## Write the logins for people to files that only you can read: own matches, reading, pages
	@python -m tools.credentials $(stack)

logs: ## Last log lines of each service, or of one: make logs SERVICE=spark-job; TAIL=5000 for more, TAIL=all
	@stack=$(call quote,$(STACK)) service=$(call quote,$(SERVICE)); \
	  tail=$(call quote,$(or $(TAIL),$(if $(SERVICE),1000,20))); \
	  case $$tail in all) ;; *[!0-9]*) echo "TAIL=$$tail: write a number of lines, or all"; exit 2 ;; esac; \
	  names=$$(docker ps -a --filter "label=lolstack.stack=$$stack" --format '{{.Names}}' \
	    $${service:+--filter "name=^lolstack-$$stack-$$service(-[0-9]+)?$$"} | sort); \
	  [ -n "$$names" ] \
	    || { echo "the stack $$stack has no container$${service:+ of $$service}: make status STACK=$$stack"; exit 1; }; \
	  for name in $$names; do echo "=== $$name"; docker logs --tail "$$tail" "$$name" 2>&1; done \
	  | python3 -m tools.printable

dlq: ## Count dead letters by reason; SHOW=0:17 prints one, REPLAY=REASON, 0:17 or all sends them again
	@python -m tools.dlq $(stack) $(call option,--show,SHOW) $(call option,--replay,REPLAY)

backfill: ## Re-index a time range without stopping the job: make backfill FROM=2026-11-24T06:00Z TO=… RATE=200
	@python -m tools.backfill $(stack) --from $(call quote,$(FROM)) $(call option,--to,TO) $(call option,--rate,RATE)

##@ Test
check: ## Fast feedback without Docker: lint, types and unit tests, in parallel
	@tools/setup.sh check
	@$(MAKE) $(IN_PARALLEL) lint types $(UNIT)

test: ## Everything: check, Spark, pages in Chromium, then testinfra against a stack of its own
	@tools/setup.sh tests
	@$(MAKE) $(IN_PARALLEL) $(INTEGRATION) lint types $(UNIT)
	@pytest tests/stack

verify: ## Verification checklist against the running stack
	@tools/setup.sh tests
	@pytest tests/stack $(stack)

bench: ## Benchmarks on a stack of their own, about two hours
	@tools/setup.sh tests
	@python -m bench

bench-long: ## Soak test: memory of the job over 30 minutes, after 20 minutes of warm-up: make bench-long [MINUTES=30]
	@tools/setup.sh tests
	@python -m bench memory $(call option,--minutes,MINUTES)

lint:
	@ruff check . && ruff format --check .

# The cache serves all checkouts, one run after the other: a new one takes a second instead of a minute.
types:
	@cache=$$(python -c 'from tools.cache import cache_folder; print(cache_folder())') && mkdir -p "$$cache" \
	  && flock "$$cache/mypy.lock" mypy --cache-dir "$$cache/mypy"

# Parts of about the same duration beside each other; all tests with Spark in one process, so that they need one JVM.
unit-infra:
	@pytest tests/unit/infra

unit-job:
	@pytest tests/unit/job

unit-tools:
	@pytest tests/unit/tools tests/unit/harness tests/unit/kibana

unit-other:
	@pytest tests/unit $(addprefix --ignore tests/unit/,infra job tools harness kibana)

integration-spark:
	@pytest tests/integration/spark

integration-pages:
	@pytest tests/integration --ignore tests/integration/spark

status watch report credentials dlq backfill: .venv/.lolstack

# The stamp of a finished set-up. After an upgrade of the distribution, the environment's interpreter is gone, or has no
# packages, since it is of another version.
packages := .venv/lib/$(notdir $(realpath .venv/bin/python))/site-packages
.venv/.lolstack: requirements.txt $(if $(wildcard $(packages)),,outdated)
	@tools/setup.sh

.PHONY: outdated
