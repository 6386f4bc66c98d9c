# Each target is one line that can be typed as well. `make` alone prints them.

BOOT := python3 deploy/bootstrap.py

.DEFAULT_GOAL := help
.PHONY: help demo test fast nightly release proofs lint types check schema reference lock bench drill failover soak upgrade agents streams e2e pyz binary image clean

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## /  \1|/p' Makefile | awk -F'|' '{ printf "%-10s %s\n", $$1, $$2 }'

demo: ## what outboxd does, shown and asserted, on a bare machine
	@$(BOOT) demo

test: ## the tests of each change, against a real Postgres
	@$(BOOT) test

fast: ## the tests within a minute: no drill, nothing slow
	@$(BOOT) test -m "not nightly and not drill and not slow"

nightly: ## every test, at full length
	@$(BOOT) test -n 0 -m ""

release: lint types nightly proofs ## what must hold before a release

proofs: ## each promise of tests/proofs.txt: its tests and their last result
	@$(BOOT) run pytest --proofs

lint: ## ruff: rules and format
	@$(BOOT) run ruff check .
	@$(BOOT) run ruff format --check .

types: ## mypy, strict
	@$(BOOT) run mypy

check: lint types test ## lint, types, test

schema: ## write sql/schema.sql anew
	@$(BOOT) run python -m tests.schema

reference: ## write deploy/REFERENCE.md and deploy/outboxd.env anew
	@$(BOOT) run python -m tests.reference

lock: ## write requirements.lock and deploy/tools.lock anew
	@$(BOOT) lock

bench: ## the benchmark, in a private cluster
	@$(BOOT) run outboxd bench

drill: ## the crash drill, in a private cluster
	@$(BOOT) run outboxd drill

failover: ## a standby is promoted again and again under load: nothing lost, on within 15 s
	@$(BOOT) run outboxd drill --faults failover --seconds 120

soak: ## half an hour of steady load: nothing grows, the end is as quick as the beginning
	@$(BOOT) run outboxd drill --soak --seconds 1800

upgrade: ## the release before and this one on one database, under load
	@$(BOOT) test -n 0 -m nightly tests/daemon/test_upgrade.py

agents: ## a thousand events of agents while workers are killed: observed once each, all metered
	@$(BOOT) test -n 0 -m nightly tests/memory/test_drill.py

streams: ## ten thousand events to clients that are cut, while writers roll back and connections are killed
	@$(BOOT) test -m nightly tests/streams

e2e: ## the end-to-end script with processes on loopback; STAGE=compose with containers
	@$(BOOT) run python -m deploy.e2e --stage $(or $(STAGE),processes)

pyz: ## dist/outboxd.pyz, one file for a Python; POSTGRES=1 puts a PostgreSQL inside
	@$(BOOT) run python deploy/build.py pyz $(if $(POSTGRES),--postgres)

binary: ## dist/outboxd, one file for Linux, PostgreSQL inside
	@$(BOOT) run python deploy/build.py binary

image: ## the container image outboxd:latest
	docker build -f deploy/Dockerfile -t outboxd:latest .

clean: ## remove everything that the other targets made
	rm -rf .venv dist build .bench .hypothesis .pytest_cache .mypy_cache .ruff_cache
