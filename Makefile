# Needs Python 3.11 or newer (with venv and pip) and make; the rest installs itself into
# .venv. Everything is safe to run twice and does nothing where nothing changed.

.DEFAULT_GOAL := help
.PHONY: help lab quick quick-1 quick-2 quick-3 test test-long check fix build bench soak clean setup constraints screenshots pictures \
	test-long-servers test-long-others test-frontend test-python test-programs test-postgres test-servers test-browser test-notebooks \
	check-format check-lint check-types check-imports check-shape check-frontend

# The first Python that will do: the environment's own, else the system's.
# Another one: make PYTHON=/path/to/python
WANTED = import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in .venv/bin/python python3 python3.13 python3.12 python3.11; do \
	if $$p -c '$(WANTED)' 2>/dev/null; then echo $$p; break; fi; done)

PY := .venv/bin/python
NPM := $(PY) tools/frontend.py npm
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
ARGS ?=

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 24

lab: setup  ## open the first notebook in JupyterLab (ARGS=--no-browser: only print the URL)
	@PATH="$(CURDIR)/.venv/bin:$$PATH" JUPYTER_CONFIG_PATH="$(CURDIR)/binder" $(PY) -m jupyterlab $(AS_ROOT) \
		--LabApp.default_url=/lab/tree/notebooks/01_quickstart.ipynb $(ARGS)

# Without a Chromium the browser tests skip and name the reason; under CI=true they fail.
CHROMIUM = $(PY) tools/chromium.py --install >/dev/null || [ "$$CI" != true ]

# Tests are told apart by their markers, most of which the fixtures give: see
# tests/markers.py. Each is in one part of `make test`, but for the long ones.
SHORT := not bench and not long and not soak
PROGRAMS := kill or notebook or process
ALONE := $(SHORT) and not (browser or external_service or $(PROGRAMS))

QUICK = $(PY) -m pytest --hypothesis-profile=quick -m "$(ALONE)" $(ARGS)

# Several at a time where make can keep their output apart: all but the browser's wait
# more than they work. The longest begin first.
SIDE_BY_SIDE := $(if $(filter output-sync,$(.FEATURES)),-j3 --output-sync=target)

QUICK_PARTS := quick-1 quick-2 quick-3

quick: setup  ## the package's tests that start nothing: no servers, browsers, kernels
	@$(MAKE) --no-print-directory $(SIDE_BY_SIDE) $(QUICK_PARTS)

$(QUICK_PARTS): quick-%: setup
	@$(QUICK) --part $*/$(words $(QUICK_PARTS))

test: setup  ## every test in its short form: front end, Python, browser, notebooks
	@$(CHROMIUM)
	@$(MAKE) --no-print-directory $(SIDE_BY_SIDE) test-browser test-python test-servers \
		test-programs test-postgres test-notebooks test-frontend

test-long: setup  ## the long forms: more examples, seeds and kills; minutes
	@$(CHROMIUM)
	@$(MAKE) --no-print-directory $(SIDE_BY_SIDE) test-long-servers test-long-others

LONG := (long or scales) and not soak

test-long-servers: setup
	@$(PY) -m pytest --hypothesis-profile=long -m "$(LONG) and external_service" $(ARGS)

test-long-others: setup
	@$(PY) -m pytest --hypothesis-profile=long -m "$(LONG) and not external_service" $(ARGS)

test-frontend: setup
	@$(NPM) run --silent test

# With ARGS all tests are looked through at once, here.
test-python: setup
	@$(if $(ARGS),$(CHROMIUM))
	@$(PY) -m pytest $(or $(ARGS),-m "$(ALONE)")

test-programs: setup
	@$(if $(ARGS),true,$(PY) -m pytest -m "$(SHORT) and ($(PROGRAMS)) and not (browser or external_service)")

test-browser: setup
	@$(if $(ARGS),true,$(CHROMIUM) && $(PY) -m pytest -m "$(SHORT) and browser")

# No server is in two parts: it is slow to start.
test-postgres: setup
	@$(if $(ARGS),true,$(PY) -m pytest -m "$(SHORT) and postgres and not browser")

test-servers: setup
	@$(if $(ARGS),true,$(PY) -m pytest -m "$(SHORT) and external_service and not (browser or postgres)")

# The notebooks keep their conversations away from those of a person.
test-notebooks: setup
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	AGENT_RUNTIME_STORAGE="$$folder/state.db" $(PY) -m pytest --nbval-lax notebooks

# `make -k check` goes on after a failure and so names them all.
check: check-format check-lint check-types check-imports check-shape check-frontend  ## format, lint, types, layers, shape; changes nothing

check-format: setup
	@$(PY) -m ruff format --check

check-lint: setup
	@$(PY) -m ruff check

check-types: setup
	@$(PY) -m pyright

check-imports: setup
	@.venv/bin/lint-imports

check-shape: setup
	@$(PY) tools/architecture.py

check-frontend: setup
	@$(NPM) run --silent check

fix: setup  ## format, and repair what the linters can
	@$(PY) -m ruff format
	@$(PY) -m ruff check --fix
	@$(NPM) run --silent fix

build: setup  ## wheel and sdist into dist/
	@$(PY) -m hatchling build --clean

bench: setup  ## measure speed beside the raw floor and peers
	@$(PY) -m pip --disable-pip-version-check install --quiet --constraint constraints.txt --group peers
	@$(PY) -m benchmarks $(ARGS)

soak: setup  ## the endurance tests; hours
	@$(PY) -m pytest -m soak --timeout=0 $(ARGS)

screenshots: setup  ## make the README's picture anew
	@AGENT_RUNTIME_SCREENSHOTS=docs/images $(PY) -m pytest tests/browser -k readmes_picture

pictures: setup  ## make the pictures of all states of the widgets anew
	@$(PY) -m tests.browser.story_book --docs

constraints:  ## compile constraints.txt anew from pyproject.toml (needs uv)
	@uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade \
		--extra all --group dev --group peers --no-annotate --no-header --no-emit-index-url \
		--output-file constraints.txt

clean:  ## remove everything that was made, the environment too
	rm -rf .venv build dist widgets/node_modules agent_runtime_nb/widgets/static \
		.pytest_cache .ruff_cache .hypothesis .import_linter_cache test-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@if [ -z "$(PYTHON)" ]; then \
		echo "setup: no Python 3.11 or newer was found. Install one, or name it:" >&2; \
		echo "       make PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@$(PYTHON) tools/setup_env.py
