.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
RANGE ?= 24h
FORMAT ?= table
SIZE ?= 50000
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONPATH := $(CURDIR)

.PHONY: help run demo ingest quota alerts alert-test serve install-service uninstall-service init check report status docs preview backup restore chaos audit test long bench lint lock clean

help: ## List what make can do
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "  make %-17s %s\n", $$1, $$2 }'

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "cliproxy-ledger needs Python 3.11 or newer; try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sqlite3, sys; sys.exit(sqlite3.sqlite_version_info < (3, 40))' || { echo "cliproxy-ledger needs a Python with SQLite 3.40 or newer" >&2; exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) || { echo "Debian and Ubuntu keep what is missing here in a package: apt install python3-venv, then make again" >&2; exit 1; }
	@echo "Installing the packages of requirements.lock into $(VENV)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(PY) -m plugins.charts
	@touch $@

$(DEV): $(READY) requirements-dev.lock
	@echo "Installing the packages of requirements-dev.lock into $(VENV)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@touch $@

run: $(READY) ## Collect events, watch quotas, send alerts and serve the dashboard
	@exec $(PY) -m cli run

demo: $(READY) ## Try it: a fake proxy with 30 days of traffic, no key needed
	@LEDGER_PARENT_PID= exec $(PY) -m demo

ingest: $(READY) ## Run only the collector
	@exec $(PY) -m ingest

quota: $(READY) ## Run only the quota worker
	@exec $(PY) -m quota

alerts: $(READY) ## Run only the alerts worker
	@exec $(PY) -m alerts

alert-test: $(READY) ## Send a test message to every address of alert_urls
	@$(PY) -m cli alert-test

serve: $(READY) ## Run only the dashboard
	@exec $(PY) -m runtime.serve

install-service: $(READY) ## Run everything as services of your user (systemd or launchd); repeat after an upgrade
	@$(PY) -m cli service install

uninstall-service: $(READY) ## Stop and remove these services; the data stays
	@$(PY) -m cli service uninstall

init: $(READY) ## Create or upgrade the ledger
	@$(PY) -m ledger init

check: $(READY) ## Check that the ledger is intact and its sums agree
	@$(PY) -m ledger check

report: $(READY) ## Print a report: RANGE=today|24h|… (as in /ledger/windows) BY=account|model|client|proxy|day FORMAT=table|json|csv|markdown, or MONTH=2026-11 PRICE=200
	@$(PY) -m ledger report $(if $(MONTH)$(PRICE),month $(MONTH),$(RANGE)) --format $(FORMAT) $(if $(BY),--by $(BY)) $(if $(PRICE),--price $(PRICE)) $(if $(SHARE),--share $(SHARE))

status: $(READY) ## Print in one line today's use, the account to use and what is wrong
	@$(PY) -m ledger status

docs: $(READY) ## Write docs/settings.md, and docs/tables.md with every table, view and column
	@$(PY) -m ledger docs

preview: $(DEV) ## Take a screenshot of the dashboard with made-up traffic: docs/preview.png
	@$(PY) -m demo.preview

backup: $(READY) ## Copy the ledger while it is in use, check the copy, keep the newest 7
	@$(PY) -m ledger backup

restore: $(READY) ## Restore a backup as the ledger while nothing runs: FILE=data/backups/ledger-….db
	@test -n "$(FILE)" || { echo "Name a backup: make restore FILE=data/backups/ledger-....db" >&2; ls data/backups/*.db 2>/dev/null; exit 1; }
	@$(PY) -m ledger restore "$(FILE)"

chaos: $(DEV) ## Break everything that can break and write docs/reliability.md: SIZE=50000 events a fault
	@CHAOS_SIZE=$(SIZE) CHAOS_REPORT=docs/reliability.md $(PY) -m pytest tests/chaos -p no:xdist

audit: $(READY) ## Look up known vulnerabilities of the locked packages
	@test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv build/audit && build/audit/bin/pip install --quiet --disable-pip-version-check 'pip-audit>=2.7,<3'; }
	@build/audit/bin/pip-audit --strict --requirement requirements.lock --no-deps --disable-pip --progress-spinner off || { echo "Either a vulnerability was found (see above), or the service that lists them cannot be reached." >&2; exit 1; }

test: $(DEV) ## Run the tests
	@$(PY) -m pytest --ignore tests/chaos --ignore tests/long --numprocesses 3 --dist loadfile

long: $(DEV) ## Run the tests that take longer: services, containers, demo, documents, windows by brute force, a small benchmark
	@$(PY) -m pytest tests/long --numprocesses 2 --dist loadfile

bench: $(READY) ## Run the benchmark, 15 minutes; QUICK=1 two minutes; EVENTS= RATE= GROW= KEEP=1
	@exec $(PY) -m bench $(if $(QUICK),--quick) $(if $(KEEP),--keep) $(if $(EVENTS),--events $(EVENTS)) $(if $(RATE),--rate $(RATE)) $(if $(GROW),--grow $(GROW))

lint: $(DEV) ## Check style, format and types
	@ruff check . && ruff format --check . && mypy

lock: ## Resolve pyproject.toml anew into requirements.lock and requirements-dev.lock
	@rm -rf build/lock && $(PYTHON) -m venv build/lock
	@build/lock/bin/pip install --quiet --disable-pip-version-check .
	@build/lock/bin/pip freeze --exclude cliproxy-ledger --exclude pip --exclude setuptools > requirements.lock
	@build/lock/bin/pip install --quiet --disable-pip-version-check --constraint requirements.lock '.[dev]'
	@build/lock/bin/pip freeze --exclude cliproxy-ledger --exclude pip --exclude setuptools | grep --invert-match --line-regexp --fixed-strings --file=requirements.lock > requirements-dev.lock
	@rm -rf build && wc -l requirements.lock requirements-dev.lock

clean: ## Remove what make installed and caches; data stays
	@rm -rf $(VENV) build .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
