# Everything a person or CI runs. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
JSON ?=
STACK ?=
WATCH ?=

.PHONY: help up status preview shell down clean test lint setup benchmark benchmark-preview \
  benchmark-gitops affected environments review review-comment deploy-request deploy drift destroy \
  leftovers bootstrap ssh-key python

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

up: setup ## rehearse the whole program on this machine: empty account to synced root app
	@$(PYTHON) -m rehearsal up

status: ## nodes and Applications; exit 0 only when all are well (JSON=1; STACK=prod [WATCH=1])
	@$(PYTHON) -m $(if $(STACK),operations status --stack '$(STACK)' $(if $(WATCH),--watch),rehearsal status) $(if $(JSON),--json)

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
	@$(PYTHON) -m pytest -m 'not rehearsal' -n auto --maxprocesses=4 --dist=loadfile
	@$(PYTHON) -m pytest -m rehearsal

lint: setup ## ruff, mypy, shellcheck, yamllint, actionlint
	@scripts/lint

benchmark: setup ## the program's cluster phase against a bare parallel-SSH script
	@$(PYTHON) benchmarks/cluster.py

benchmark-preview: setup ## an unchanged preview against the engine's own time, for 14 to 500 nodes
	@$(PYTHON) benchmarks/preview.py

benchmark-gitops: setup ## the first sync, and a push until it is live against `kubectl apply`
	@$(PYTHON) benchmarks/gitops.py

# For GitHub's jobs (docs/pull-requests.md). What they are given reaches the shell as variables of
# the environment, never as text of a command.
affected: python ## environments that a change since BASE touches, as a job's matrix
	@$(PYTHON) -m delivery affected "$${BASE:?say BASE=<commit>}"

environments: python ## all environments in AWS, as a job's matrix
	@$(PYTHON) -m delivery environments

review: python ## what a deployment of ENV would do, as Markdown; OUT: a file, too
	@$(PYTHON) -m delivery preview "$${ENV:?say ENV=<environment>}" $${OUT:+--out "$$OUT"} $${COMMIT:+--commit "$$COMMIT"}

review-comment: python ## put OUT of `make review` on pull request PULL
	@$(PYTHON) -m delivery comment "$${ENV:?say ENV=<environment>}" "$${OUT:?say OUT=<file>}" --pull "$${PULL:?say PULL=<number>}"

deploy-request: python ## what the event of a job asks to deploy, if it may
	@$(PYTHON) -m delivery request

deploy: python ## look for drift, then update every stack of ENV (ACCEPT_DRIFT=1, INIT=1: new stacks)
	@$(PYTHON) -m delivery deploy "$${ENV:?say ENV=<environment>}" $(if $(ACCEPT_DRIFT),--accept-drift) $(if $(INIT),--init)

drift: python ## what was changed by hand in ENV (ISSUE=1: as an issue on GitHub)
	@$(PYTHON) -m delivery drift "$${ENV:?say ENV=<environment>}" $(if $(ISSUE),--issue)

destroy: python ## delete all that ENV, or one stack of it, holds; CONFIRM=<the same> (FORCE=1: its cluster is dead)
	@$(PYTHON) -m delivery destroy "$${ENV:?say ENV=<environment or stack>}" --confirm "$${CONFIRM:-}" $(if $(FORCE),--force)

leftovers: python ## what the cluster of STACK left in AWS, with what removes it (JSON=1)
	@$(PYTHON) -m operations leftovers --stack "$${STACK:?say STACK=<environment>}" $(if $(JSON),--json)

bootstrap: python ## state, key and GitHub's roles of an account (docs/bootstrap.md)
	@$(PYTHON) -m bootstrap $${REGION:+--region "$$REGION"} $${REPOSITORY:+--repository "$$REPOSITORY"} $${ENV:+--environment "$$ENV"} $(if $(PREVIEW),--preview) $(if $(JSON),--json)

ssh-key: python ## the key pair of ENV from SSH_PRIVATE_KEY to where its settings look for it
	@$(PYTHON) -m delivery ssh-key "$${ENV:?say ENV=<environment>}"

python: # what needs neither root nor system packages
	@scripts/setup python

setup: ## system packages and the Python environment, if missing
	@scripts/setup
