# Everything a person or CI runs. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
JSON ?=
STACK ?=

.PHONY: help up status preview shell down clean test lint setup benchmark benchmark-preview

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

up: setup ## rehearse the whole program on this machine: empty account to synced root app
	@$(PYTHON) -m rehearsal up

status: ## nodes and Applications; exit 0 only when all are well (JSON=1 for machines)
	@$(PYTHON) -m rehearsal status $(if $(JSON),--json)

preview: setup ## what `make up` would change and cost; STACK=prod: of an environment, from nothing (JSON=1)
	@$(PYTHON) -m rehearsal preview $(if $(STACK),--stack '$(STACK)') $(if $(JSON),--json)

shell: ## a shell where the operator sits: pulumi, kubectl, helm, ssh (STACK=: of several)
	@$(PYTHON) -m rehearsal shell $(if $(STACK),--stack '$(STACK)')

down: ## destroy everything and prove that nothing is left
	@$(PYTHON) -m rehearsal down

clean: ## down, and remove every cache; only system packages stay
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m rehearsal clean; fi
	@rm -rf .venv

test: setup ## lint and all tests, the rehearsal of the whole program among them
	@$(MAKE) --no-print-directory lint
	@$(PYTHON) -m pytest

lint: setup ## ruff, mypy, shellcheck, yamllint, actionlint
	@scripts/lint

benchmark: setup ## the program's cluster phase against a bare parallel-SSH script
	@$(PYTHON) benchmarks/cluster.py

benchmark-preview: setup ## an unchanged preview against the engine's own time, for 14 to 500 nodes
	@$(PYTHON) benchmarks/preview.py

setup: ## system packages and the Python environment, if missing
	@scripts/setup
